// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_wait`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Takes};
use super::fit::Fit;
use super::shared::Index;
use crate::language::{Duration, Dynamic, Size, keys, quantity::Number};

keys! {
    /// One interrupt to wait for.
    #[derive(Serialize)]
    pub struct IrqWait {
        /// The kind of interrupt.
        #[schemars(example = &"msi", example = &"{{ index }}")]
        pub index: Dynamic<Index>,
        /// Which vector.
        #[schemars(example = 0, extend("default" = 0))]
        #[schemars(with = "Dynamic<Number>")]
        pub vector: Option<Dynamic<Size>> as Number::read,
        /// How long to wait for it before the step fails with ETIMEDOUT. `0s` only checks.
        #[schemars(example = &"100ms", extend("default" = "1s"))]
        pub timeout: Option<Duration>,
    }
}

impl Known for IrqWait {
    const ABOUT: About = About {
        does: "Wait for an interrupt that was enabled. Saves `count`, how often it arrived since the last wait, or fails with ETIMEDOUT.",
        examples: &["{ index: msi }"],
        saves: Saves::Fields(&["count"]),
        device: true,
        ..About::CALL
    };
}

impl Takes for IrqWait {
    fn keys(&self) -> Keys<'_> {
        let IrqWait { index, vector, timeout } = self;
        Keys::default().interrupt("index", index).number("vector", vector, Fit::Bits(32)).word("timeout", timeout)
    }
}
