// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{poll::Until, prelude::*};

impl Act for ConfigPoll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigPoll { capability, offset, bits, mask, is, timeout } = self;
        let register = step.config_register(capability, offset, *bits)?;
        let what = format!("the register at {:#x} of the configuration space", register.offset);
        step.poll(Until { is, mask, bits: *bits, timeout: *timeout }, &what, || register.read())
    }
}
