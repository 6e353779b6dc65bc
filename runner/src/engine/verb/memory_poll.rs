// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running, poll::poll};
use crate::{engine::failure::End, language::verb::MemoryPoll};

impl Act for MemoryPoll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MemoryPoll { region, offset, bits, mask, is, timeout } = self;
        let wanted = step.fitting("is", is, *bits)?;
        let mask = mask.as_ref().map(|mask| step.fitting("mask", mask, *bits)).transpose()?;
        let part = step.number_in(region, offset, *bits)?;
        let polled = poll(*timeout, mask, wanted, || part.number());
        step.save(polled.last.map_or(Value::UNDEFINED, |value| Value::from_pairs([("value", value)])));
        let failed = step.compare(polled.got.map(|()| None));
        failed.map_err(|end| match polled.late() {
            None => end,
            Some(late) => {
                end.title(format!("memory_poll: region `{region}` at {:#x} was still {late} (ETIMEDOUT)", part.offset))
            }
        })
    }
}
