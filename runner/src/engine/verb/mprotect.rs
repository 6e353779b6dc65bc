// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::engine::regions::prot;

impl Act for Mprotect {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Mprotect { region, offset, size, protection } = self;
        let part = step.there(region, step.part(region, offset, size)?)?;
        step.done(part.memory.protect(part.offset, part.size, prot(Some(*protection))))
    }
}
