// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `map`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::{Access, Object, Where};
use crate::language::{Dynamic, Name, Size, keys, quantity::Offset};

keys! {
    /// What `map` takes.
    #[derive(Serialize)]
    pub struct Map {
        /// The region's name.
        #[schemars(example = &"buffer")]
        pub region: Name,
        /// The IOVA to map at, or `kernel`; by default the next free one that the device may use, aligned to the size up to 1GiB.
        pub iova: Option<Where>,
        /// How many bytes; by default the whole region from `offset` on.
        #[schemars(example = "4KiB")]
        pub size: Option<Dynamic<Size>>,
        /// Where in the region to start, in bytes.
        #[schemars(example = "4KiB", extend("default" = 0))]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Option<Dynamic<Size>> as Offset::read,
        /// What the device may do.
        #[schemars(extend("default" = "read_write"))]
        pub access: Option<Access>,
        /// The address space to map in: one that an `ioas` step saved. The default is the device's own. Backend iommufd only.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
    }
}

impl Known for Map {
    const ABOUT: About = About {
        does: "Map a region for DMA. Saves `iova`, `size` and `vaddr`.",
        examples: &["{ region: buffer }"],
        saves: Saves::Fields(&["iova", "size", "vaddr"]),
        ..About::CALL
    };
}

impl Takes for Map {
    fn keys(&self) -> Keys<'_> {
        let Map { region, iova, size, offset, access, ioas } = self;
        Keys::default()
            .region("region", region)
            .place("iova", iova)
            .size("size", size)
            .size("offset", offset)
            .word("access", access)
            .object("ioas", ioas)
    }
}
