// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `map_file`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Site, Takes};
use super::shared::{Access, Object, Where};
use crate::language::{Diagnostic, Dynamic, Name, Size, keys, quantity::Offset};
use crate::model::code::Code;

keys! {
    /// What `map_file` takes.
    #[derive(Serialize)]
    pub struct MapFile {
        /// The name of a region that has a file: `memory: memfd`, `file` or `dmabuf`.
        #[schemars(example = &"buffer")]
        pub region: Name,
        /// The IOVA to map at, or `kernel`; by default the next free one that the device may use.
        pub iova: Option<Where>,
        /// How many bytes; by default the whole region from `offset` on.
        #[schemars(example = "4KiB")]
        pub size: Option<Dynamic<Size>>,
        /// Where in the region's file to start, in bytes.
        #[schemars(example = "4KiB", extend("default" = 0))]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Option<Dynamic<Size>> as Offset::read,
        /// What the device may do.
        #[schemars(extend("default" = "read_write"))]
        pub access: Option<Access>,
        /// The address space to map in: one that an `ioas` step saved. The default is the device's own.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
    }
}

impl Known for MapFile {
    const ABOUT: About = About {
        does: "Map the file of a region instead of its address: a `memfd`, a `file` or a `dmabuf`. Saves `iova` and `size`. \
            Linux 6.13.",
        examples: &["{ region: buffer }"],
        saves: Saves::Fields(&["iova", "size"]),
        iommufd: true,
        ..About::CALL
    };
}

impl Takes for MapFile {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let Some(region) = site.case.regions.get(&self.region.0).filter(|region| !region.memory.has_file()) else {
            return Vec::new();
        };
        let title = format!("region `{}` has no file to map", self.region);
        let mistake = Diagnostic::error(Code::NoFile, site.at.join("region"), title)
            .label(format!("expected `memory: memfd`, `file` or `dmabuf`, it is `{}`", region.memory.as_str()))
            .help("memory without a file is mapped by its address, with `map`");
        vec![mistake]
    }

    fn keys(&self) -> Keys<'_> {
        let MapFile { region, iova, size, offset, access, ioas } = self;
        Keys::default()
            .region("region", region)
            .place("iova", iova)
            .size("size", size)
            .size("offset", offset)
            .word("access", access)
            .object("ioas", ioas)
    }
}
