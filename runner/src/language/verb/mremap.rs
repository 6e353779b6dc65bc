// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mremap`.

use super::prelude::*;
use crate::language::Memory;

verb! {
    /// A part of a region, and where it goes.
    pub struct Mremap {
        /// The region's name.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>> as Size(Fit::NotZero),
        /// A region of `memory: reserved`, at least as large. The memory goes to its beginning, and is used by its name from then on.
        #[example("elsewhere")]
        pub to: Name as RegionName,
    }
}

impl Known for Mremap {
    const ABOUT: About = About {
        does: "Move memory to other addresses of the process (mremap with MREMAP_FIXED and MREMAP_DONTUNMAP), while a device may have it \
            mapped. The old addresses become a reservation, as after `munmap`. Huge pages of `hugetlb` cannot be moved so \
            (EINVAL).",
        examples: &["{ region: buffer, to: elsewhere }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let to = site.case.regions.get(&self.to.0).filter(|region| region.memory != Memory::Reserved);
        let mistake = to.map(|region| {
            let title = format!("region `{}` is no reservation", self.to);
            Diagnostic::error(Code::NoReservation, site.at.join("to"), title)
                .label(format!("expected `memory: reserved`, it is `{}`", region.memory.as_str()))
                .help(
                    "`elsewhere: { memory: reserved, size: 16KiB }` under `regions` keeps addresses to move memory to",
                )
        });
        mistake.into_iter().collect()
    }
}
