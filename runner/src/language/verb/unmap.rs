// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `unmap`.

use super::prelude::*;

verb! {
    /// What `unmap` takes.
    pub struct Unmap {
        /// The first IOVA of the range.
        #[example("{{ m.iova }}")]
        pub iova: Dynamic<Size> as Iova,
        /// The length of the range in bytes.
        #[example("{{ m.size }}")]
        pub size: Dynamic<Size>,
        /// The address space: one that an `ioas` step saved. The default is the device's own. Backend iommufd only.
        #[example("other")]
        pub ioas: Option<Object>,
    }
}

impl Known for Unmap {
    const ABOUT: About = About {
        does: "Unmap a range of IOVAs. Saves `bytes`, the number of bytes that the kernel reports.",
        examples: &[r#"{ iova: "{{ m.iova }}", size: "{{ m.size }}" }"#],
        saves: Saves::Fields(&["bytes"]),
        expects: Expects::Bytes,
        space: true,
        ..About::CALL
    };
}
