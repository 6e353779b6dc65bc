// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmap`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Stands, Takes};
use super::shared::Bits;
use crate::language::{Dynamic, Name, Protection, Size, keys, quantity::Offset};

keys! {
    /// A part of a file to map into the process.
    #[derive(Serialize)]
    pub struct Mmap {
        /// The file: `device` of the open device, or the name that an `open` was saved under.
        #[schemars(example = &"device")]
        pub on: Name,
        /// Where in the file, in bytes. A region of the device starts at the `offset` that `region_info` saves.
        #[schemars(example = "{{ bar0.offset }}")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How many bytes.
        #[schemars(example = "4KiB")]
        pub size: Dynamic<Size>,
        /// What the CPU may do with it.
        #[schemars(extend("default" = "read_write"))]
        pub protection: Option<Protection>,
        /// Whether the mapping is this process' own (MAP_PRIVATE), and not shared with the device.
        #[schemars(extend("default" = false))]
        pub private: bool = empty,
        /// Read a register of this many bits at the start of the mapping. Nothing is read by default.
        pub bits: Option<Bits>,
    }
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
