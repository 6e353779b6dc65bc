// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for ConfigRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigRead { capability, offset, bits } = self;
        let register = step.config_register(capability, offset, *bits)?;
        step.gave(register.read(), |value| {
            let names = offset.with_bits().map(|register| {
                let set = register.bits().iter().filter(|(_, number)| value >> number & 1 == 1);
                ("set", set.map(|(bit, _)| bit.as_str()).collect::<Value>())
            });
            Value::from_pairs([("value", Value::from(value))].into_iter().chain(names))
        })
    }
}
