// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `munlock`.

use super::prelude::*;

verb!(Munlock(PartOfRegion));

impl Known for Munlock {
    const ABOUT: About = About {
        does: "Unlock what `mlock` locked.",
        examples: &["{ region: buffer }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
