// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `munmap`.

use super::prelude::*;

verb!(Munmap(PartOfRegion));

impl Known for Munmap {
    const ABOUT: About = About {
        does: "Take memory away from the process, while a device may have it mapped. The addresses become a reservation in the \
            same call (mmap with MAP_FIXED and PROT_NONE), so that nothing else of the process is ever there.",
        examples: &["{ region: buffer }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
