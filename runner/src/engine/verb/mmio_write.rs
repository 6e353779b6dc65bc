// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::{
        device::{Changed, width},
        failure::End,
    },
    language::verb::MmioWrite,
};

impl Act for MmioWrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MmioWrite { bar, offset, bits, value } = self;
        let value = step.fitting("value", value, *bits)?;
        let register = step.register(bar, offset, *bits)?;
        let open = step.open()?;
        step.case.device.changes(Changed::Registers, open);
        step.done(register.bar.mmio_write(register.offset, width(*bits), value))
    }
}
