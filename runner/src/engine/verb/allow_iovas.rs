// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    backend::IovaRange,
    engine::{device::Changed, failure::End},
    language::verb::{AllowIovas, AllowedRange},
    uapi::iommufd,
};

impl Act for AllowIovas {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let AllowIovas { ioas, ranges } = self;
        let own = step.own()?;
        let ioas = step.object("ioas", ioas)?.unwrap_or(own.id());
        let mut allowed = Vec::new();
        for (index, AllowedRange { start, last }) in ranges.iter().enumerate() {
            let at = step.at("ranges").join(index);
            let start = step.case.size(start, &at.join("start"))?;
            allowed.push(IovaRange { start, last: step.case.size(last, &at.join("last"))? });
        }
        if ioas == own.id() {
            step.case.device.changed = Changed::More;
        }
        step.done(iommufd::ioas_allow_iovas(own.fd(), ioas, &allowed, step.case.tracer))
    }
}
