// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Detach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Detach { pasid } = self;
        let pasid = pasid.as_ref().map(|pasid| step.small("pasid", pasid)).transpose()?;
        step.own()?;
        if pasid.is_none() {
            step.case.objects.moved.insert(step.case.current, None);
        }
        let got = step.vfio()?.detach(pasid);
        if got.is_ok() {
            let part = step.case.devices.part(step.case.current, step.case.home);
            step.case.ledger.detached(part, pasid);
        }
        step.done(got)
    }
}
