// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `write`.

use super::prelude::*;

verb! {
    /// A file, and the memory that is written to it.
    pub struct FileWrite {
        /// The file, by the name that an `open` or an `ioctl` was saved under.
        #[example("queue")]
        pub on: Name as OpenedFile,
        /// The region that the kernel reads. It may have parts that cannot be read, or be gone.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes, also 0; by default the whole region from `offset` on.
        #[example(8)]
        pub size: Option<Dynamic<Size>> as Size,
    }
}

impl Known for FileWrite {
    const ABOUT: About = About {
        does: "Write memory to a file in one call, to where it stands: write(2), as a queue of IOMMUFD wants it. Saves `bytes`, how many were written.",
        examples: &["{ on: queue, region: buffer, size: 8 }"],
        saves: Saves::Fields(&["bytes"]),
        expects: Expects::Bytes,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
