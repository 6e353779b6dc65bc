// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `accounting`.

use super::prelude::*;

verb!(Accounting(NoArguments));

impl Known for Accounting {
    const ABOUT: About = About {
        does: "Read how much memory the process has locked and pinned; takes nothing. Saves `locked` (VmLck, which TYPE1 \
            counts) and `pinned` (VmPin, which IOMMUFD counts), in bytes.",
        examples: &["null"],
        saves: Saves::Fields(&["locked", "pinned"]),
        expects: Expects::Nothing("`accounting` always succeeds: `check` what it saved"),
        asserts: false,
        fixture: Stands::Anywhere,
        reads: true,
        ..About::CALL
    };
}
