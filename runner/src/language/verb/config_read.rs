//! The verb `config_read`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::Bits;
use crate::language::{
    Dynamic, Size,
    quantity::{Offset, as_offset},
};

/// A register of the configuration space.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRead {
    /// Where it is, in bytes.
    #[schemars(example = "0x4")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
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
