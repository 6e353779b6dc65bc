// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `parallel`.

use super::prelude::*;

verb! {
    /// Steps to run at the same time, each in its own thread: either `branches`, each with its own steps, or the same `steps` several
    /// `times` or `on` several devices. All start at once, and the step ends with the last of them.
    #[derive(Default)]
    pub struct Parallel {
        /// Lists of steps, two or more.
        pub branches: Vec<Vec<Step>> = empty,
        /// How often to run `steps` at the same time: 1 to 64 times. The default is once on each device of `on`.
        #[example(4)]
        pub times: Option<Dynamic<Size>> as Number(Fit::Threads),
        /// The name by which expressions inside know which of the `times` it is, from 0.
        #[example("thread")]
        pub r#as: Option<Name> as Count,
        /// The devices on which to run `steps` at the same time: `device` is the case's own, the others are its `devices`. Inside, `device` is
        /// the one that the steps are on.
        #[example(["device", "others"])]
        pub on: Vec<Name> = empty,
        /// What each of them does.
        pub steps: Vec<Step> = empty,
    }
}

impl Known for Parallel {
    const ABOUT: About = About {
        does: "Run steps at the same time. Saves `micros`, how long all of them took together, and `each`, a list of how \
            long each took; the result of the case has these times, too.",
        examples: &["{ branches: [[{ map: { region: buffer } }]] }"],
        saves: Saves::Fields(&["micros", "each"]),
        expects: Expects::Nothing("say it of the steps that it holds"),
        fixture: Stands::Anywhere,
        ..About::CALL
    };

    fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        let at = at.join("parallel");
        let branches = self.branches.iter().enumerate();
        let branches = branches.map(|(index, steps)| (at.join("branches").join(index), steps.as_slice()));
        branches.chain([(at.join("steps"), self.steps.as_slice())]).collect()
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let Parallel { branches, times, r#as, on, steps } = self;
        let path = &site.at;
        let mut mistakes = Vec::new();
        let within =
            path.segments().iter().filter(|segment| matches!(segment, Segment::Key(key) if **key == *"parallel"));
        if within.count() > 1 {
            mistakes.push(
                Diagnostic::error(Code::TooDeep, path.clone(), "a `parallel` within a `parallel`")
                    .at(Target::Key)
                    .label("expected steps that run one after the other"),
            );
        }
        if steps.iter().chain(branches.iter().flatten()).any(calls) {
            mistakes.push(
                Diagnostic::error(Code::TooDeep, path.clone(), "a `call` within a `parallel`")
                    .at(Target::Key)
                    .label("expected steps of the case's own"),
            );
        }
        let ways = [("branches", !branches.is_empty()), ("times", times.is_some()), ("on", !on.is_empty())];
        let written: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        match written.as_slice() {
            [] => mistakes.push(
                Diagnostic::error(Code::MissingKey, path.clone(), "`parallel` does not say what runs at the same time")
                    .at(Target::Key)
                    .label("expected `branches`, or `steps` with `times` or `on`"),
            ),
            [_] => {}
            [first, second, ..] => mistakes.push(
                Diagnostic::error(Code::TwoForms, path.join(*second), format!("`{second}` beside `{first}`"))
                    .at(Target::Key)
                    .label("expected one of `branches`, `times` and `on`")
                    .note(path.join(*first), Target::Key, "this says already what runs at the same time"),
            ),
        }
        for (key, is_misplaced) in
            [("steps", !steps.is_empty() && !branches.is_empty()), ("as", r#as.is_some() && times.is_none())]
        {
            if is_misplaced {
                let beside = if key == "as" { "`times`" } else { "`times` or `on`" };
                mistakes.push(
                    Diagnostic::error(Code::MisplacedKey, path.join(key), format!("`{key}` goes only with {beside}"))
                        .at(Target::Key)
                        .label(format!("expected {beside} beside it")),
                );
            }
        }
        let empty = branches.iter().position(Vec::is_empty).map(|index| path.join("branches").join(index));
        let empty = empty.or_else(|| (branches.is_empty() && steps.is_empty()).then(|| path.clone()));
        if let Some(at) = empty {
            mistakes.push(
                Diagnostic::error(Code::NothingToDo, at, "a `parallel` that does nothing")
                    .label("expected at least one step"),
            );
        }
        if branches.len() == 1 {
            mistakes.push(
                Diagnostic::error(Code::NothingToDo, path.join("branches"), "one branch has nothing beside it")
                    .at(Target::Key)
                    .label("expected two or more"),
            );
        }
        let known: Vec<&str> = site.case.devices.keys().chain(["device"]).collect();
        let unknown = on.iter().enumerate().filter(|(_, name)| !known.contains(&name.0.as_str()));
        mistakes.extend(unknown.map(|(index, name)| unknown_device(path.join("on").join(index), name, &known)));
        mistakes
    }
}

/// Whether a step calls a procedure, or holds one that does.
fn calls(step: &Step) -> bool {
    !step.verb.procedures().is_empty()
        || step.nested(&Path::root()).into_iter().any(|(_, steps)| steps.iter().any(calls))
}
