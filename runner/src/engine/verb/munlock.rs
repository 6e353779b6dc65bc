// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Munlock {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let part = step.part_to_change(&self.0)?;
        step.done(part.memory.unlock(part.offset, part.size))
    }
}
