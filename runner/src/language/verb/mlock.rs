// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mlock`.

use super::prelude::*;

verb!(Mlock(PartOfRegion));

impl Known for Mlock {
    const ABOUT: About = About {
        does: "Lock memory, beside what TYPE1 has locked: both count in what `accounting` saves.",
        examples: &["{ region: buffer }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
