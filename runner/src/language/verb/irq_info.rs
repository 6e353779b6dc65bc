// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_info`.

use super::prelude::*;

verb!(IrqInfo(Interrupts));

impl Known for IrqInfo {
    const ABOUT: About = About {
        does: "Read what the device has of a kind of interrupt. Saves `count`, how many vectors the device has, and whether it is `maskable`.",
        examples: &["{ index: msi }"],
        saves: Saves::Fields(&["count", "maskable"]),
        device: true,
        ..About::CALL
    };
}
