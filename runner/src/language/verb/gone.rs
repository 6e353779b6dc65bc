// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `gone`.

use super::prelude::*;

verb! {
    /// What `gone` takes.
    pub struct Gone {
        /// The first IOVA of the range.
        #[example("{{ m.iova }}")]
        pub iova: Dynamic<Size> as Iova,
        /// The length of the range in bytes.
        #[example("{{ m.size }}")]
        pub size: Dynamic<Size>,
    }
}

impl Known for Gone {
    const ABOUT: About = About {
        does: "Check that the IOMMU's page table has nothing for a range. If the page table cannot be read, the check counts as unchecked.",
        examples: &[r#"{ iova: "{{ m.iova }}", size: "{{ m.size }}" }"#],
        device: true,
        ..About::CHECK
    };
}
