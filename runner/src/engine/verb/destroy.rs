// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::{device::Changed, failure::End},
    language::verb::Destroy,
    uapi::iommufd,
};

impl Act for Destroy {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Destroy { object } = self;
        let own = step.own()?;
        let object = step.id("object", object)?;
        let got = iommufd::destroy(own.fd(), object, step.case.tracer);
        if got.is_ok() && step.case.objects.destroyed(object, own.id()) {
            step.case.device.changed = Changed::More;
        }
        step.done(got)
    }
}
