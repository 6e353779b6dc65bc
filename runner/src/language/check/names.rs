//! Names do not hide one another, and a matrix gives every case a name of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, MOST_COMBINATIONS, combinations};
use crate::language::{BUILTINS, Case, Diagnostic, Name, Path, Placed, Scalar, Target, is_computed, names};

/// Something with a name, and where it gets it.
struct Given<'a> {
    path: Path,
    target: Target,
    name: &'a str,
    what: &'static str,
}

const RESULT: &str = "a result";
const COUNT: &str = "a count";

impl Checker<'_> {
    pub(super) fn names(&mut self, path: &Path, case: &Case, steps: &[Placed]) {
        let key = |path: Path, name, what| Given { path, target: Target::Key, name, what };
        let mut given: Vec<Given> = Vec::new();
        given.extend(case.matrix.keys().map(|n| key(path.join("matrix").join(n), n, "a value of the matrix")));
        given.extend(case.vars.keys().map(|n| key(path.join("vars").join(n), n, "a variable")));
        given.extend(case.devices.keys().map(|n| key(path.join("devices").join(n), n, "a device")));
        let of_regions = if self.procedure.is_some() { Path::root() } else { path.clone() }.join("regions");
        given.extend(case.regions.keys().map(|n| key(of_regions.join(n), n, "a region")));
        let parameters = self.procedure.into_iter().flat_map(|procedure| procedure.parameters.keys());
        given.extend(parameters.map(|n| key(path.join("parameters").join(n), n, "a parameter")));
        for Placed { step, path, .. } in steps {
            if let Some(name) = &step.save {
                given.push(Given { path: path.join("save"), target: Target::Value, name: &name.0, what: RESULT });
            }
            if let Some((verb, name)) = step.counts() {
                let path = path.join(verb).join("as");
                given.push(Given { path, target: Target::Value, name: &name.0, what: COUNT });
            }
        }
        let scenario = self.scenario;
        let mut taken: BTreeMap<&str, Given> = BTreeMap::new();
        for name in scenario.vars.keys() {
            let path = Path::root().join("vars").join(name);
            taken.insert(name, key(path, name, "a variable of the scenario"));
        }
        for here in given {
            self.not_reserved(&here.path, here.name, here.target);
            // A result may replace an earlier result, as a variable does in most languages, and the next `repeat` count anew.
            let again = |first: &Given| match (first.what, here.what) {
                (RESULT, RESULT) => true,
                (COUNT, COUNT) => first.path.parent().is_none_or(|repeat| !here.path.starts_with(&repeat)),
                _ => false,
            };
            if let Some(first) = taken.get(here.name).filter(|first| !again(first)) {
                self.say(
                    Diagnostic::error(
                        "name-taken",
                        here.path.clone(),
                        format!("`{}` is already {}", here.name, first.what),
                    )
                    .at(here.target)
                    .label(format!("expected another name for {}", here.what))
                    .note(first.path.clone(), first.target, "first given here"),
                );
            }
            match taken.get(here.name) {
                Some(first) if (first.what, here.what) == (COUNT, COUNT) => drop(taken.insert(here.name, here)),
                Some(_) => {}
                None => drop(taken.insert(here.name, here)),
            }
        }
    }

    pub(super) fn not_reserved(&mut self, path: &Path, name: &str, target: Target) {
        if names::is_reserved(name) {
            let meaning = match name {
                _ if names::STATIC.contains(&name) => "is the backend that the case runs on",
                _ if names::RUN_TIME.contains(&name) => "is told by the runner once the device is open",
                _ if BUILTINS.contains(&name) => "is built into every expression",
                _ => "is what the short form calls its own",
            };
            self.say(
                Diagnostic::error("reserved-name", path.clone(), format!("the name `{name}` is reserved"))
                    .at(target)
                    .label("expected another name")
                    .help(format!("`{name}` {meaning}")),
            );
        } else if !Name::is_valid(name) {
            let mut problem = Diagnostic::error("invalid-name", path.clone(), format!("`{name}` is no name"))
                .at(target)
                .label("expected letters, digits and `_`, not starting with a digit");
            problem.help.extend(Name::nearest(name).map(|name| format!("write {name}")));
            self.say(problem);
        }
    }

    pub(super) fn matrix(&mut self, path: &Path, case: &Case) {
        for (name, values) in case.matrix.iter() {
            let path = path.join("matrix").join(name);
            if values.is_empty() {
                self.say(
                    Diagnostic::error("empty-matrix", path.clone(), format!("`{name}` has no values"))
                        .label("expected at least one: without any there would be no case"),
                );
            }
            let mut seen: BTreeMap<String, (usize, &Scalar)> = BTreeMap::new();
            let mut said = BTreeSet::new();
            for (index, value) in values.iter().enumerate() {
                if is_computed(value).is_some() {
                    self.say(
                        Diagnostic::error(
                            "expression",
                            path.join(index),
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
                    Diagnostic::error("duplicate-value", path.join(index), title)
                        .label("expected another value: it makes the case's name in every report")
                        .note(path.join(*first), Target::Value, "the first one"),
                );
            }
        }
        let count = combinations(case);
        if count > MOST_COMBINATIONS {
            let sizes: Vec<String> = case.matrix.iter().map(|(_, values)| values.len().to_string()).collect();
            self.say(
                Diagnostic::error(
                    "matrix-too-large",
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
