// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{
    engine::device::irq_number,
    uapi::irq::{IrqAction, IrqData},
};

impl Act for IrqMask {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqMask(OneInterrupt { index, vector }) = self;
        let (index, vector) = (step.interrupt(index)?, step.vector(vector)?);
        step.done(step.vfio()?.set_irqs(IrqAction::Mask, irq_number(index), vector, IrqData::None(1)))
    }
}
