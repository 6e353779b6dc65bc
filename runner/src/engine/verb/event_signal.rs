// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::irq;

impl Act for EventSignal {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let EventSignal { event } = self;
        let got = irq::signal(step.opened("event", event)?, step.case.tracer);
        step.done(got)
    }
}
