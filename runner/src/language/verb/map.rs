// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `map`.

use super::prelude::*;

verb! {
    /// What `map` takes.
    pub struct Map {
        /// The region's name.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// The IOVA to map at, or `kernel`; by default the next free one that the device may use, aligned to the size up to 1GiB.
        pub iova: Option<Where>,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>>,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// What the device may do.
        #[default("read_write")]
        pub access: Option<Access>,
        /// The address space to map in: one that an `ioas` step saved. The default is the device's own. Backend iommufd only.
        #[example("other")]
        pub ioas: Option<Object>,
    }
}

impl Known for Map {
    const ABOUT: About = About {
        does: "Map a region for DMA. Saves `iova`, `size` and `vaddr`.",
        examples: &["{ region: buffer }"],
        saves: Saves::Fields(&["iova", "size", "vaddr"]),
        space: true,
        ..About::CALL
    };
}
