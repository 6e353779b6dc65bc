// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{
    engine::device::irq_number,
    uapi::irq::{IrqAction, IrqData},
};

impl Act for IrqDisable {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqDisable(Interrupts { index }) = self;
        let (index, device) = (step.interrupt(index)?, step.vfio()?);
        step.case.device.events.retain(|(kind, _), _| *kind != index);
        step.done(device.set_irqs(IrqAction::Trigger, irq_number(index), 0, IrqData::None(0)))
    }
}
