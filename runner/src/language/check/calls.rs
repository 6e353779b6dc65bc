//! Calls of procedures: there is one, and it gets what it takes.

use super::Checker;
use crate::language::{
    Case, Diagnostic, Name, Parameter, Path, Procedure, Scalar, Size, Step, Target, Type, is_computed, region_named,
    text::suggest,
};

/// The procedures that calls may mean.
#[derive(Clone, Copy)]
pub(super) struct Callable<'a> {
    /// By their packs' names.
    pub packs: &'a [(&'a str, &'a crate::language::Pack)],
    /// Whether there are no others.
    pub complete: bool,
    /// Whether they are those of the pack that the call stands in.
    pub own: bool,
}

impl Checker<'_> {
    /// What is said of a call and of what it is given.
    pub(super) fn call(&mut self, path: &Path, step: &Step, case: &Case) {
        let Some(name) = &step.call else {
            if !step.with.is_empty() {
                self.say(
                    Diagnostic::error("misplaced-key", path.join("with"), "`with` without `call`")
                        .at(Target::Key)
                        .label("expected only beside `call`: it is what a procedure takes"),
                );
            }
            return;
        };
        let callable = self.callable;
        let found: Vec<(&str, &Procedure)> = callable
            .packs
            .iter()
            .filter_map(|(pack, content)| Some((*pack, content.procedures.get(&name.0)?)))
            .collect();
        if found.is_empty() && callable.complete {
            self.unknown_procedure(path.join("call"), name);
        }
        for (pack, procedure) in &found {
            let of = format!("`{name}` of the pack `{pack}`");
            for (argument, value) in step.with.iter() {
                if let Some(parameter) = procedure.parameters.get(argument) {
                    self.argument(path.join("with").join(argument), argument, parameter, value, &of, case);
                }
            }
        }
        self.arguments(path, step, name, &found);
    }

    /// What a call gives that a procedure does not take, and what it needs and is not given: said once for all packs that have it.
    fn arguments(&mut self, path: &Path, step: &Step, name: &Name, found: &[(&str, &Procedure)]) {
        let of = |packs: &[&str]| {
            let plural = if packs.len() == 1 { "" } else { "s" };
            format!("`{name}` of the pack{plural} {}", suggest::join(packs.iter().copied(), "and"))
        };
        let mut known: Vec<&str> = Vec::new();
        let parameters = found.iter().flat_map(|(_, procedure)| procedure.parameters.iter());
        parameters.for_each(|(name, _)| {
            if !known.contains(&name) {
                known.push(name)
            }
        });
        let mut meant: Vec<&str> = Vec::new();
        for argument in step.with.keys() {
            let without = found.iter().filter(|(_, procedure)| procedure.parameters.get(argument).is_none());
            let packs: Vec<&str> = without.map(|(pack, _)| *pack).collect();
            if packs.is_empty() {
                continue;
            }
            let title = format!("{} takes no `{argument}`", of(&packs));
            let mut problem = Diagnostic::error("unknown-argument", path.join("with").join(argument), title)
                .at(Target::Key)
                .label(match known.is_empty() {
                    true => "expected nothing: it has no parameters".to_owned(),
                    false => suggest::expected_one_of(known.iter().copied()),
                });
            problem.help.extend(suggest::did_you_mean(argument, known.iter().copied()));
            meant.extend(suggest::nearest(argument, known.iter().copied()));
            self.say(problem);
        }
        // One that was mistyped is not missing too.
        for missing in known.into_iter().filter(|name| step.with.get(name).is_none() && !meant.contains(name)) {
            let needs = found.iter().filter_map(|(pack, procedure)| {
                let parameter = procedure.parameters.get(missing).filter(|parameter| parameter.default.is_none());
                Some((*pack, parameter?))
            });
            let (packs, parameters): (Vec<&str>, Vec<&Parameter>) = needs.unzip();
            let Some(parameter) = parameters.first() else { continue };
            self.say(
                Diagnostic::error("missing-argument", path.join("call"), format!("{} needs `{missing}`", of(&packs)))
                    .label(format!("expected `with: {{ {missing}: … }}`: {}", parameter.r#type.expected()))
                    .help(format!("it is: {}", parameter.summary)),
            );
        }
    }

    fn unknown_procedure(&mut self, path: Path, name: &Name) {
        let callable = self.callable;
        let mut known: Vec<&str> = Vec::new();
        let all = callable.packs.iter().flat_map(|(_, pack)| pack.procedures.keys());
        all.for_each(|name| {
            if !known.contains(&name) {
                known.push(name)
            }
        });
        let names = || known.iter().copied();
        let mut problem = Diagnostic::error("unknown-procedure", path, format!("no procedure is called `{name}`"));
        problem = problem.label(match (names().next().is_some(), callable.own) {
            (true, _) => suggest::expected_one_of(names()),
            (false, true) => "expected one of the pack's procedures, and it has no others".to_owned(),
            (false, false) => "expected a procedure of a pack, and no pack with procedures was found".to_owned(),
        });
        problem.help.extend(suggest::did_you_mean(&name.0, names()));
        problem = match callable.own {
            true => problem.help("a procedure calls those of its own pack"),
            false => {
                problem.help(
                    "packs are looked for in the given paths, in the folder `scenarios` here, and in each `--pack FOLDER`; from \
                     elsewhere, name those of the clone with `--pack CLONE/scenarios/vendor`",
                )
            }
        };
        self.say(problem);
    }

    fn argument(&mut self, at: Path, name: &str, parameter: &Parameter, value: &Scalar, of: &str, case: &Case) {
        if parameter.r#type == Type::Region {
            return match region_named(value) {
                Some(region) => self.known_region(at, &Name(region.to_owned()), case),
                None => self.say(wrong(at, name, parameter.r#type, value, of)),
            };
        }
        if is_computed(value).is_none() && !is_of(value, parameter.r#type) {
            self.say(wrong(at, name, parameter.r#type, value, of));
        }
    }

    /// What a parameter is where a call does not say, and what it may be.
    pub(super) fn parameter(&mut self, path: &Path, name: &str, parameter: &Parameter) {
        let kind = parameter.r#type;
        for (key, bound) in [("least", parameter.least), ("most", parameter.most)] {
            if bound.is_some() && !kind.is_number() {
                self.say(
                    Diagnostic::error(
                        "misplaced-key",
                        path.join(key),
                        format!("`{name}` is no number, and has a bound"),
                    )
                    .at(Target::Key)
                    .label("expected `least` and `most` with `iova`, `size` and `integer` only"),
                );
            }
        }
        if parameter.least > parameter.most && parameter.most.is_some() {
            self.say(
                Diagnostic::error("wrong-argument", path.join("most"), format!("`{name}` can have no value"))
                    .label(format!("expected {} or more, which is the least", parameter.least.unwrap_or_default())),
            );
        }
        let Some(value) = &parameter.default else { return };
        let at = path.join("default");
        let number = match value {
            Scalar::Integer(number) => u64::try_from(*number).ok(),
            Scalar::Text(text) => text.parse::<Size>().ok().map(|size| size.0),
            _ => None,
        };
        if let Some(bounds) = number.filter(|_| kind.is_number()).and_then(|number| parameter.bounds_against(number)) {
            self.say(
                Diagnostic::error("wrong-argument", at.clone(), format!("`{name}` cannot be `{value}`"))
                    .label(format!("expected {bounds}")),
            );
        }
        if parameter.r#type == Type::Region {
            self.say(
                Diagnostic::error("misplaced-key", at, format!("region `{name}` has a default"))
                    .at(Target::Key)
                    .label("expected a region from every call")
                    .help("memory that is the procedure's own belongs to the pack's `regions`"),
            );
        } else if is_computed(value).is_some() || !is_of(value, parameter.r#type) {
            self.say(
                Diagnostic::error("wrong-argument", at, format!("`{name}` cannot be `{value}`"))
                    .label(format!("expected {}, written out", parameter.r#type.expected())),
            );
        }
    }
}

fn wrong(at: Path, name: &str, kind: Type, value: &Scalar, of: &str) -> Diagnostic {
    let problem = Diagnostic::error("wrong-argument", at, format!("`{name}` of {of} cannot be `{value}`"));
    problem.label(format!("expected {}", kind.expected()))
}

/// Whether a value that is written out is of a type.
fn is_of(value: &Scalar, kind: Type) -> bool {
    match (kind, value) {
        (Type::Iova | Type::Size, Scalar::Integer(number)) => u64::try_from(*number).is_ok(),
        (Type::Integer, Scalar::Integer(number)) => u64::try_from(*number).is_ok() || i64::try_from(*number).is_ok(),
        (Type::Iova | Type::Size | Type::Integer, Scalar::Text(text)) => text.parse::<Size>().is_ok(),
        (Type::Boolean, value) => matches!(value, Scalar::Bool(_)),
        (Type::Text, _) => true,
        (Type::Region, value) => region_named(value).is_some(),
        _ => false,
    }
}
