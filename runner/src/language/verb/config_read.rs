// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_read`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::Bits;
use crate::language::{Dynamic, Size, keys, quantity::Offset};

keys! {
    /// A register of the configuration space.
    #[derive(Serialize)]
    pub struct ConfigRead {
        /// Where it is, in bytes.
        #[schemars(example = "0x4")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How wide it is.
        pub bits: Bits = default,
    }
}

impl Known for ConfigRead {
    const ABOUT: About = About {
        does: "Read a register of the configuration space. Saves `value`.",
        examples: &[r#"{ offset: "0x4" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };
}

impl Takes for ConfigRead {
    fn keys(&self) -> Keys<'_> {
        let ConfigRead { offset, bits } = self;
        Keys::default().size("offset", offset).word("bits", bits)
    }
}
