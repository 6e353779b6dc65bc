// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{engine::device::width, uapi::irq::WriteOnEvent};

impl Act for IoEventFd {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IoEventFd { bar, offset, bits, value, event } = self;
        let (bar, offset) = (step.small("bar", bar)?, step.size("offset", offset)?);
        let value = step.fitting("value", value, *bits)?;
        // What the kernel writes later is no call of ours.
        let device = step.changes(Changed::More)?.session.device();
        let event = event.as_ref().map(|event| step.opened("event", event)).transpose()?;
        let got = device.region(bar).and_then(|region| {
            let offset = region.offset.checked_add(offset).ok_or(Errno(libc::EOVERFLOW))?;
            device.ioeventfd(WriteOnEvent { offset, width: width(*bits), value }, event)
        });
        step.done(got)
    }
}
