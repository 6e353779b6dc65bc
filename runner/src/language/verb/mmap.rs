// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmap`.

use super::prelude::*;

verb! {
    /// A part of a file to map into the process.
    pub struct Mmap {
        /// The file: `device` of the open device, or the name that an `open` was saved under.
        #[example("device")]
        pub on: Name as OpenFile,
        /// Where in the file, in bytes. A region of the device starts at the `offset` that `region_info` saves.
        #[example("{{ bar0.offset }}")]
        pub offset: Dynamic<Size> as Offset,
        /// How many bytes.
        #[example("4KiB")]
        pub size: Dynamic<Size>,
        /// What the CPU may do with it.
        #[default("read_write")]
        pub protection: Option<Protection>,
        /// Whether the mapping is this process' own (MAP_PRIVATE), and not shared with the device.
        #[default(false)]
        pub private: bool = empty,
        /// Read a register of this many bits at the start of the mapping. Nothing is read by default.
        pub bits: Option<Bits>,
        /// How many bytes at its start to unmap by themselves, before the rest: whole pages. By default all is unmapped at once.
        #[example("4KiB")]
        pub unmap_first: Option<Dynamic<Size>>,
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
