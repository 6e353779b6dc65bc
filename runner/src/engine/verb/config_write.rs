// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for ConfigWrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigWrite { capability, offset, bits, value, set, clear } = self;
        let value = value.as_ref().map(|value| step.register_value("value", value, offset, *bits)).transpose()?;
        let register = step.config_register(capability, offset, *bits)?;
        step.changes(Changed::Shown)?;
        let got = match (value, offset) {
            (Some(value), _) => register.write(value),
            (None, ConfigPlace::Named(named)) => {
                register.read().and_then(|now| register.write((now | named.value(set)) & !named.value(clear)))
            }
            (None, ConfigPlace::At(_)) => {
                unreachable!("the check wants the name of the register beside names of its bits")
            }
        };
        step.done(got)
    }
}
