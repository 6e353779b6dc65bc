// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{
    engine::failure::End,
    language::verb::{DeviceInfo, NoArguments},
};

impl Act for DeviceInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let DeviceInfo(NoArguments {}) = self;
        let got = step.open()?.session.device().info();
        step.gave(got, |info| {
            Value::from_pairs([
                ("regions", Value::from(info.regions)),
                ("irqs", Value::from(info.irqs)),
                ("resets", Value::from(info.can_reset())),
            ])
        })
    }
}
