//! The verb `mmio_poll`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Site, Takes};
use super::fit::Fit;
use super::mistakes::never_is;
use super::shared::Bits;
use crate::language::{
    Diagnostic, Duration, Dynamic, Size,
    quantity::{Number, Offset, as_number, as_offset},
};

/// A register in a BAR and the value to wait for.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmioPoll {
    /// The BAR's number, 0 to 5.
    #[schemars(example = 0)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub bar: Dynamic<Size>,
    /// Where the register is in it, in bytes: a multiple of its width.
    #[schemars(example = "0x98")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
    /// Which of its bits are looked at; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "0x1")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub mask: Option<Dynamic<Size>>,
    /// The value that these bits are to have.
    #[schemars(example = "0x0")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub is: Dynamic<Size>,
    /// How long to wait for it, after which the step gives ETIMEDOUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"100ms", extend("default" = "1s"))]
    pub timeout: Option<Duration>,
}

impl Known for MmioPoll {
    const ABOUT: About = About {
        does: "Read a register in a BAR until it has a value. Saves `value`, or ETIMEDOUT.",
        examples: &[r#"{ bar: 0, offset: "0x98", is: "0x0" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };
}

impl Takes for MmioPoll {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        never_is(&self.mask, &self.is, site).into_iter().collect()
    }

    fn keys(&self) -> Keys<'_> {
        let MmioPoll { bar, offset, bits, mask, is, timeout } = self;
        Keys::default()
            .number("bar", bar, Fit::Bar)
            .number("offset", offset, bits.place())
            .word("bits", bits)
            .number("mask", mask, bits.fit())
            .number("is", is, bits.fit())
            .word("timeout", timeout)
    }
}
