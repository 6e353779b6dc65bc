// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `pwrite`.

use super::prelude::*;

verb! {
    /// Bytes of a file to write.
    pub struct Pwrite {
        /// The file: `device` of the open device, or the name that an `open` was saved under.
        #[example("device")]
        pub on: Name as OpenFile,
        /// Where in the file, in bytes. A region of the device starts at the `offset` that `region_info` saves.
        #[example("{{ config.offset + 4 }}")]
        pub offset: Dynamic<Size> as Offset,
        /// How many bytes, up to 1MiB.
        #[example(2)]
        pub size: Dynamic<Size>,
        /// What to write: a number, little-endian, with zeros after its eight bytes. It must fit.
        #[example("0x6")]
        pub value: Dynamic<Size> as Number,
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
