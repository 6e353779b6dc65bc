// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `dirty_bitmap`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Site, Takes};
use super::mistakes::without_hwpt;
use super::shared::Object;
use crate::language::{Diagnostic, Dynamic, Size, keys, quantity::Iova};

keys! {
    /// What `dirty_bitmap` takes.
    #[derive(Serialize)]
    pub struct DirtyBitmap {
        /// The first IOVA of the range.
        #[schemars(example = "{{ m.iova }}")]
        #[schemars(with = "Dynamic<Iova>")]
        pub iova: Dynamic<Size> as Iova::read,
        /// The length of the range in bytes.
        #[schemars(example = "{{ m.size }}")]
        pub size: Dynamic<Size>,
        /// How many bytes each bit stands for.
        #[schemars(example = "4KiB", extend("default" = "4KiB"))]
        pub page: Option<Dynamic<Size>>,
        /// The page table, only on the backend iommufd: one that a `hwpt` step saved.
        #[schemars(example = &"table")]
        pub hwpt: Option<Object>,
        /// Whether dirty pages stay dirty; backend iommufd only. Otherwise reading them makes them clean.
        #[schemars(extend("default" = false))]
        pub keep: bool = empty,
    }
}

impl Known for DirtyBitmap {
    const ABOUT: About = About {
        does: "Read which pages the device wrote. Saves `pages`, the number of pages, and `dirty`, the IOVAs of those that it wrote.",
        examples: &[r#"{ iova: "{{ m.iova }}", size: "{{ m.size }}" }"#],
        saves: Saves::Fields(&["pages", "dirty"]),
        ..About::CALL
    };
}

impl Takes for DirtyBitmap {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        without_hwpt("dirty_bitmap", &self.hwpt, site).into_iter().collect()
    }

    fn keys(&self) -> Keys<'_> {
        let DirtyBitmap { iova, size, page, hwpt, keep } = self;
        Keys::default().size("iova", iova).size("size", size).size("page", page).object("hwpt", hwpt).word("keep", keep)
    }
}
