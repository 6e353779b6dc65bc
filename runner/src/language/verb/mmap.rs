//! The verb `mmap`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Stands, Takes};
use super::shared::Bits;
use crate::language::{
    Dynamic, Name, Protection, Size,
    quantity::{Offset, as_offset},
};

/// A part of a file to map into the process.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mmap {
    /// The file: `device` of the open device, or the name that an `open` was saved under.
    #[schemars(example = &"device")]
    pub on: Name,
    /// Where in the file, in bytes; a region of the device begins at the `offset` that `region_info` gives.
    #[schemars(example = "{{ bar0.offset }}")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How many bytes.
    #[schemars(example = "4KiB")]
    pub size: Dynamic<Size>,
    /// What the CPU may do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "read_write"))]
    pub protection: Option<Protection>,
    /// Whether the mapping is this process' own (MAP_PRIVATE), and not shared with the device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub private: bool,
    /// Read a register of so many bits at the start of what was mapped; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<Bits>,
}

impl Known for Mmap {
    const ABOUT: About = About {
        does: "Map a part of a file into the process, and unmap it again. Saves whether it was `mapped`, and with `bits` \
            the `value` of the register at its start.",
        examples: &[r#"{ on: device, offset: "{{ bar0.offset }}", size: 4KiB }"#],
        saves: Saves::Fields(&["mapped", "value"]),
        device: true,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for Mmap {
    fn keys(&self) -> Keys<'_> {
        let Mmap { on, offset, size, protection, private, bits } = self;
        Keys::default()
            .file("on", on)
            .size("offset", offset)
            .size("size", size)
            .word("protection", protection)
            .word("private", private)
            .word("bits", bits)
    }
}
