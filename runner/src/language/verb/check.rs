// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `check`.

use super::about::{About, Key, Keys, Known, Stands, Takes};
use super::shared::takes;
use crate::language::Dynamic;

takes!(Check(Dynamic<bool>));

impl Known for Check {
    const ABOUT: About = About {
        does: "Check that an expression is true.",
        examples: &[r#""{{ m.iova % page_size == 0 }}""#],
        fixture: Stands::Anywhere,
        ..About::CHECK
    };
}

impl Takes for Check {
    fn title(&self) -> Option<String> {
        match &self.0 {
            Dynamic::Is(_) => None,
            Dynamic::Expression(source) => Some(source.clone()),
        }
    }

    fn keys(&self) -> Keys<'_> {
        let Check(expression) = self;
        Keys::default().add("", Key::Truth(expression))
    }
}
