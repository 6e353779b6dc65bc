// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Mremap {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Mremap { region, offset, size, to } = self;
        let part = step.there(region, step.part(region, offset, size)?)?;
        let there = &step.memory(to).mapping;
        if !there.is_reserved() || there.len() < part.size {
            let title = format!("region `{to}` is no reservation of {}", amount(part.size));
            return Err(step.error(Code::NoReservation, "to", title, "expected `memory: reserved`, at least as large"));
        }
        step.done(part.memory.move_to(there, part.offset, part.size))
    }
}
