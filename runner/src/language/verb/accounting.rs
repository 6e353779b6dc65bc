// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `accounting`.

use super::prelude::*;

verb!(Accounting(NoArguments));

impl Known for Accounting {
    const ABOUT: About = About {
        does: "Read how much memory the process holds; takes nothing. Saves in bytes `locked` (VmLck, which TYPE1 counts), \
            `pinned` (VmPin, which IOMMUFD counts), `resident` (VmRSS), and of that `anonymous` (RssAnon, the process' own) and \
            `shared` (RssShmem, of a `memfd` or `file`).",
        examples: &["null"],
        saves: Saves::Fields(&["locked", "pinned", "resident", "anonymous", "shared"]),
        expects: Expects::Nothing("`accounting` always succeeds: `check` what it saved"),
        asserts: false,
        fixture: Stands::Anywhere,
        reads: true,
        ..About::CALL
    };
}
