// SPDX-License-Identifier: MIT OR Apache-2.0
use std::{os::fd::AsFd, sync::Arc};

use super::prelude::*;
use crate::{
    engine::device::irq_number,
    uapi::irq::{EventFd, IrqData},
};

impl Act for IrqEnable {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqEnable { index, count } = self;
        let index = step.interrupt(index)?;
        let count = step.optional("count", count)?.unwrap_or(1);
        if !(1..=MOST_VECTORS).contains(&count) {
            let title = format!("{count} vectors cannot be enabled, expected 1 to {MOST_VECTORS}");
            return Err(step.out_of_range("count", title, ""));
        }
        let made: Result<Vec<EventFd>, Errno> = (0..count).map(|_| EventFd::new(step.case.tracer)).collect();
        let events =
            made.map_err(|errno| step.error(Code::Eventfd, "count", format!("failed to make an event: {errno}"), ""))?;
        let open = step.changes(Changed::Shown)?;
        let fds: Vec<_> = events.iter().map(AsFd::as_fd).collect();
        let device = open.session.device();
        let got = device.set_irqs(irq_number(index), 0, IrqData::EventFds(&fds));
        if got.is_ok() {
            step.case.device.enables(irq_number(index));
            let numbered = (0..).zip(events);
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
            Some(has) if got.is_err() && count > u64::from(has) => {
                let vectors = if has == 1 { "vector" } else { "vectors" };
                end.help(format!("the device has {has} {vectors} of {}, and the step asks for {count}", index.as_str()))
            }
            _ => end,
        })
    }
}
