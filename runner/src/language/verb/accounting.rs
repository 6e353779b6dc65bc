// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `accounting`.

use super::about::{About, Expects, Keys, Known, Saves, Stands, Takes};
use super::shared::{NoArguments, takes};

takes!(Accounting(NoArguments));

impl Known for Accounting {
    const ABOUT: About = About {
        does: "Read how much memory the process has locked and pinned; takes nothing. Saves `locked` (VmLck, which TYPE1 \
            counts) and `pinned` (VmPin, which IOMMUFD counts), in bytes.",
        examples: &["null"],
        saves: Saves::Fields(&["locked", "pinned"]),
        expects: Expects::Nothing("`accounting` always succeeds: `check` what it saved"),
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for Accounting {
    fn keys(&self) -> Keys<'_> {
        let Accounting(NoArguments {}) = self;
        Keys::default()
    }
}
