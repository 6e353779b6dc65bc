// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Attach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Attach { to, pasid } = self;
        let (_, to) = step.ioas("to", to)?;
        let pasid = pasid.as_ref().map(|pasid| step.small("pasid", pasid)).transpose()?;
        let device = step.vfio()?;
        let Some(pasid) = pasid else {
            step.moved();
            return step.gave_id(device.attach(to, None));
        };
        let got = device.attach(to, Some(pasid));
        if got.is_ok() {
            step.case.objects.pasids.insert((step.case.current, pasid));
        }
        step.gave_id(got)
    }
}
