// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Munmap {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let part = step.part_to_change(&self.0)?;
        step.done(part.memory.unmap(part.offset, part.size))
    }
}
