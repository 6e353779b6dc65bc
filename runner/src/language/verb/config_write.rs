//! The verb `config_write`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Takes};
use super::shared::Bits;
use crate::language::{
    Dynamic, Size,
    quantity::{Number, Offset, as_number, as_offset},
};

/// A register of the configuration space and a value for it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigWrite {
    /// Where it is, in bytes.
    #[schemars(example = "0x4")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
    /// What to write; it has to fit.
    #[schemars(example = "0x6")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub value: Dynamic<Size>,
}

impl Known for ConfigWrite {
    const ABOUT: About = About {
        does: "Write a register of the configuration space. The device is opened anew after the case.",
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
