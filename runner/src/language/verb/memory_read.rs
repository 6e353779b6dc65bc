// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `memory_read`.

use super::prelude::*;

verb! {
    /// A number in memory, little-endian.
    pub struct MemoryRead {
        /// The region's name.
        #[example("ring")]
        pub region: Name as RegionName,
        /// Where in the region it is, in bytes.
        #[example("0x8")]
        pub offset: Dynamic<Size> as Offset,
        /// How wide it is.
        #[default(32)]
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
