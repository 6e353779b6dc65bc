//! The verb `memory_poll`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Site, Stands, Takes};
use super::mistakes::never_is;
use super::shared::Bits;
use crate::language::{
    Diagnostic, Duration, Dynamic, Name, Size,
    quantity::{Number, Offset, as_number, as_offset},
};

/// A number in memory and the value to wait for, which a device writes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryPoll {
    /// The region's name.
    #[schemars(example = &"ring")]
    pub region: Name,
    /// Where in the region it is, in bytes.
    #[schemars(example = "0xc")]
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
    #[schemars(example = "0x1")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub is: Dynamic<Size>,
    /// How long to wait for it, after which the step gives ETIMEDOUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"100ms", extend("default" = "1s"))]
    pub timeout: Option<Duration>,
}

impl Known for MemoryPoll {
    const ABOUT: About = About {
        does: "Read a number from memory until the device has written a value there. Saves `value`, or ETIMEDOUT.",
        examples: &[r#"{ region: ring, offset: "0xc", is: "0x1" }"#],
        saves: Saves::Fields(&["value"]),
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for MemoryPoll {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        never_is(&self.mask, &self.is, site).into_iter().collect()
    }

    fn keys(&self) -> Keys<'_> {
        let MemoryPoll { region, offset, bits, mask, is, timeout } = self;
        Keys::default()
            .region("region", region)
            .size("offset", offset)
            .word("bits", bits)
            .number("mask", mask, bits.fit())
            .number("is", is, bits.fit())
            .word("timeout", timeout)
    }
}
