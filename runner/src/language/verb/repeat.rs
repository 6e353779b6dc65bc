// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `repeat`.

use serde::Serialize;

use super::about::{About, Expects, Keys, Known, Site, Stands, Takes};
use super::fit::Fit;
use crate::language::{Diagnostic, Dynamic, Name, Path, Size, Step, Target, keys, quantity::Number};
use crate::model::code::Code;

keys! {
    /// Steps to run several times.
    #[derive(Serialize)]
    pub struct Repeat {
        /// How many times, at least once; a case runs at most 1000000 steps in all.
        #[schemars(example = 16, example = "{{ count }}")]
        #[schemars(with = "Dynamic<Number>")]
        pub times: Dynamic<Size> as Number::read,
        /// The name by which expressions inside know how many rounds are done: 0 in the first.
        #[schemars(example = &"round")]
        pub r#as: Option<Name>,
        /// What to do in each round.
        pub steps: Vec<Step>,
    }
}

impl Known for Repeat {
    const ABOUT: About = About {
        does: "Run steps several times.",
        examples: &["{ times: 16, steps: [{ map: { region: buffer } }] }"],
        expects: Expects::Nothing("say it of the steps that it holds"),
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CHECK
    };
}

impl Takes for Repeat {
    fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        vec![(at.join("repeat").join("steps"), self.steps.as_slice())]
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let nothing = self.steps.is_empty().then(|| {
            Diagnostic::error(Code::NothingToDo, site.at.join("steps"), "a `repeat` that does nothing")
                .at(Target::Key)
                .label("expected at least one step")
        });
        nothing.into_iter().collect()
    }

    fn keys(&self) -> Keys<'_> {
        let Repeat { times, r#as, steps } = self;
        Keys::default().number("times", times, Fit::Rounds).count("as", r#as).word("steps", steps)
    }
}
