// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmio_read`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Takes};
use super::fit::Fit;
use super::shared::Bits;
use crate::language::{
    Dynamic, Size, keys,
    quantity::{Number, Offset},
};

keys! {
    /// A register in a BAR.
    #[derive(Serialize)]
    pub struct MmioRead {
        /// The BAR's number, 0 to 5.
        #[schemars(example = 0)]
        #[schemars(with = "Dynamic<Number>")]
        pub bar: Dynamic<Size> as Number::read,
        /// Where the register is in it, in bytes: a multiple of its width.
        #[schemars(example = "0x8")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How wide it is.
        pub bits: Bits = default,
    }
}

impl Known for MmioRead {
    const ABOUT: About = About {
        does: "Read a register in a BAR, through a mapping of it. Saves `value`.",
        examples: &[r#"{ bar: 0, offset: "0x8" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };
}

impl Takes for MmioRead {
    fn keys(&self) -> Keys<'_> {
        let MmioRead { bar, offset, bits } = self;
        Keys::default().number("bar", bar, Fit::Bar).number("offset", offset, bits.place()).word("bits", bits)
    }
}
