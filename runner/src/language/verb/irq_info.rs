// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_info`.

use super::prelude::*;

verb!(IrqInfo(Interrupts));

impl Known for IrqInfo {
    const ABOUT: About = About {
        does: "Read what the device has of a kind of interrupt. Saves `count`, how many vectors the device has, whether it is `maskable`, and its \
            `flags` by name.",
        examples: &["{ index: msi }"],
        saves: Saves::Fields(&["count", "maskable", "flags"]),
        device: true,
        reads: true,
        ..About::CALL
    };
}
