//! The verb `mmio_read`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Takes};
use super::fit::Fit;
use super::shared::Bits;
use crate::language::{
    Dynamic, Size,
    quantity::{Number, Offset, as_number, as_offset},
};

/// A register in a BAR.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmioRead {
    /// The BAR's number, 0 to 5.
    #[schemars(example = 0)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub bar: Dynamic<Size>,
    /// Where the register is in it, in bytes: a multiple of its width.
    #[schemars(example = "0x8")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
}

impl Known for MmioRead {
    const ABOUT: About = About {
        does: "Read a register in a BAR, through a mapping of it. Saves `value`.",
        examples: &[r#"{ bar: 0, offset: "0x8" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };
}

impl Takes for MmioRead {
    fn keys(&self) -> Keys<'_> {
        let MmioRead { bar, offset, bits } = self;
        Keys::default().number("bar", bar, Fit::Bar).number("offset", offset, bits.place()).word("bits", bits)
    }
}
