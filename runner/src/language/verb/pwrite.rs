// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `pwrite`.

use serde::Serialize;

use super::about::{About, Expects, Keys, Known, Saves, Stands, Takes};
use crate::language::{
    Dynamic, Name, Size, keys,
    quantity::{Number, Offset},
};

keys! {
    /// Bytes of a file to write.
    #[derive(Serialize)]
    pub struct Pwrite {
        /// The file: `device` of the open device, or the name that an `open` was saved under.
        #[schemars(example = &"device")]
        pub on: Name,
        /// Where in the file, in bytes. A region of the device starts at the `offset` that `region_info` saves.
        #[schemars(example = "{{ config.offset + 4 }}")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How many bytes, up to 1MiB.
        #[schemars(example = 2)]
        pub size: Dynamic<Size>,
        /// What to write: a number, little-endian, with zeros after its eight bytes. It must fit.
        #[schemars(example = "0x6")]
        #[schemars(with = "Dynamic<Number>")]
        pub value: Dynamic<Size> as Number::read,
    }
}

impl Known for Pwrite {
    const ABOUT: About = About {
        does: "Write bytes to a file in one call. Saves `bytes`, how many were written. A device that is written to is restored after the case.",
        examples: &[r#"{ on: device, offset: "{{ config.offset + 4 }}", size: 2, value: "0x6" }"#],
        saves: Saves::Fields(&["bytes"]),
        expects: Expects::Bytes,
        device: true,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for Pwrite {
    fn keys(&self) -> Keys<'_> {
        let Pwrite { on, offset, size, value } = self;
        Keys::default().file("on", on).size("offset", offset).size("size", size).size("value", value)
    }
}
