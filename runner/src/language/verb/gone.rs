// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `gone`.

use serde::Serialize;

use super::about::{About, Keys, Known, Takes};
use crate::language::{Dynamic, Size, keys, quantity::Iova};

keys! {
    /// What `gone` takes.
    #[derive(Serialize)]
    pub struct Gone {
        /// The first IOVA of the range.
        #[schemars(example = "{{ m.iova }}")]
        #[schemars(with = "Dynamic<Iova>")]
        pub iova: Dynamic<Size> as Iova::read,
        /// The length of the range in bytes.
        #[schemars(example = "{{ m.size }}")]
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

impl Takes for Gone {
    fn keys(&self) -> Keys<'_> {
        let Gone { iova, size } = self;
        Keys::default().size("iova", iova).size("size", size)
    }
}
