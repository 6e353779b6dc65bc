// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::{device::irq_number, failure::End},
    language::verb::{Interrupts, IrqDisable},
    uapi::irq::IrqData,
};

impl Act for IrqDisable {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqDisable(Interrupts { index }) = self;
        let index = step.interrupt(index)?;
        let device = step.open()?.session.device();
        step.case.device.events.retain(|(kind, _), _| *kind != index);
        step.done(device.set_irqs(irq_number(index), 0, IrqData::None(0)))
    }
}
