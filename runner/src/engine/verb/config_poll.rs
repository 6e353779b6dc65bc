// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{poll::Until, prelude::*};

impl Act for ConfigPoll {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigPoll { capability, offset, bits, mask, is, timeout } = self;
        let register = step.config_register(capability, offset, *bits)?;
        let what = format!("the register at {:#x} of the configuration space", register.offset);
        let is = Size(step.register_value("is", is, offset, *bits)?).into();
        let mask = mask.as_ref().map(|mask| step.register_value("mask", mask, offset, *bits)).transpose()?;
        let mask = mask.map(|mask| Size(mask).into());
        let until = Until { is: &is, mask: &mask, bits: offset.width(*bits), timeout: *timeout };
        step.poll(until, &what, || register.read())
    }
}
