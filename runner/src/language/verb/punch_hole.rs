// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `punch_hole`.

use super::prelude::*;

verb!(PunchHole(PartOfRegion));

impl Known for PunchHole {
    const ABOUT: About = About {
        does: "Give back the memory of a part of a region's file, while a device may have it mapped. The CPU reads zeros there, and \
            the file stays as long as it is.",
        examples: &["{ region: buffer, size: 4KiB }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        no_memory_file(&self.0.region, site).into_iter().collect()
    }
}
