// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{given, prelude::*};
use crate::{engine::device::irq_number, uapi::request::find};

impl Act for IrqInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqInfo(Interrupts { index }) = self;
        let index = step.interrupt(index)?;
        step.gave(step.vfio()?.irq_info(irq_number(index)), |info| {
            let flags = find("VFIO_DEVICE_GET_IRQ_INFO").and_then(|request| request.field("flags"));
            let flags = flags.map(|field| given::value(&field.named(info.flags.into())));
            Value::from_pairs([
                ("count", Value::from(info.count)),
                ("maskable", Value::from(info.maskable())),
                ("flags", flags.unwrap_or_default()),
            ])
        })
    }
}
