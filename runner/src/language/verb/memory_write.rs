// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `memory_write`.

use super::prelude::*;

verb! {
    /// A place in memory and a number for it, little-endian.
    pub struct MemoryWrite {
        /// The region's name.
        #[example("ring")]
        pub region: Name as RegionName,
        /// Where in the region to write it, in bytes.
        #[example("0x8")]
        pub offset: Dynamic<Size> as Offset,
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
        /// What to write; it has to fit.
        #[example("{{ source }}")]
        pub value: Dynamic<Size> as Number(bits.fit()),
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
