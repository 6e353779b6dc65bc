// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names do not hide one another, and a matrix gives every case a name of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, MOST_COMBINATIONS, number_of_combinations};
use crate::language::{BUILTINS, Case, Diagnostic, Name, Path, Placed, Scalar, Target, is_computed, names, verb::Key};
use crate::model::code::Code;

/// Something with a name, and where it gets it.
struct Given<'a> {
    /// The case, the step or another place that gives it.
    giver: &'a Path,
    /// The key there.
    key: &'static str,
    /// What is below that key: the name itself, in a mapping of names.
    below: Option<&'a str>,
    name: &'a str,
    what: &'static str,
}

impl Given<'_> {
    fn path(&self) -> Path {
        let path = self.giver.join(self.key);
        self.below.map(|below| path.join(below)).unwrap_or(path)
    }

    fn target(&self) -> Target {
        match self.what {
            RESULT | COUNT => Target::Value,
            _ => Target::Key,
        }
    }
}

const RESULT: &str = "a result";
const COUNT: &str = "a count";
const OF_PACK: &str = "a variable of the pack";

impl Checker<'_> {
    pub(super) fn names(&mut self, path: &Path, case: &Case, steps: &[Placed]) {
        fn named<'a>(giver: &'a Path, key: &'static str, name: &'a str, what: &'static str) -> Given<'a> {
            Given { giver, key, below: Some(name), name, what }
        }
        let root = Path::root();
        let mut given: Vec<Given> = Vec::new();
        given.extend(case.matrix.keys().map(|name| named(path, "matrix", name, "a value of the matrix")));
        given.extend(case.vars.keys().map(|name| named(path, "vars", name, "a variable")));
        given.extend(case.devices.keys().map(|name| named(path, "devices", name, "a device")));
        let of_regions = if self.procedure.is_some() { &root } else { path };
        given.extend(case.regions.keys().map(|name| named(of_regions, "regions", name, "a region")));
        let parameters = self.procedure.into_iter().flat_map(|procedure| procedure.parameters.keys());
        given.extend(parameters.map(|name| named(path, "parameters", name, "a parameter")));
        for Placed { step, path, .. } in steps {
            if let Some(name) = &step.save {
                given.push(Given { giver: path, key: "save", below: None, name: &name.0, what: RESULT });
            }
            for (below, key) in step.keys() {
                if let Key::Count(name) = key {
                    let (key, below) = (step.verb.name(), Some(below.last()));
                    given.push(Given { giver: path, key, below, name: &name.0, what: COUNT });
                }
            }
        }
        let scenario = self.scenario;
        let mut taken: BTreeMap<&str, Given> = BTreeMap::new();
        for name in scenario.vars.keys() {
            let whose = if self.is_of_pack(name) { OF_PACK } else { "a variable of the scenario" };
            taken.insert(name, named(&root, "vars", name, whose));
        }
        for here in given {
            self.not_reserved(|| here.path(), here.name, here.target());
            // A result may replace an earlier result, as a variable does in most languages, and the next `repeat` count anew.
            let again = |first: &Given| match (first.what, here.what) {
                (RESULT, RESULT) => true,
                (COUNT, COUNT) => !here.giver.starts_with(&first.giver.join(first.key)),
                _ => false,
            };
            if let Some(first) = taken.get(here.name).filter(|first| !again(first)) {
                let title = format!("`{}` is already {}", here.name, first.what);
                let problem = Diagnostic::error(Code::NameTaken, here.path(), title)
                    .at(here.target())
                    .label(format!("expected another name for {}", here.what));
                self.say(match first.what {
                    OF_PACK => problem.help("the variables of a pack are known in all its scenarios"),
                    _ => problem.note(first.path(), first.target(), "first given here"),
                });
            }
            match taken.get(here.name) {
                Some(first) if (first.what, here.what) == (COUNT, COUNT) => drop(taken.insert(here.name, here)),
                Some(_) => {}
                None => drop(taken.insert(here.name, here)),
            }
        }
    }

    /// Whether the scenario has the variable from its pack.
    fn is_of_pack(&self, name: &str) -> bool {
        let mut packs = self.callable.packs.iter().filter(|(pack, _)| *pack == self.callable.home);
        self.procedure.is_none() && packs.any(|(_, pack)| pack.vars.get(name).is_some())
    }

    pub(super) fn not_reserved(&mut self, path: impl FnOnce() -> Path, name: &str, target: Target) {
        if names::is_reserved(name) {
            let meaning = match name {
                _ if names::STATIC.contains(&name) => "is the backend that the case runs on",
                _ if names::RUN_TIME.contains(&name) => "is set by the runner once the device is open",
                _ if BUILTINS.contains(&name) => "is built into every expression",
                _ if names::WORDS.contains(&name) => "is a word of expressions",
                _ => "is what the short form calls its own",
            };
            self.say(
                Diagnostic::error(Code::ReservedName, path(), format!("the name `{name}` is reserved"))
                    .at(target)
                    .label("expected another name")
                    .help(format!("`{name}` {meaning}")),
            );
        } else if !Name::is_valid(name) {
            let mut problem = Diagnostic::error(Code::InvalidName, path(), format!("`{name}` is no name"))
                .at(target)
                .label("expected letters, digits and `_`, not starting with a digit");
            problem.help.extend(Name::nearest(name).map(|name| format!("write {name}")));
            self.say(problem);
        }
    }

    pub(super) fn matrix(&mut self, path: &Path, case: &Case) {
        for (name, values) in case.matrix.iter() {
            let path = || path.join("matrix").join(name);
            if values.is_empty() {
                self.say(
                    Diagnostic::error(Code::EmptyMatrix, path(), format!("`{name}` has no values"))
                        .label("expected at least one: without any there would be no case"),
                );
            }
            let mut seen: BTreeMap<String, (usize, &Scalar)> = BTreeMap::new();
            let mut said = BTreeSet::new();
            for (index, value) in values.iter().enumerate() {
                if is_computed(value).is_some() {
                    self.say(
                        Diagnostic::error(
                            Code::Expression,
                            path().join(index),
                            format!("`{name}` has an expression for a value"),
                        )
                        .label("expected a value that is written out: it is part of the case's name")
                        .help("compute it where it is used, or in `vars`"),
                    );
                }
                let readable = names::readable(&value.to_string());
                let Some((first, earlier)) = seen.get(&readable) else {
                    seen.insert(readable, (index, value));
                    continue;
                };
                if !said.insert(readable) {
                    continue;
                }
                let title = match *earlier == value {
                    true => format!("`{name}` has the value `{value}` twice"),
                    false => format!("`{earlier}` and `{value}` look the same in reports"),
                };
                self.say(
                    Diagnostic::error(Code::DuplicateValue, path().join(index), title)
                        .label("expected another value: it makes the case's name in every report")
                        .note(path().join(*first), Target::Value, "the first one"),
                );
            }
        }
        let count = number_of_combinations(case);
        if count > MOST_COMBINATIONS {
            let sizes: Vec<String> = case.matrix.iter().map(|(_, values)| values.len().to_string()).collect();
            self.say(
                Diagnostic::error(
                    Code::MatrixTooLarge,
                    path.join("matrix"),
                    match count {
                        usize::MAX => "the matrix has more combinations than can be counted".to_owned(),
                        _ => format!("the matrix has {} = {count} combinations", sizes.join(" × ")),
                    },
                )
                .at(Target::Key)
                .label(format!("expected at most {MOST_COMBINATIONS}"))
                .help("each combination is a case of its own on every backend: take fewer values, or make two cases"),
            );
        }
    }
}
