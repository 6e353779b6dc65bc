// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `read`.

use super::prelude::*;

verb! {
    /// A file, and the memory that it is read into.
    pub struct FileRead {
        /// The file, by the name that an `open` or an `ioctl` was saved under.
        #[example("queue")]
        pub on: Name as OpenedFile,
        /// The region that the kernel writes to. It may have parts that cannot be written, or be gone.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes, also 0; by default the whole region from `offset` on.
        #[example(40)]
        pub size: Option<Dynamic<Size>> as Size,
    }
}

impl Known for FileRead {
    const ABOUT: About = About {
        does: "Read a file into memory in one call, from where it stands: read(2), as a queue of IOMMUFD wants it. Saves `bytes`, how many were read.",
        examples: &["{ on: queue, region: buffer, size: 40 }"],
        saves: Saves::Fields(&["bytes"]),
        expects: Expects::Bytes,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
