// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `unmap_all`.

use super::about::{About, Expects, Keys, Known, Saves, Takes};
use super::shared::{InIoas, takes};

takes!(UnmapAll(InIoas));

impl Known for UnmapAll {
    const ABOUT: About = About {
        does: "Unmap everything in one call. Saves `bytes`.",
        examples: &["null", "{ ioas: other }"],
        saves: Saves::Fields(&["bytes"]),
        expects: Expects::Bytes,
        ..About::CALL
    };
}

impl Takes for UnmapAll {
    fn keys(&self) -> Keys<'_> {
        let UnmapAll(InIoas { ioas }) = self;
        Keys::default().object("ioas", ioas)
    }
}
