// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `ioas`.

use super::prelude::*;

verb!(Ioas(NoArguments));

impl Known for Ioas {
    const ABOUT: About = About {
        does: "Create an address space; takes nothing. Saves `id`. It is destroyed after the case.",
        examples: &["null"],
        saves: Saves::Fields(&["id"]),
        makes_object: true,
        iommufd: true,
        space: true,
        ..About::CALL
    };
}
