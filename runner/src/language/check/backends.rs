// SPDX-License-Identifier: MIT OR Apache-2.0
//! The backends that a scenario and its cases name.

use super::Checker;
use crate::language::{BackendOptions, Case, Diagnostic, Path, Pattern, Placed, Target};
use crate::{language::text::suggest, model::BackendName, model::code::Code};

impl Checker<'_> {
    pub(super) fn scenario_backends(&mut self) {
        self.backends(&Path::root().join("backends"), &self.scenario.backends.list);
    }

    /// What is said of a list of backends.
    pub(super) fn backends(&mut self, path: &Path, list: &[(BackendName, BackendOptions)]) {
        for (index, (name, _)) in list.iter().enumerate() {
            if let Some(first) = list[..index].iter().position(|(earlier, _)| earlier == name) {
                self.say(
                    Diagnostic::error(Code::DuplicateBackend, path.join(index), format!("`{name}` is listed twice"))
                        .label("expected each backend once")
                        .note(path.join(first), Target::Value, "first listed here"),
                );
            }
        }
        if list.is_empty() {
            self.say(
                Diagnostic::error(Code::NoBackend, path.clone(), "no backend to run on")
                    .label("expected `all`, or at least one backend")
                    .help(format!("the backends are {}", suggest::join(names(), "and"))),
            );
        }
    }

    /// The backends that the case runs on.
    pub(super) fn case_backends(&mut self, path: &Path, case: &Case) -> Vec<BackendName> {
        let mut all: Vec<BackendName> = Vec::new();
        for (name, _) in &self.scenario.backends.list {
            if !all.contains(name) {
                all.push(*name);
            }
        }
        let Some(patterns) = &case.backends else { return all };
        if patterns.is_empty() {
            self.say(
                Diagnostic::error(
                    Code::NoBackend,
                    path.join("backends"),
                    format!("case `{}` has no backend to run on", case.name),
                )
                .label("expected at least one backend or glob")
                .help("without `backends` a case runs on all backends of its scenario"),
            );
        }
        self.patterns(&path.join("backends"), patterns, &all, "scenario");
        all.into_iter().filter(|&name| patterns.iter().any(|pattern| pattern.matches(name))).collect()
    }

    /// The backends of a step, of those that its case runs on.
    pub(super) fn step_backends(&mut self, Placed { step, path, .. }: &Placed, all: &[BackendName]) {
        let Some(patterns) = &step.backends else { return };
        let path = path.join("backends");
        if patterns.is_empty() {
            self.say(
                Diagnostic::error(Code::NoBackend, path.clone(), "a step has no backend to run on")
                    .label("expected at least one backend or glob")
                    .help("without `backends` a step runs on all backends of its case"),
            );
        }
        self.patterns(&path, patterns, all, "case");
    }

    /// Each of these patterns, which stand at `path`, means one of the backends that `whose` runs on.
    fn patterns(&mut self, path: &Path, patterns: &[Pattern], all: &[BackendName], whose: &str) {
        for (index, pattern) in patterns.iter().enumerate() {
            let path = path.join(index);
            if !pattern.matches_any() {
                self.unknown_backend(path, Target::Value, pattern);
            } else if !all.iter().any(|&name| pattern.matches(name)) {
                let title = format!("`{}` matches none of the {whose}'s backends", pattern.0);
                self.say(
                    Diagnostic::error(Code::UnmatchedBackend, path, title)
                        .label(suggest::expected_one_of(all.iter().map(|name| name.as_str())))
                        .help(format!("add the backend to the {whose}'s `backends`, or leave it out here")),
                );
            }
        }
    }

    pub(super) fn unknown_backend(&mut self, path: Path, target: Target, pattern: &Pattern) {
        let mut problem =
            Diagnostic::error(Code::UnknownBackend, path, format!("`{}` is no backend, and no glob of one", pattern.0))
                .at(target)
                .label(format!("{}, or a glob such as `iommufd*`", suggest::expected_one_of(names())));
        problem.help.extend(suggest::did_you_mean(&pattern.0, names()));
        self.say(problem);
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    BackendName::ALL.iter().map(|name| name.as_str())
}
