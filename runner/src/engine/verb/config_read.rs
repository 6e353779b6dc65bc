// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::engine::device::width;

impl Act for ConfigRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigRead { offset, bits } = self;
        let (offset, device) = (step.size("offset", offset)?, step.vfio()?);
        step.gave_value(device.config().and_then(|region| device.read(&region, offset, width(*bits))))
    }
}
