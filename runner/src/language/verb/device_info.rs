// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `device_info`.

use super::prelude::*;

verb!(DeviceInfo(NoArguments));

impl Known for DeviceInfo {
    const ABOUT: About = About {
        does: "Read what the device is; takes nothing. Saves `regions` and `irqs` (how many kinds of each), whether it \
            `resets`, its `flags` by name, and its `capabilities` by name, each with its fields.",
        examples: &["null"],
        saves: Saves::Fields(&["regions", "irqs", "resets", "flags", "capabilities"]),
        device: true,
        reads: true,
        ..About::CALL
    };
}
