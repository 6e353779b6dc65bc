// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `memory_write`.

use serde::Serialize;

use super::about::{About, Keys, Known, Stands, Takes};
use super::shared::Bits;
use crate::language::{
    Dynamic, Name, Size, keys,
    quantity::{Number, Offset},
};

keys! {
    /// A place in memory and a number for it, little-endian.
    #[derive(Serialize)]
    pub struct MemoryWrite {
        /// The region's name.
        #[schemars(example = &"ring")]
        pub region: Name,
        /// Where in the region to write it, in bytes.
        #[schemars(example = "0x8")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How wide it is.
        pub bits: Bits = default,
        /// What to write; it has to fit.
        #[schemars(example = "{{ source }}")]
        #[schemars(with = "Dynamic<Number>")]
        pub value: Dynamic<Size> as Number::read,
    }
}

impl Known for MemoryWrite {
    const ABOUT: About = About {
        does: "Write a number to memory.",
        examples: &[r#"{ region: ring, offset: "0x8", value: "{{ source }}" }"#],
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for MemoryWrite {
    fn keys(&self) -> Keys<'_> {
        let MemoryWrite { region, offset, bits, value } = self;
        Keys::default().region("region", region).size("offset", offset).word("bits", bits).number(
            "value",
            value,
            bits.fit(),
        )
    }
}
