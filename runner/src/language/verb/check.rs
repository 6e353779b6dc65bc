// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `check`.

use super::prelude::*;

verb!(Check(Dynamic<bool>));

impl Known for Check {
    const ABOUT: About = About {
        does: "Check that an expression is true.",
        examples: &[r#""{{ m.iova % page_size == 0 }}""#],
        fixture: Stands::Anywhere,
        ..About::CHECK
    };

    fn title(&self) -> Option<String> {
        match &self.0 {
            Dynamic::Is(_) => None,
            Dynamic::Expression(source) => Some(source.clone()),
        }
    }
}
