// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{
    engine::{device::irq_number, failure::End},
    language::verb::IrqTrigger,
    uapi::irq::IrqData,
};

impl Act for IrqTrigger {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqTrigger { index, vector } = self;
        let index = step.interrupt(index)?;
        let vector = vector.as_ref().map_or(Ok(0), |vector| step.small("vector", vector))?;
        let device = step.open()?.session.device();
        step.done(device.set_irqs(irq_number(index), vector, IrqData::None(1)))
    }
}
