//! Steps on the content of memory.

use crate::language::quantity::{Number, Offset, as_number, as_offset};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::device::Bits;
use crate::language::{Duration, Dynamic, Name, Size, Template};

/// Memory and what to put there: either a `pattern` or a `value`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// The region's name.
    #[schemars(example = &"buffer")]
    pub region: Name,
    /// Where in the region to begin, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = 0))]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Option<Dynamic<Size>>,
    /// How many bytes; by default the whole region from `offset` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB")]
    pub size: Option<Dynamic<Size>>,
    /// Any text: each stands for a content of its own, in which no eight bytes are like the next ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"sent", example = &"round {{ round }}")]
    pub pattern: Option<Template>,
    /// What every byte becomes, 0 to 0xff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "0xa5")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub value: Option<Dynamic<Size>>,
}

/// Memory and what has to be there: what is `with` another region, or what `fill` puts there for a `pattern` or a `value`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The region's name.
    #[schemars(example = &"buffer")]
    pub region: Name,
    /// Where in the region to begin, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = 0))]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Option<Dynamic<Size>>,
    /// How many bytes; by default the whole region from `offset` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB")]
    pub size: Option<Dynamic<Size>>,
    /// The region that it has to be like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"source")]
    pub with: Option<Name>,
    /// Where in the other region to begin, in bytes; by default as far in as in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub with_offset: Option<Dynamic<Size>>,
    /// The text that it was filled by, from `offset` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"sent")]
    pub pattern: Option<Template>,
    /// What every byte has to be, 0 to 0xff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "0xa5")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub value: Option<Dynamic<Size>>,
}

/// A number in memory, little-endian.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryRead {
    /// The region's name.
    #[schemars(example = &"ring")]
    pub region: Name,
    /// Where in the region it is, in bytes.
    #[schemars(example = "0x8")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
}

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
