// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_disable`.

use super::prelude::*;

verb!(IrqDisable(Interrupts));

impl Known for IrqDisable {
    const ABOUT: About =
        About { does: "Disable all interrupts of a kind.", examples: &["{ index: msi }"], device: true, ..About::CALL };
}
