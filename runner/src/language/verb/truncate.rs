// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `truncate`.

use super::prelude::*;

verb! {
    /// A region with a file, and how long the file becomes.
    pub struct Truncate {
        /// The name of a region of `memory: memfd` or `file`.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// How long the file becomes, in bytes.
        #[example("4KiB")]
        pub size: Dynamic<Size>,
    }
}

impl Known for Truncate {
    const ABOUT: About = About {
        does: "Change the length of a region's file, while a device may have its memory mapped. Touching the memory behind the \
            new end fails with SIGBUS.",
        examples: &["{ region: buffer, size: 4KiB }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        no_memory_file(&self.region, site).into_iter().collect()
    }
}
