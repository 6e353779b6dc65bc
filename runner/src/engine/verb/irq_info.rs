// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::engine::device::irq_number;

impl Act for IrqInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqInfo(Interrupts { index }) = self;
        let index = step.interrupt(index)?;
        step.gave(step.vfio()?.irq_info(irq_number(index)), |info| {
            Value::from_pairs([("count", Value::from(info.count)), ("maskable", Value::from(info.maskable()))])
        })
    }
}
