// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{poll::Until, prelude::*};

impl Act for MmioPoll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MmioPoll { bar, offset, bits, mask, is, timeout } = self;
        let register = step.register(bar, offset, *bits)?;
        let what = format!("the register at {:#x} of BAR {}", register.offset, register.index);
        step.poll(Until { is, mask, bits: *bits, timeout: *timeout }, &what, || register.read())
    }
}
