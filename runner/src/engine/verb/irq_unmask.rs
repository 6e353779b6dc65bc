// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{
    engine::device::irq_number,
    uapi::irq::{IrqAction, IrqData},
};

impl Act for IrqUnmask {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqUnmask { index, vector, event } = self;
        let (index, vector, device) = (step.interrupt(index)?, step.vector(vector)?, step.vfio()?);
        let event = event.as_ref().map(|event| step.opened("event", event)).transpose()?;
        let events = event.map(|event| [event]);
        let data = events.as_ref().map_or(IrqData::None(1), |events| IrqData::EventFds(events));
        step.done(device.set_irqs(IrqAction::Unmask, irq_number(index), vector, data))
    }
}
