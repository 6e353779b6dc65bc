// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running, poll::poll};
use crate::{
    engine::{device::width, failure::End},
    language::verb::MmioPoll,
};

impl Act for MmioPoll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MmioPoll { bar, offset, bits, mask, is, timeout } = self;
        let wanted = step.fitting("is", is, *bits)?;
        let mask = mask.as_ref().map(|mask| step.fitting("mask", mask, *bits)).transpose()?;
        let register = step.register(bar, offset, *bits)?;
        let polled = poll(*timeout, mask, wanted, || register.bar.mmio_read(register.offset, width(*bits)));
        step.save(polled.last.map_or(Value::UNDEFINED, |value| Value::from_pairs([("value", value)])));
        let failed = step.compare(polled.got.map(|()| None));
        failed.map_err(|end| match polled.late() {
            None => end,
            Some(late) => end.title(format!(
                "mmio_poll: the register at {:#x} of BAR {} was still {late} (ETIMEDOUT)",
                register.offset, register.index
            )),
        })
    }
}
