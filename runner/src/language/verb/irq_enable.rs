// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_enable`.

use serde::Serialize;

use super::about::{About, Keys, Known, Takes};
use super::fit::Fit;
use super::shared::Index;
use crate::language::{Dynamic, Size, keys, quantity::Number};

keys! {
    /// Interrupts to enable.
    #[derive(Serialize)]
    pub struct IrqEnable {
        /// The kind of interrupt.
        #[schemars(example = &"msi", example = &"{{ index }}")]
        pub index: Dynamic<Index>,
        /// How many vectors, from vector 0 on.
        #[schemars(example = 4, extend("default" = 1))]
        #[schemars(with = "Dynamic<Number>")]
        pub count: Option<Dynamic<Size>> as Number::read,
    }
}

impl Known for IrqEnable {
    const ABOUT: About = About {
        does: "Enable interrupts, each with an eventfd to wait for. The device is restored after the case.",
        examples: &["{ index: msi }"],
        device: true,
        ..About::CALL
    };
}

impl Takes for IrqEnable {
    fn keys(&self) -> Keys<'_> {
        let IrqEnable { index, count } = self;
        Keys::default().interrupt("index", index).number("count", count, Fit::Vectors)
    }
}
