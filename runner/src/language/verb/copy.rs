// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `copy`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::{Access, Object, Where};
use crate::language::{Dynamic, Size, keys, quantity::Iova};

keys! {
    /// What `copy` takes.
    #[derive(Serialize)]
    pub struct IoasCopy {
        /// The IOVA that the memory is mapped at already.
        #[schemars(example = "{{ m.iova }}")]
        #[schemars(with = "Dynamic<Iova>")]
        pub from_iova: Dynamic<Size> as Iova::read,
        /// The address space that it is mapped in. The default is the device's own.
        #[schemars(example = &"other")]
        pub from_ioas: Option<Object>,
        /// How many bytes.
        #[schemars(example = "{{ m.size }}")]
        pub size: Dynamic<Size>,
        /// The IOVA to map it at too, or `kernel`; by default the next free one that the device may use.
        pub iova: Option<Where>,
        /// What the device may do there.
        #[schemars(extend("default" = "read_write"))]
        pub access: Option<Access>,
        /// The address space to map it in. The default is the device's own.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
    }
}

impl Known for IoasCopy {
    const ABOUT: About = About {
        does: "Map an existing mapping a second time: at another IOVA, in another address space, or with other rights. Saves `iova` \
            and `size`.",
        examples: &[r#"{ from_iova: "{{ m.iova }}", size: "{{ m.size }}" }"#],
        saves: Saves::Fields(&["iova", "size"]),
        iommufd: true,
        ..About::CALL
    };
}

impl Takes for IoasCopy {
    fn keys(&self) -> Keys<'_> {
        let IoasCopy { from_iova, from_ioas, size, iova, access, ioas } = self;
        Keys::default()
            .size("from_iova", from_iova)
            .object("from_ioas", from_ioas)
            .size("size", size)
            .place("iova", iova)
            .word("access", access)
            .object("ioas", ioas)
    }
}
