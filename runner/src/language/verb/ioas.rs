// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `ioas`.

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::{NoArguments, takes};

takes!(Ioas(NoArguments));

impl Known for Ioas {
    const ABOUT: About = About {
        does: "Create an address space; takes nothing. Saves `id`. It is destroyed after the case.",
        examples: &["null"],
        saves: Saves::Fields(&["id"]),
        makes_object: true,
        iommufd: true,
        ..About::CALL
    };
}

impl Takes for Ioas {
    fn keys(&self) -> Keys<'_> {
        let Ioas(NoArguments {}) = self;
        Keys::default()
    }
}
