// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of procedures: there is one, and it gets what it takes.

use super::Checker;
use crate::language::verb::{Call, Verb};
use crate::language::{
    Case, Diagnostic, Name, Parameter, Path, Procedure, Role, Scalar, Size, Step, Target, Type, is_computed,
    region_named,
};
use crate::{language::text::suggest, model::code::Code};

/// The procedures that calls may mean.
#[derive(Clone, Copy)]
pub(super) struct Callable<'a> {
    /// By their packs' names.
    pub packs: &'a [(&'a str, &'a crate::language::Pack)],
    /// Whether there are no others.
    pub complete: bool,
    /// Whether they are those of the pack that the call stands in.
    pub own: bool,
    /// The pack of the scenario that calls, whose procedures go before those of others.
    pub home: &'a str,
}

impl<'a> Checker<'a> {
    /// What is said of the procedures that a step calls, and of what they are given.
    pub(super) fn procedures(&mut self, path: &Path, step: &Step, case: &Case) {
        let names = step.verb.procedures();
        if let Some(unknown) = names.iter().find(|name| self.callable.complete && self.called(name).is_empty()) {
            return self.unknown_procedure(path, &step.verb, unknown);
        }
        for name in names {
            self.ambiguous(path, step, name);
        }
        if let Verb::Call(call) = &step.verb {
            self.call(path, call, case);
        }
    }

    /// The procedures of this name, with the packs that have them.
    fn called(&self, name: &str) -> Vec<(&'a str, &'a Procedure)> {
        let of = |(pack, content): &(&'a str, &'a crate::language::Pack)| Some((*pack, content.procedures.get(name)?));
        self.callable.packs.iter().filter_map(of).collect()
    }

    fn call(&mut self, path: &Path, call: &Call, case: &Case) {
        let Call { procedure: name, with } = call;
        let found = self.called(&name.0);
        for (pack, procedure) in &found {
            let of = format!("`{name}` of the pack `{pack}`");
            for (argument, value) in with.iter() {
                if let Some(parameter) = procedure.parameters.get(argument) {
                    self.argument(path.join("with").join(argument), argument, parameter, value, &of, case);
                }
            }
        }
        self.arguments(path, call, &found);
        self.bounds(path, call, &found);
    }

    /// A procedure that two packs have for the same device, and not that of the scenario.
    fn ambiguous(&mut self, path: &Path, step: &Step, name: &str) {
        let Callable { packs, own, home, .. } = self.callable;
        let device = self.scenario.device.as_ref().map_or("any", |device| &device.0);
        let home = packs.iter().find(|(pack, _)| *pack == home).map(|(_, pack)| *pack);
        let role = home.and_then(|pack| pack.devices.get(device));
        let is_known = device == "any" || role.is_some();
        if own || !is_known || step.device.is_some() || home.is_some_and(|pack| pack.procedures.get(name).is_some()) {
            return;
        }
        for (index, (first, pack)) in packs.iter().enumerate() {
            for (second, other) in &packs[index + 1..] {
                let pairs = pack.roles_with(name).flat_map(|one| other.roles_with(name).map(move |other| (one, other)));
                let mut both = pairs.filter_map(|(one, other)| match role {
                    Some(role) => same(&same(one, other)?, role),
                    None => same(one, other),
                });
                let Some(both) = both.next() else { continue };
                let title = format!("both the packs `{first}` and `{second}` have a procedure `{name}` for one device");
                return self.say(
                    Diagnostic::error(Code::Ambiguous, path.join(step.verb.name()), title)
                        .label(format!("expected only one for {}", both.wanted()))
                        .help("leave one of the packs out, or call it from a scenario of the pack that is meant"),
                );
            }
        }
    }

    /// A number that is written out and that no pack takes; one may take what another does not, each for its devices.
    fn bounds(&mut self, path: &Path, Call { procedure: name, with }: &Call, found: &[(&str, &Procedure)]) {
        for (argument, value) in with.iter() {
            let Some(number) = number_written(value) else { continue };
            let parameters =
                found.iter().filter_map(|(pack, procedure)| Some((pack, procedure.parameters.get(argument)?)));
            let bounds: Vec<_> = parameters
                .map(|(pack, parameter)| {
                    let kind = parameter.r#type;
                    (pack, parameter.bounds_against(number).filter(|_| kind.is_number() && is_of(value, kind)))
                })
                .collect();
            if bounds.iter().any(|(_, bounds)| bounds.is_none()) {
                continue;
            }
            for (pack, bounds) in bounds {
                let title = format!("`{argument}` of `{name}` of the pack `{pack}` cannot be `{value}`");
                self.say(
                    Diagnostic::error(Code::WrongArgument, path.join("with").join(argument), title)
                        .label(format!("expected {}", bounds.unwrap_or_default())),
                );
            }
        }
    }

