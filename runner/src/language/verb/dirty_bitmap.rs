// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `dirty_bitmap`.

use super::prelude::*;

verb! {
    /// What `dirty_bitmap` takes.
    pub struct DirtyBitmap {
        /// The first IOVA of the range.
        #[example("{{ m.iova }}")]
        pub iova: Dynamic<Size> as Iova,
        /// The length of the range in bytes.
        #[example("{{ m.size }}")]
        pub size: Dynamic<Size>,
        /// How many bytes each bit stands for. The default is the size of the kernel's pages.
        #[example("4KiB")]
        pub page: Option<Dynamic<Size>>,
        /// The page table, only on the backend iommufd: one that a `hwpt` step saved.
        #[example("table")]
        pub hwpt: Option<Object>,
        /// Whether dirty pages stay dirty; backend iommufd only. Otherwise reading them makes them clean.
        #[default(false)]
        pub keep: bool = empty,
    }
}

impl Known for DirtyBitmap {
    const ABOUT: About = About {
        does: "Read which pages the device wrote. Saves `pages`, the number of pages, and `dirty`, the IOVAs of those that it wrote.",
        examples: &[r#"{ iova: "{{ m.iova }}", size: "{{ m.size }}" }"#],
        saves: Saves::Fields(&["pages", "dirty"]),
        reads: true,
        space: true,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        without_hwpt("dirty_bitmap", &self.hwpt, site).into_iter().collect()
    }
}
