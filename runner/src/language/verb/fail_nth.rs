// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `fail_nth`.

use super::prelude::*;

verb! {
    /// A step whose requests run out of memory at every allocation, once each.
    pub struct FailNth {
        /// The step, exactly one. It runs again and again: first its first allocation fails, then its second, until it gets through without
        /// any of them failing. Only that last time has the outcome that is expected of it; before, it may also fail with an errno.
        #[example([{ "map": { "region": "buffer" } }])]
        pub steps: Vec<Step>,
        /// Which of its allocations fails first; by default its first one. What a step leaves when it is undone, such as page tables, is not
        /// allocated again, so that some allocations are reached only where none before them fails.
        #[example(4)] #[default(1)]
        pub first: Option<Dynamic<Size>> as Number(Fit::Rounds),
        /// What takes back what the step did. It runs each time that the step succeeded although an allocation failed, so that the step can
        /// run again. The last time, what the step did stays.
        #[example([{ "unmap_all": null }])]
        pub undo: Vec<Step> = empty,
        /// What still has to hold each time that the step failed with one of these allocations.
        #[example([{ "gone": { "iova": "{{ m.iova }}", "size": "{{ m.size }}" } }])]
        pub still: Vec<Step> = empty,
    }
}

impl Known for FailNth {
    const ABOUT: About = About {
        does: "Let each allocation fail, one after the other, that the kernel makes for the requests of a step (ioctls, and those of `read`, `write` and `mmap`; fault injection). Saves \
            `points`, the number of allocations that failed, and `failed`, how often the step failed because of one; the result of the case has \
            these, too. Outside the lab, and if the kernel has no fault injection, the case is skipped.",
        examples: &[r#"{ steps: [{ map: { region: buffer } }], undo: [{ unmap_all: }] }"#],
        saves: Saves::Fields(&["points", "failed"]),
        expects: Expects::Nothing("say it of the step that it holds"),
        fixture: Stands::Anywhere,
        ..About::CALL
    };

    fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        let at = at.join("fail_nth");
        vec![
            (at.join("steps"), self.steps.as_slice()),
            (at.join("undo"), self.undo.as_slice()),
            (at.join("still"), self.still.as_slice()),
        ]
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        let at = site.at.join("steps");
        let holds_steps = |step: &Step| !step.nested(&Path::root()).is_empty() || !step.verb.procedures().is_empty();
        match self.steps.as_slice() {
            [step] if matches!(step.verb.about().expects, Expects::Outcome | Expects::Bytes) && !holds_steps(step) => {}
            [step] => {
                let title = format!("`{}` makes no request of the kernel that can fail", step.verb.name());
                let mistake = Diagnostic::error(Code::NothingToDo, at.join(0), title);
                mistakes.push(mistake.label("expected a step that makes a request, such as `map`"));
            }
            [] => {
                let mistake = Diagnostic::error(Code::WrongLength, at, "a `fail_nth` around no step").at(Target::Key);
                mistakes.push(mistake.label("expected exactly one step"));
            }
            [_, ..] => {
                let title = "a `fail_nth` around several steps";
                let mistake = Diagnostic::error(Code::WrongLength, at, title).at(Target::Key);
                mistakes.push(
                    mistake
                        .label("expected exactly one step")
                        .help("give each step a `fail_nth` of its own: it has to be known which step the failed allocation was of"),
                );
            }
        }
        mistakes
    }
}
