// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_disable`.

use super::about::{About, Keys, Known, Takes};
use super::shared::{Interrupts, takes};

takes!(IrqDisable(Interrupts));

impl Known for IrqDisable {
    const ABOUT: About =
        About { does: "Disable all interrupts of a kind.", examples: &["{ index: msi }"], device: true, ..About::CALL };
}

impl Takes for IrqDisable {
    fn keys(&self) -> Keys<'_> {
        let IrqDisable(Interrupts { index }) = self;
        Keys::default().interrupt("index", index)
    }
}
