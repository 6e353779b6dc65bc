// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `allow_iovas`.

use super::prelude::*;

verb! {
    /// What `allow_iovas` takes.
    pub struct AllowIovas {
        /// The address space. The default is the device's own.
        #[example("other")]
        pub ioas: Option<Object>,
        /// The ranges that the kernel may choose from; none for all.
        #[example([{ "start": "1GiB", "last": "{{ 2 * GiB - 1 }}" }])]
        pub ranges: Vec<AllowedRange>,
    }
}

keys! {
    /// A range of IOVAs that the kernel may choose from.
    #[serde(serialize)]
    pub struct AllowedRange {
        /// The first IOVA.
        #[example("1GiB")]
        pub start: Dynamic<Size> as Iova,
        /// The last IOVA, which is part of it.
        #[example("{{ 2 * GiB - 1 }}")]
        pub last: Dynamic<Size> as Iova,
    }
}

impl Known for AllowIovas {
    const ABOUT: About = About {
        does: "Limit which IOVAs the kernel may choose.",
        examples: &[r#"{ ranges: [{ start: 1GiB, last: "{{ 2 * GiB - 1 }}" }] }"#],
        iommufd: true,
        space: true,
        ..About::CALL
    };
}
