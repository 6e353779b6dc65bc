// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for ConfigRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigRead { capability, offset, bits } = self;
        let register = step.config_register(capability, offset, *bits)?;
        step.gave_value(register.read())
    }
}
