// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `finally`.

use super::prelude::*;

verb! {
    /// Steps that run at the end of the list that holds them, whatever its end.
    pub struct Finally {
        /// What to do. If an earlier step has failed, that is what is reported.
        pub steps: Vec<Step>,
    }
}

impl Known for Finally {
    const ABOUT: About = About {
        does: "Run steps after all others of the same list, also if one of them failed or skipped the case.",
        examples: &["{ steps: [{ config_write: { offset: command, set: [memory] } }] }"],
        expects: Expects::Nothing("say it of the steps that it holds"),
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CHECK
    };

    fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        vec![(at.join("finally").join("steps"), self.steps.as_slice())]
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let nothing = self.steps.is_empty().then(|| {
            Diagnostic::error(Code::NothingToDo, site.at.join("steps"), "a `finally` that does nothing")
                .at(Target::Key)
                .label("expected at least one step")
        });
        nothing.into_iter().collect()
    }
}
