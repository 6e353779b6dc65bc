// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `reset`.

use super::about::{About, Keys, Known, Takes};
use super::shared::{NoArguments, takes};

takes!(Reset(NoArguments));

impl Known for Reset {
    const ABOUT: About = About {
        does: "Reset the device; takes nothing. The device is restored after the case.",
        examples: &["null"],
        device: true,
        ..About::CALL
    };
}

impl Takes for Reset {
    fn keys(&self) -> Keys<'_> {
        let Reset(NoArguments {}) = self;
        Keys::default()
    }
}
