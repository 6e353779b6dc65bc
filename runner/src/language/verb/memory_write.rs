//! The verb `memory_write`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Stands, Takes};
use super::shared::Bits;
use crate::language::{
    Dynamic, Name, Size,
    quantity::{Number, Offset, as_number, as_offset},
};

/// A place in memory and a number for it, little-endian.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryWrite {
    /// The region's name.
    #[schemars(example = &"ring")]
    pub region: Name,
    /// Where in the region it goes, in bytes.
    #[schemars(example = "0x8")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
    /// What to write; it has to fit.
    #[schemars(example = "{{ source }}")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub value: Dynamic<Size>,
}

impl Known for MemoryWrite {
    const ABOUT: About = About {
        does: "Write a number to memory.",
        examples: &[r#"{ region: ring, offset: "0x8", value: "{{ source }}" }"#],
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for MemoryWrite {
    fn keys(&self) -> Keys<'_> {
        let MemoryWrite { region, offset, bits, value } = self;
        Keys::default().region("region", region).size("offset", offset).word("bits", bits).number(
            "value",
            value,
            bits.fit(),
        )
    }
}
