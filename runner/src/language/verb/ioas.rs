//! The verb `ioas`.

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::{NoArguments, takes};

takes!(Ioas(NoArguments));

impl Known for Ioas {
    const ABOUT: About = About {
        does: "Make an address space; takes nothing. Saves `id`. What a case makes is destroyed behind it.",
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
