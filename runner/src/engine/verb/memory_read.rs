// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for MemoryRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MemoryRead { region, offset, bits } = self;
        let part = step.number_in(region, offset, *bits)?;
        part.explain(step.gave_value(part.number()))
    }
}
