// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Mlock {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let part = step.part_to_change(&self.0)?;
        step.done(part.memory.lock(part.offset, part.size))
    }
}
