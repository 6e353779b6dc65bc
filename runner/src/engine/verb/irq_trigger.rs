// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{
    engine::device::irq_number,
    uapi::irq::{IrqAction, IrqData},
};

impl Act for IrqTrigger {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqTrigger(OneInterrupt { index, vector }) = self;
        let (index, vector) = (step.interrupt(index)?, step.vector(vector)?);
        step.done(step.vfio()?.set_irqs(IrqAction::Trigger, irq_number(index), vector, IrqData::None(1)))
    }
}
