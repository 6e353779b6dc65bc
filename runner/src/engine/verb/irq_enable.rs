// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use super::prelude::*;
use crate::{
    engine::device::irq_number,
    uapi::irq::{IrqAction, IrqData, eventfd},
};

impl Act for IrqEnable {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqEnable { index, start, count } = self;
        let index = step.interrupt(index)?;
        let count = step.optional("count", count)?.unwrap_or(1);
        if !(1..=MOST_VECTORS).contains(&count) {
            let title = format!("{count} vectors cannot be enabled, expected 1 to {MOST_VECTORS}");
            return Err(step.out_of_range("count", title, ""));
        }
        let start = start.as_ref().map_or(Ok(0), |start| step.small("start", start))?;
        let made: Result<Vec<OwnedFd>, Errno> = (0..count).map(|_| eventfd(step.case.tracer)).collect();
        let events =
            made.map_err(|errno| step.error(Code::Eventfd, "count", format!("failed to make an event: {errno}"), ""))?;
        let open = step.changes(Changed::Shown)?;
        let fds: Vec<_> = events.iter().map(AsFd::as_fd).collect();
        let device = open.session.device();
        let got = device.set_irqs(IrqAction::Trigger, irq_number(index), start, IrqData::EventFds(&fds));
        if got.is_ok() {
            step.case.device.enables(irq_number(index));
            let numbered = (start..).zip(events);
            step.case.device.events.extend(numbered.map(|(vector, event)| ((index, vector), Arc::new(event))));
        }
        let [intx, msi, msix] = open.vectors;
        let has = match index {
            Index::Intx => Some(intx),
            Index::Msi => Some(msi),
            Index::Msix => Some(msix),
            Index::Err | Index::Req => None,
        };
        step.done(got).map_err(|end| match has {
            Some(has) if got.is_err() && u64::from(start) + count > u64::from(has) => {
                let vectors = if has == 1 { "vector" } else { "vectors" };
                let asked = match start {
                    0 => count.to_string(),
                    _ => format!("{count} from {start} on"),
                };
                end.help(format!("the device has {has} {vectors} of {}, and the step asks for {asked}", index.as_str()))
            }
            _ => end,
        })
    }
}
