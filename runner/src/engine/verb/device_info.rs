// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{given, prelude::*};

impl Act for DeviceInfo {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let DeviceInfo(NoArguments {}) = self;
        let got = step.asked("VFIO_DEVICE_GET_INFO", &[])?;
        step.gave(got, |fields| {
            let number = |name: &str| given::field(&fields, name);
            let resets = Value::from(given::has(&fields, "flags", "RESET"));
            let all = [("regions", number("num_regions")), ("irqs", number("num_irqs")), ("resets", resets)];
            Value::from_pairs(given::only(&fields, &["flags", "capabilities"]).chain(all))
        })
    }
}
