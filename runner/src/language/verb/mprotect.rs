// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mprotect`.

use super::prelude::*;

verb! {
    /// A part of a region, and what the CPU may do with it from now on.
    pub struct Mprotect {
        /// The region's name.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>> as Size(Fit::NotZero),
        /// What the CPU may do with it.
        pub protection: Protection,
    }
}

impl Known for Mprotect {
    const ABOUT: About = About {
        does: "Change what the CPU may do with memory, while a device may have it mapped. The steps that fill, compare, read and \
            write memory are held to it.",
        examples: &["{ region: buffer, protection: read }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
