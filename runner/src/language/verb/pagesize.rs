// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `pagesize`.

use super::prelude::*;

verb! {
    /// What `pagesize` takes.
    pub struct Pagesize {
        /// The first IOVA of the range.
        #[example("{{ m.iova }}")]
        pub iova: Dynamic<Size> as Iova,
        /// The length of the range in bytes.
        #[example("{{ m.size }}")]
        pub size: Dynamic<Size>,
        /// The page size expected of every leaf: what one entry of the page table maps, such as 4KiB, 2MiB or 1GiB. Where the IOMMU joins
        /// neighbouring entries to a larger page, as AMD's does, each of them counts.
        #[example("2MiB")]
        pub is: Dynamic<Size>,
    }
}

impl Known for Pagesize {
    const ABOUT: About = About {
        does: "Check that every leaf of the IOMMU's page table for a mapped range has this page size. If the page table cannot be read, the check counts as unchecked. On a backend with `skip_pagesize` it is left out.",
        examples: &[r#"{ iova: "{{ m.iova }}", size: "{{ m.size }}", is: 2MiB }"#],
        device: true,
        ..About::CHECK
    };

    fn title(&self) -> Option<String> {
        Some(match &self.is {
            Dynamic::Is(size) => format!("pagesize is {size}"),
            Dynamic::Expression(source) => format!("pagesize is {source}"),
        })
    }
}
