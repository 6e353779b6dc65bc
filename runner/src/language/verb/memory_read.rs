// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `memory_read`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Stands, Takes};
use super::shared::Bits;
use crate::language::{Dynamic, Name, Size, keys, quantity::Offset};

keys! {
    /// A number in memory, little-endian.
    #[derive(Serialize)]
    pub struct MemoryRead {
        /// The region's name.
        #[schemars(example = &"ring")]
        pub region: Name,
        /// Where in the region it is, in bytes.
        #[schemars(example = "0x8")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How wide it is.
        pub bits: Bits = default,
    }
}

impl Known for MemoryRead {
    const ABOUT: About = About {
        does: "Read a number from memory. Saves `value`.",
        examples: &[r#"{ region: ring, offset: "0x8" }"#],
        saves: Saves::Fields(&["value"]),
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for MemoryRead {
    fn keys(&self) -> Keys<'_> {
        let MemoryRead { region, offset, bits } = self;
        Keys::default().region("region", region).size("offset", offset).word("bits", bits)
    }
}
