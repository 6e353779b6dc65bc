// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `madvise`.

use super::prelude::*;

verb! {
    /// A part of a region, and what the kernel is advised to do with it.
    pub struct Madvise {
        /// The region's name.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>> as Size(Fit::NotZero),
        /// The advice.
        pub advice: Advice,
    }
}

words! {
    /// What the kernel is advised to do with memory, as madvise(2) has it.
    pub enum Advice {
        /// Drop the pages: anonymous memory reads as zero, and a file's memory as the file has it.
        Dontneed = "dontneed",
        /// Make transparent huge pages of it, which the memory of a region is not otherwise made of.
        Hugepage = "hugepage",
        /// Make none.
        Nohugepage = "nohugepage",
        /// Make them now (Linux 6.1).
        Collapse = "collapse",
        /// Give back what is behind it in the file as well.
        Remove = "remove",
        /// Reclaim the pages now.
        Pageout = "pageout",
        /// Reclaim them before others.
        Cold = "cold",
        /// Read them ahead.
        Willneed = "willneed",
        /// Put pages behind it, to be read.
        PopulateRead = "populate_read",
        /// Put pages behind it, to be written.
        PopulateWrite = "populate_write",
    }
}

impl Known for Madvise {
    const ABOUT: About = About {
        does: "Give the kernel advice about memory, such as to drop its pages, while a device may have it mapped.",
        examples: &["{ region: buffer, advice: dontneed }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
