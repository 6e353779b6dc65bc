// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `unmap`.

use serde::Serialize;

use super::about::{About, Expects, Keys, Known, Saves, Takes};
use super::shared::Object;
use crate::language::{Dynamic, Size, keys, quantity::Iova};

keys! {
    /// What `unmap` takes.
    #[derive(Serialize)]
    pub struct Unmap {
        /// The first IOVA of the range.
        #[schemars(example = "{{ m.iova }}")]
        #[schemars(with = "Dynamic<Iova>")]
        pub iova: Dynamic<Size> as Iova::read,
        /// The length of the range in bytes.
        #[schemars(example = "{{ m.size }}")]
        pub size: Dynamic<Size>,
        /// The address space: one that an `ioas` step saved. The default is the device's own. Backend iommufd only.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
    }
}

impl Known for Unmap {
    const ABOUT: About = About {
        does: "Unmap a range of IOVAs. Saves `bytes`, the number of bytes that the kernel reports.",
        examples: &[r#"{ iova: "{{ m.iova }}", size: "{{ m.size }}" }"#],
        saves: Saves::Fields(&["bytes"]),
        expects: Expects::Bytes,
        ..About::CALL
    };
}

impl Takes for Unmap {
    fn keys(&self) -> Keys<'_> {
        let Unmap { iova, size, ioas } = self;
        Keys::default().size("iova", iova).size("size", size).object("ioas", ioas)
    }
}
