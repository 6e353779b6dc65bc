// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_write`.

use serde::Serialize;

use super::about::{About, Keys, Known, Takes};
use super::shared::Bits;
use crate::language::{
    Dynamic, Size, keys,
    quantity::{Number, Offset},
};

keys! {
    /// A register of the configuration space and a value for it.
    #[derive(Serialize)]
    pub struct ConfigWrite {
        /// Where it is, in bytes.
        #[schemars(example = "0x4")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How wide it is.
        pub bits: Bits = default,
        /// What to write; it has to fit.
        #[schemars(example = "0x6")]
        #[schemars(with = "Dynamic<Number>")]
        pub value: Dynamic<Size> as Number::read,
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

impl Takes for ConfigWrite {
    fn keys(&self) -> Keys<'_> {
        let ConfigWrite { offset, bits, value } = self;
        Keys::default().size("offset", offset).word("bits", bits).number("value", value, bits.fit())
    }
}
