// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `pread`.

use super::prelude::*;

verb! {
    /// Bytes of a file to read.
    pub struct Pread {
        /// The file: `device` of the open device, or the name that an `open` was saved under.
        #[example("device")]
        pub on: Name as OpenFile,
        /// Where in the file, in bytes. A region of the device starts at the `offset` that `region_info` saves.
        #[example("{{ config.offset }}")]
        pub offset: Dynamic<Size> as Offset,
        /// How many bytes, up to 1MiB.
        #[example(4)]
        pub size: Dynamic<Size>,
    }
}

impl Known for Pread {
    const ABOUT: About = About {
        does: "Read bytes of a file in one call, at any offset. Saves `bytes`, how many were read, and `value`, the first eight of them, little-endian.",
        examples: &[r#"{ on: device, offset: "{{ config.offset }}", size: 4 }"#],
        saves: Saves::Fields(&["bytes", "value"]),
        expects: Expects::Bytes,
        device: true,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
