// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `pread`.

use serde::Serialize;

use super::about::{About, Expects, Keys, Known, Saves, Stands, Takes};
use crate::language::{Dynamic, Name, Size, keys, quantity::Offset};

keys! {
    /// Bytes of a file to read.
    #[derive(Serialize)]
    pub struct Pread {
        /// The file: `device` of the open device, or the name that an `open` was saved under.
        #[schemars(example = &"device")]
        pub on: Name,
        /// Where in the file, in bytes. A region of the device starts at the `offset` that `region_info` saves.
        #[schemars(example = "{{ config.offset }}")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How many bytes, up to 1MiB.
        #[schemars(example = 4)]
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

impl Takes for Pread {
    fn keys(&self) -> Keys<'_> {
        let Pread { on, offset, size } = self;
        Keys::default().file("on", on).size("offset", offset).size("size", size)
    }
}
