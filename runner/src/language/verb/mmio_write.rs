// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmio_write`.

use serde::Serialize;

use super::about::{About, Keys, Known, Takes};
use super::fit::Fit;
use super::shared::Bits;
use crate::language::{
    Dynamic, Size, keys,
    quantity::{Number, Offset},
};

keys! {
    /// A register in a BAR and a value for it.
    #[derive(Serialize)]
    pub struct MmioWrite {
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
        /// What to write; it has to fit.
        #[schemars(example = "0x1")]
        #[schemars(with = "Dynamic<Number>")]
        pub value: Dynamic<Size> as Number::read,
    }
}

impl Known for MmioWrite {
    const ABOUT: About = About {
        does: "Write a register in a BAR, through a mapping of it. The device is restored after the case.",
        examples: &[r#"{ bar: 0, offset: "0x8", value: "0x1" }"#],
        device: true,
        ..About::CALL
    };
}

impl Takes for MmioWrite {
    fn keys(&self) -> Keys<'_> {
        let MmioWrite { bar, offset, bits, value } = self;
        Keys::default().number("bar", bar, Fit::Bar).number("offset", offset, bits.place()).word("bits", bits).number(
            "value",
            value,
            bits.fit(),
        )
    }
}
