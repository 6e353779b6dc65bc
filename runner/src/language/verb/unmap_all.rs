// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `unmap_all`.

use super::prelude::*;

verb!(UnmapAll(InIoas));

impl Known for UnmapAll {
    const ABOUT: About = About {
        does: "Unmap everything in one call. Saves `bytes`.",
        examples: &["null", "{ ioas: other }"],
        saves: Saves::Fields(&["bytes"]),
        expects: Expects::Bytes,
        space: true,
        ..About::CALL
    };
}
