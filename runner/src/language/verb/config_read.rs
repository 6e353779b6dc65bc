// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_read`.

use super::prelude::*;

verb! {
    /// A register of the configuration space.
    pub struct ConfigRead {
        /// The capability whose registers `offset` counts from. Without it, from the beginning of the configuration space.
        #[example("pm")]
        pub capability: Option<Structure>,
        /// Where it is, in bytes.
        #[example("0x4")]
        pub offset: Dynamic<Size> as Offset,
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
    }
}

impl Known for ConfigRead {
    const ABOUT: About = About {
        does: "Read a register of the configuration space. Saves `value`.",
        examples: &[r#"{ offset: "0x4" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        reads: true,
        ..About::CALL
    };
}
