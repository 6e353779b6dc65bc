// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `allow_iovas`.

use serde::Serialize;

use super::about::{About, Key, Keys, Known, Takes};
use super::shared::Object;
use crate::language::{Dynamic, Size, keys, quantity::Iova};

keys! {
    /// What `allow_iovas` takes.
    #[derive(Serialize)]
    pub struct AllowIovas {
        /// The address space. The default is the device's own.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
        /// The ranges that the kernel may choose from; none for all.
        #[schemars(example = serde_json::json!([{ "start": "1GiB", "last": "{{ 2 * GiB - 1 }}" }]))]
        pub ranges: Vec<AllowedRange>,
    }
}

keys! {
    /// A range of IOVAs that the kernel may choose from.
    #[derive(Serialize)]
    pub struct AllowedRange {
        /// The first IOVA.
        #[schemars(example = "1GiB")]
        #[schemars(with = "Dynamic<Iova>")]
        pub start: Dynamic<Size> as Iova::read,
        /// The last IOVA, which is part of it.
        #[schemars(example = "{{ 2 * GiB - 1 }}")]
        #[schemars(with = "Dynamic<Iova>")]
        pub last: Dynamic<Size> as Iova::read,
    }
}

impl Known for AllowIovas {
    const ABOUT: About = About {
        does: "Limit which IOVAs the kernel may choose.",
        examples: &[r#"{ ranges: [{ start: 1GiB, last: "{{ 2 * GiB - 1 }}" }] }"#],
        iommufd: true,
        ..About::CALL
    };
}

impl Takes for AllowIovas {
    fn keys(&self) -> Keys<'_> {
        let AllowIovas { ioas, ranges } = self;
        Keys::default().object("ioas", ioas).add("ranges", Key::Ranges(ranges))
    }
}
