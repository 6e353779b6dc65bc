// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `map_file`.

use super::prelude::*;

verb! {
    /// What `map_file` takes.
    pub struct MapFile {
        /// The name of a region that has a file: `memory: memfd`, `file` or `dmabuf`.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// The IOVA to map at, or `kernel`; by default the next free one that the device may use.
        pub iova: Option<Where>,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>>,
        /// Where in the region's file to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// What the device may do.
        #[default("read_write")]
        pub access: Option<Access>,
        /// The address space to map in: one that an `ioas` step saved. The default is the device's own.
        #[example("other")]
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
        space: true,
        ..About::CALL
    };

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
}
