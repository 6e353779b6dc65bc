// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `measure`.

use super::prelude::*;

verb! {
    /// Steps to measure.
    pub struct Measure {
        /// What is measured: the time of these steps' calls to the kernel, or that of the whole steps if they make none.
        #[example([{ "map": { "region": "buffer" } }])]
        pub steps: Vec<Step>,
        /// What takes back what they did, in each round. Its time does not count.
        #[example([{ "unmap_all": null }])]
        pub undo: Vec<Step> = empty,
        /// How many times, 1 to 1000.
        #[example(20)] #[default(10)]
        pub times: Option<Dynamic<Size>> as Number(Fit::Rounds),
        /// How many bytes a round moves or maps: reports then show bytes per second. By default they show only times.
        #[example("2MiB")]
        pub bytes: Option<Dynamic<Size>>,
    }
}

impl Known for Measure {
    const ABOUT: About = About {
        does: "Run steps several times, and measure how long they take. Saves `median`, `least` and `most` in microseconds, and `each`, a list of \
            them; the result of the case has these, too, and reports show them.",
        examples: &[r#"{ steps: [{ map: { region: buffer } }], undo: [{ unmap_all: }], bytes: 2MiB }"#],
        saves: Saves::Fields(&["median", "least", "most", "each"]),
        expects: Expects::Nothing("say it of the steps that it holds"),
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CALL
    };

    fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        let at = at.join("measure");
        vec![(at.join("steps"), self.steps.as_slice()), (at.join("undo"), self.undo.as_slice())]
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let nothing = self.steps.is_empty().then(|| {
            Diagnostic::error(Code::NothingToDo, site.at.join("steps"), "a `measure` that does nothing")
                .at(Target::Key)
                .label("expected at least one step")
        });
        nothing.into_iter().collect()
    }
}
