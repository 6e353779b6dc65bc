// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{poll::Until, prelude::*};

impl Act for MemoryPoll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MemoryPoll { region, offset, bits, mask, is, timeout } = self;
        let part = step.number_in(region, offset, *bits)?;
        let what = format!("region `{region}` at {:#x}", part.offset);
        part.explain(step.poll(Until { is, mask, bits: *bits, timeout: *timeout }, &what, || part.number()))
    }
}
