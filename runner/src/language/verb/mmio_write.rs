// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmio_write`.

use super::prelude::*;

verb! {
    /// A register in a BAR and a value for it.
    pub struct MmioWrite {
        /// The BAR's number, 0 to 5.
        #[example(0)]
        pub bar: Dynamic<Size> as Number(Fit::Bar),
        /// Where the register is in it, in bytes: a multiple of its width.
        #[example("0x8")]
        pub offset: Dynamic<Size> as Offset(bits.place()),
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
        /// What to write; it has to fit.
        #[example("0x1")]
        pub value: Dynamic<Size> as Number(bits.fit()),
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
