// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Destroy {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Destroy { object } = self;
        let own = step.own()?;
        let object = step.id("object", object)?;
        let got = iommufd::destroy(own.fd(), object, step.case.tracer);
        if got.is_ok() {
            step.case.ledger.destroyed(object);
            if step.case.objects.destroyed(object, own.id()) {
                step.changes(Changed::More)?;
            }
        }
        step.done(got)
    }
}
