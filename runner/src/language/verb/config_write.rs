// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_write`.

use super::prelude::*;

verb! {
    /// A register of the configuration space and a value for it.
    pub struct ConfigWrite {
        /// The capability whose registers `offset` counts from. Without it, from the beginning of the configuration space.
        #[example("pm")]
        pub capability: Option<Structure>,
        /// Where it is, in bytes.
        #[example("0x4")]
        pub offset: Dynamic<Size> as Offset,
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
        /// What to write; it has to fit.
        #[example("0x6")]
        pub value: Dynamic<Size> as Number(bits.fit()),
    }
}

impl Known for ConfigWrite {
    const ABOUT: About = About {
        does: "Write a register of the configuration space. The device is restored after the case.",
        examples: &[r#"{ offset: "0x4", value: "0x6" }"#],
        device: true,
        ..About::CALL
    };
}
