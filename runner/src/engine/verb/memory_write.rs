// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::atomic::{Ordering, fence};

use super::prelude::*;
use crate::engine::device::width;

impl Act for MemoryWrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MemoryWrite { region, offset, bits, value } = self;
        let value = step.fitting("value", value, *bits)?;
        let part = step.number_in(region, offset, *bits)?;
        step.writes(region);
        let got = part.memory.write(part.offset, &value.to_le_bytes()[..width(*bits).bytes()]);
        fence(Ordering::SeqCst);
        part.explain(step.done(got))
    }
}
