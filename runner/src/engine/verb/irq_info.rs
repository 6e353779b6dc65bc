// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{
    engine::{device::irq_number, failure::End},
    language::verb::{Interrupts, IrqInfo},
};

impl Act for IrqInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqInfo(Interrupts { index }) = self;
        let index = step.interrupt(index)?;
        let got = step.open()?.session.device().irq_info(irq_number(index));
        step.gave(got, |info| {
            Value::from_pairs([("count", Value::from(info.count)), ("maskable", Value::from(info.maskable()))])
        })
    }
}
