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
        /// Use transparent huge pages, which regions do not use otherwise.
        Hugepage = "hugepage",
        /// Do not use them.
        Nohugepage = "nohugepage",
        /// Collapse the memory into huge pages now (Linux 6.1).
        Collapse = "collapse",
        /// Free the pages, and the part of the file behind them.
        Remove = "remove",
        /// Reclaim the pages now.
        Pageout = "pageout",
        /// Reclaim these pages before others.
        Cold = "cold",
        /// Read the pages ahead.
        Willneed = "willneed",
        /// Fault pages in for reading.
        PopulateRead = "populate_read",
        /// Fault pages in for writing.
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
