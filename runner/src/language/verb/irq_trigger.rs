// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_trigger`.

use super::prelude::*;

verb!(IrqTrigger(OneInterrupt));

impl Known for IrqTrigger {
    const ABOUT: About = About {
        does: "Make the kernel act as if an interrupt had arrived.",
        examples: &["{ index: msi }"],
        device: true,
        ..About::CALL
    };
}
