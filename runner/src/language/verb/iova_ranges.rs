// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `iova_ranges`.

use super::prelude::*;

verb!(IovaRanges(InIoas));

impl Known for IovaRanges {
    const ABOUT: About = About {
        does: "Read which IOVAs may be used. Saves a list of `start` and `last`, sorted.",
        examples: &["null", "{ ioas: other }"],
        saves: Saves::List,
        reads: true,
        space: true,
        ..About::CALL
    };
}
