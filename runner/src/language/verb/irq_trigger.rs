// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_trigger`.

use serde::Serialize;

use super::about::{About, Keys, Known, Takes};
use super::fit::Fit;
use super::shared::Index;
use crate::language::{Dynamic, Size, keys, quantity::Number};

keys! {
    /// One interrupt to trigger.
    #[derive(Serialize)]
    pub struct IrqTrigger {
        /// The kind of interrupt.
        #[schemars(example = &"msi", example = &"{{ index }}")]
        pub index: Dynamic<Index>,
        /// Which vector.
        #[schemars(example = 0, extend("default" = 0))]
        #[schemars(with = "Dynamic<Number>")]
        pub vector: Option<Dynamic<Size>> as Number::read,
    }
}

impl Known for IrqTrigger {
    const ABOUT: About = About {
        does: "Make the kernel act as if an interrupt had arrived.",
        examples: &["{ index: msi }"],
        device: true,
        ..About::CALL
    };
}

impl Takes for IrqTrigger {
    fn keys(&self) -> Keys<'_> {
        let IrqTrigger { index, vector } = self;
        Keys::default().interrupt("index", index).number("vector", vector, Fit::Bits(32))
    }
}
