// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `repeat`.

use super::prelude::*;

verb! {
    /// Steps to run several times.
    pub struct Repeat {
        /// How many times, at least once; a case runs at most 1000000 steps in all.
        #[example(16)] #[example("{{ count }}")]
        pub times: Dynamic<Size> as Number(Fit::Rounds),
        /// The name by which expressions inside know how many rounds are done: 0 in the first.
        #[example("round")]
        pub r#as: Option<Name> as Count,
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
}