    /// What a call gives that a procedure does not take, and what it needs and is not given: said once for all packs that have it.
    fn arguments(&mut self, path: &Path, Call { procedure: name, with }: &Call, found: &[(&str, &Procedure)]) {
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
        for argument in with.keys() {
            let without = found.iter().filter(|(_, procedure)| procedure.parameters.get(argument).is_none());
            let packs: Vec<&str> = without.map(|(pack, _)| *pack).collect();
            if packs.is_empty() {
                continue;
            }
            let title = format!("{} takes no `{argument}`", of(&packs));
            let mut problem = Diagnostic::error(Code::UnknownArgument, path.join("with").join(argument), title)
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
        for missing in known.into_iter().filter(|name| with.get(name).is_none() && !meant.contains(name)) {
            let needs = found.iter().filter_map(|(pack, procedure)| {
                let parameter = procedure.parameters.get(missing).filter(|parameter| parameter.default.is_none());
                Some((*pack, parameter?))
            });
            let (packs, parameters): (Vec<&str>, Vec<&Parameter>) = needs.unzip();
            let Some(parameter) = parameters.first() else { continue };
            self.say(
                Diagnostic::error(
                    Code::MissingArgument,
                    path.join("call"),
                    format!("{} needs `{missing}`", of(&packs)),
                )
                .label(format!("expected `with: {{ {missing}: … }}`: {}", parameter.r#type.expected()))
                .help(format!("it is: {}", parameter.summary))
                .about(missing),
            );
        }
    }

    fn unknown_procedure(&mut self, path: &Path, verb: &Verb, name: &str) {
        let callable = self.callable;
        let mut known: Vec<&str> = Vec::new();
        let all = callable.packs.iter().flat_map(|(_, pack)| pack.procedures.keys());
        all.for_each(|name| {
            if !known.contains(&name) {
                known.push(name)
            }
        });
        let names = || known.iter().copied();
        let title = match verb {
            Verb::Call(_) => format!("no procedure is called `{name}`"),
            other => format!("no procedure is called `{name}`, which `{}` needs", other.name()),
        };
        let mut problem = Diagnostic::error(Code::UnknownProcedure, path.join(verb.name()), title).about(name);
        problem = problem.label(match (names().next().is_some(), callable.own) {
            (true, _) => suggest::expected_one_of(names()),
            (false, true) => "expected one of the pack's procedures, and it has no others".to_owned(),
            (false, false) => "expected a procedure of a pack, and no pack with procedures was found".to_owned(),
        });
        problem.help.extend(suggest::did_you_mean(name, names()));
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
                None => {
                    let problem = wrong(at, name, parameter.r#type, value, of);
                    self.say(match is_computed(value).and_then(Name::in_braces) {
                        Some(region) => problem.help(format!("write it without braces: `{name}: {region}`")),
                        None => problem,
                    });
                }
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
                        Code::MisplacedKey,
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
                Diagnostic::error(Code::WrongArgument, path.join("most"), format!("`{name}` can have no value"))
                    .label(format!("expected {} or more, which is the least", parameter.least.unwrap_or_default())),
            );
        }
        let Some(value) = &parameter.default else { return };
        let at = path.join("default");
        let number = number_written(value).filter(|_| kind.is_number());
        if let Some(bounds) = number.and_then(|number| parameter.bounds_against(number)) {
            self.say(
                Diagnostic::error(Code::WrongArgument, at.clone(), format!("`{name}` cannot be `{value}`"))
                    .label(format!("expected {bounds}")),
            );
        }
        if parameter.r#type == Type::Region {
            self.say(
                Diagnostic::error(Code::MisplacedKey, at, format!("region `{name}` has a default"))
                    .at(Target::Key)
                    .label("expected a region from every call")
                    .help("memory that is the procedure's own belongs to the pack's `regions`"),
            );
        } else if is_computed(value).is_some() || !is_of(value, parameter.r#type) {
            self.say(
                Diagnostic::error(Code::WrongArgument, at, format!("`{name}` cannot be `{value}`"))
                    .label(format!("expected {}, written out", parameter.r#type.expected())),
            );
        }
    }
}

/// The devices that are both, where there can be no doubt that there are some: all but their ids is the same.
fn same(one: &Role, other: &Role) -> Option<Role> {
    let without_ids = |role: &Role| Role { summary: None, ids: None, ..role.clone() };
    let ids = match (&one.ids, &other.ids) {
        (Some(one), Some(other)) => Some(one.iter().filter(|ids| other.contains(ids)).cloned().collect::<Vec<_>>()),
        (None, None) => None,
        _ => return None,
    };
    let is_some_device = without_ids(one) == without_ids(other) && ids.as_ref().is_none_or(|ids| !ids.is_empty());
    is_some_device.then(|| Role { ids, ..without_ids(one) })
}

fn wrong(at: Path, name: &str, kind: Type, value: &Scalar, of: &str) -> Diagnostic {
    let problem = Diagnostic::error(Code::WrongArgument, at, format!("`{name}` of {of} cannot be `{value}`"));
    problem.label(format!("expected {}", kind.expected()))
}

/// The number that is written out.
fn number_written(value: &Scalar) -> Option<i128> {
    match value {
        Scalar::Integer(number) => Some(*number),
        Scalar::Text(text) => text.parse::<Size>().ok().map(|size| size.0.into()),
        Scalar::Bool(_) => None,
    }
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
