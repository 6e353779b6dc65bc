// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for ConfigWrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigWrite { capability, offset, bits, value } = self;
        let value = step.fitting("value", value, *bits)?;
        let register = step.config_register(capability, offset, *bits)?;
        step.changes(Changed::Shown)?;
        step.done(register.write(value))
    }
}
