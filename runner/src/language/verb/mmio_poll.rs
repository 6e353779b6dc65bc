// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmio_poll`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Site, Takes};
use super::fit::Fit;
use super::mistakes::never_is;
use super::shared::Bits;
use crate::language::{
    Diagnostic, Duration, Dynamic, Size, keys,
    quantity::{Number, Offset},
};

keys! {
    /// A register in a BAR and the value to wait for.
    #[derive(Serialize)]
    pub struct MmioPoll {
        /// The BAR's number, 0 to 5.
        #[schemars(example = 0)]
        #[schemars(with = "Dynamic<Number>")]
        pub bar: Dynamic<Size> as Number::read,
        /// Where the register is in it, in bytes: a multiple of its width.
        #[schemars(example = "0x98")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How wide it is.
        pub bits: Bits = default,
        /// Which of its bits are compared. The default is all.
        #[schemars(example = "0x1")]
        #[schemars(with = "Dynamic<Number>")]
        pub mask: Option<Dynamic<Size>> as Number::read,
        /// The value that these bits are to have.
        #[schemars(example = "0x0")]
        #[schemars(with = "Dynamic<Number>")]
        pub is: Dynamic<Size> as Number::read,
        /// How long to wait for it before the step fails with ETIMEDOUT.
        #[schemars(example = &"100ms", extend("default" = "1s"))]
        pub timeout: Option<Duration>,
    }
}

impl Known for MmioPoll {
    const ABOUT: About = About {
        does: "Read a register in a BAR until it has a value. Saves `value`, or fails with ETIMEDOUT.",
        examples: &[r#"{ bar: 0, offset: "0x98", is: "0x0" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };
}

impl Takes for MmioPoll {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        never_is(&self.mask, &self.is, site).into_iter().collect()
    }

    fn keys(&self) -> Keys<'_> {
        let MmioPoll { bar, offset, bits, mask, is, timeout } = self;
        Keys::default()
            .number("bar", bar, Fit::Bar)
            .number("offset", offset, bits.place())
            .word("bits", bits)
            .number("mask", mask, bits.fit())
            .number("is", is, bits.fit())
            .word("timeout", timeout)
    }
}
