// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for DeviceInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let DeviceInfo(NoArguments {}) = self;
        step.gave(step.vfio()?.info(), |info| {
            Value::from_pairs([
                ("regions", Value::from(info.regions)),
                ("irqs", Value::from(info.irqs)),
                ("resets", Value::from(info.can_reset())),
            ])
        })
    }
}
