// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmio_submit`.

use super::prelude::*;

verb! {
    /// A descriptor in memory, and where a device takes it.
    pub struct MmioSubmit {
        /// The BAR's number, 0 to 5.
        #[example(2)]
        pub bar: Dynamic<Size> as Number(Fit::Bar),
        /// Where in it, in bytes: a multiple of 64.
        #[example(0)]
        pub offset: Dynamic<Size> as Offset,
        /// The region that holds the descriptor.
        #[example("descriptors")]
        pub region: Name as RegionName,
        /// Where the descriptor begins in the region, in bytes.
        #[example("0x40")] #[default(0)]
        pub from: Option<Dynamic<Size>> as Offset,
    }
}

impl Known for MmioSubmit {
    const ABOUT: About = About {
        does: "Write 64 bytes of a region to a BAR in one piece, as a device with portals takes a descriptor. The case is skipped on processors that cannot (MOVDIR64B).",
        examples: &["{ bar: 2, offset: 0, region: descriptors }"],
        device: true,
        ..About::CALL
    };
}
