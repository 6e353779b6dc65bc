// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{poll::PATIENCE, prelude::*};
use crate::uapi::irq;

impl Act for EventWait {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let EventWait { event, timeout } = self;
        let within = timeout.unwrap_or(Duration(PATIENCE));
        let got = irq::wait(step.opened("event", event)?, within.0, step.case.tracer);
        let count = got.and_then(|count| count.ok_or(Errno(libc::ETIMEDOUT)));
        step.gave(count, |count| Value::from_pairs([("count", count)]))
    }
}
