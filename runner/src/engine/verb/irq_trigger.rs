// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{engine::device::irq_number, uapi::irq::IrqData};

impl Act for IrqTrigger {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqTrigger { index, vector } = self;
        let (index, vector) = (step.interrupt(index)?, step.vector(vector)?);
        step.done(step.vfio()?.set_irqs(irq_number(index), vector, IrqData::None(1)))
    }
}
