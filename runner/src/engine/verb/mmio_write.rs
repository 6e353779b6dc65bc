// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for MmioWrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MmioWrite { bar, offset, bits, value } = self;
        let value = step.fitting("value", value, *bits)?;
        let register = step.register(bar, offset, *bits)?;
        step.changes(Changed::Registers)?;
        step.done(register.write(value))
    }
}
