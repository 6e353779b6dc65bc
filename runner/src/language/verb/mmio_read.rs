// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmio_read`.

use super::prelude::*;

verb! {
    /// A register in a BAR.
    pub struct MmioRead {
        /// The BAR's number, 0 to 5.
        #[example(0)]
        pub bar: Dynamic<Size> as Number(Fit::Bar),
        /// Where the register is in it, in bytes: a multiple of its width.
        #[example("0x8")]
        pub offset: Dynamic<Size> as Offset(bits.place()),
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
    }
}

impl Known for MmioRead {
    const ABOUT: About = About {
        does: "Read a register in a BAR, through a mapping of it. Saves `value`.",
        examples: &[r#"{ bar: 0, offset: "0x8" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        reads: true,
        ..About::CALL
    };
}
