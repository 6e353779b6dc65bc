// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a pack that reads well, its scenarios apart.

use std::collections::{BTreeMap, BTreeSet};

use super::written::{names_in, steps_of};
use super::{Checker, calls::Callable};
use crate::language::verb::Key;
use crate::language::{
    Case, Class, DEEPEST, Diagnostic, Name, Pack, Path, Placed, Procedure, Role, Scalar, Scenario, Target, Version,
    every_step, is_computed,
};
use crate::{language::text::suggest, model::BackendName, model::code::Code};

/// Everything that is wrong with the pack.
pub fn pack(pack: &Pack) -> Vec<Diagnostic> {
    let packs = [(pack.name.0.as_str(), pack)];
    let callable = Callable { packs: &packs, complete: true, own: true, home: &pack.name.0 };
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    // What belongs to no procedure is said in the name of one that does nothing.
    let nothing = Procedure {
        summary: String::new(),
        devices: None,
        parameters: Default::default(),
        steps: Vec::new(),
        gives: Default::default(),
    };
    let (scenario, case) = nothing.as_case("nothing", pack);
    let mut checker = Checker { problems, seen, ..Checker::of_procedure(&scenario, &nothing, callable) };
    checker.manifest(pack);
    // The variables, which scenarios may use if no procedure does.
    checker.expressions(&Path::root(), &case, &[], &[], &BackendName::ALL);
    (problems, seen) = (checker.problems, checker.seen);
    for (name, procedure) in pack.procedures.iter() {
        let (scenario, case): (Scenario, Case) = procedure.as_case(name, pack);
        let mut checker = Checker { problems, seen, ..Checker::of_procedure(&scenario, procedure, callable) };
        let path = Path::root().join("procedures").join(name);
        checker.procedure(&path, name, procedure, pack);
        checker.case(&path, &case);
        (problems, seen) = (checker.problems, checker.seen);
    }
    problems
}

impl Checker<'_> {
    fn manifest(&mut self, pack: &Pack) {
        let root = Path::root();
        if let Some(engine) = pack.engine.filter(|engine| *engine > Version::ours()) {
            let title = format!("the pack `{}` needs vfiospec {engine}", pack.name);
            self.say(
                Diagnostic::error(Code::EngineTooNew, root.join("engine"), title)
                    .label(format!("expected at most {}, which this is", Version::ours()))
                    .help("run it with a newer vfiospec"),
            );
        }
        if let Some(backends) = &pack.defaults.backends {
            self.backends(&root.join("defaults").join("backends"), &backends.list);
        }
        let conditions = root.join("conditions");
        pack.conditions.iter().filter_map(|(name, it)| it.mistake(&conditions.join(name))).for_each(|it| self.say(it));
        for name in pack.vars.keys() {
            self.not_reserved(|| root.join("vars").join(name), name, Target::Key);
        }
        let mut taken: BTreeMap<_, &str> = BTreeMap::new();
        for (name, role) in pack.devices.iter() {
            let path = root.join("devices").join(name);
            self.not_reserved(|| path.clone(), name, Target::Key);
            if name == "any" {
                self.say(
                    Diagnostic::error(Code::ReservedName, path.clone(), "the name `any` is reserved")
                        .at(Target::Key)
                        .label("expected another name")
                        .help("`any` means every device"),
                );
            }
            let lists = [
                ("ids", role.ids.as_ref().map(Vec::len)),
                ("class", role.class.as_ref().map(Vec::len)),
                ("capabilities", role.capabilities.as_ref().map(Vec::len)),
            ];
            for (key, length) in lists {
                if length == Some(0) {
                    self.say(
                        Diagnostic::error(Code::MatchesNothing, path.join(key), format!("no device is a `{name}`"))
                            .label("expected at least one"),
                    );
                }
            }
            if *role == (Role { summary: role.summary.clone(), ..Role::default() }) {
                self.say(
                    Diagnostic::error(Code::MatchesEverything, path.clone(), format!("every device is a `{name}`"))
                        .at(Target::Key)
                        .label("expected `ids`, `class`, `capabilities`, `bar` or `largest_bar` in it")
                        .help("a device's ids are what `lspci -n` shows: ids: [\"8086:10c9\"]"),
                );
            }
            let classes: Vec<Option<Class>> = match &role.class {
                Some(classes) => classes.iter().map(|class| Some(*class)).collect(),
                None => vec![None],
            };
            // Devices with the same ids may differ by what they can do, as virtual functions do.
            let mut capabilities = role.capabilities.clone().unwrap_or_default();
            capabilities.sort_unstable();
            for (index, ids) in role.ids.iter().flatten().enumerate() {
                for class in &classes {
                    let Some(first) = taken.insert((&ids.0, *class, capabilities.clone(), role.bar), name) else {
                        continue;
                    };
                    self.say(
                        Diagnostic::error(
                            Code::DuplicateRole,
                            path.join("ids").join(index),
                            format!("`{}` is already a `{first}`", ids.0),
                        )
                        .label("expected each device under one name")
                        .note(root.join("devices").join(first), Target::Key, "this one"),
                    );
                }
            }
        }
        self.shared_regions(&root.join("regions"), &pack.regions);
        for (name, region) in pack.regions.iter() {
            let path = root.join("regions").join(name);
            self.region(&path, region);
            let used = |(at, procedure): (&str, &Procedure)| {
                let (_, case) = procedure.as_case(at, pack);
                let path = root.join("procedures").join(at);
                self.uses_region(&path, &case, &steps_of(&path, &case), name)
                    || procedure.gives.iter().any(|(_, value)| {
                        is_computed(value).is_some_and(|s| names_in(s).iter().any(|n| n.name == name))
                    })
            };
            if !pack.procedures.iter().any(used) {
                self.say(
                    Diagnostic::error(Code::UnusedRegion, path, format!("no procedure uses region `{name}`"))
                        .at(Target::Key)
                        .label("expected a step that maps it")
                        .help("remove the region, or use it"),
                );
            }
        }
        self.recursion(pack);
    }

    fn procedure(&mut self, path: &Path, name: &str, procedure: &Procedure, pack: &Pack) {
        self.not_reserved(|| path.clone(), name, Target::Key);
        for (index, role) in procedure.devices.iter().flatten().enumerate() {
            self.role(path.join("devices").join(index), role, pack);
        }
        if pack.devices.is_empty() {
            self.say(
                Diagnostic::error(Code::NoDevice, path.clone(), format!("`{name}` is for no device"))
                    .at(Target::Key)
                    .label("expected `devices` in the pack: they say which ones its procedures are for"),
            );
        }
        for (name, parameter) in procedure.parameters.iter() {
            let path = path.join("parameters").join(name);
            self.parameter(&path, name, parameter);
        }
        if procedure.steps.is_empty() && procedure.gives.is_empty() {
            self.say(
                Diagnostic::error(Code::NothingToDo, path.clone(), format!("`{name}` does nothing and gives nothing"))
                    .at(Target::Key)
                    .label("expected `steps` or `gives` in it"),
            );
        }
    }

    fn role(&mut self, at: Path, role: &Name, pack: &Pack) {
        if pack.devices.get(&role.0).is_some() || pack.devices.is_empty() {
            return;
        }
        let mut problem = Diagnostic::error(Code::UnknownRole, at, format!("no device of the pack is called `{role}`"))
            .about(&role.0)
            .label(suggest::expected_one_of(pack.devices.keys()));
        problem.help.extend(suggest::did_you_mean(&role.0, pack.devices.keys()));
        self.say(problem);
    }

    /// A procedure that calls itself, and one that others call through too many.
    fn recursion(&mut self, pack: &Pack) {
        // How deep each goes, once that is known; `None` while it is being found out.
        let mut depths: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        for name in pack.procedures.keys() {
            self.depth(name, pack, &mut depths, &mut Vec::new());
        }
    }

    fn depth<'p>(
        &mut self,
        name: &'p str,
        pack: &'p Pack,
        depths: &mut BTreeMap<&'p str, Option<usize>>,
        callers: &mut Vec<&'p str>,
    ) -> usize {
        if let Some(Some(depth)) = depths.get(name) {
            return *depth;
        }
        let Some(procedure) = pack.procedures.get(name).filter(|_| callers.len() <= 2 * DEEPEST) else { return 0 };
        depths.insert(name, None);
        callers.push(name);
        let mut deepest = 0;
        let at = Path::root().join("procedures").join(name).join("steps");
        let steps = every_step(&procedure.steps, &at);
        let calls = steps.iter().flat_map(|Placed { step, path, .. }| {
            step.verb.procedures().into_iter().map(|called| (path.join(step.verb.name()), called))
        });
        for (at, called) in calls {
            if depths.get(called) == Some(&None) {
                let way = callers.iter().skip_while(|caller| **caller != called).skip(1);
                let way: Vec<String> = way.map(|caller| format!("`{caller}`")).collect();
                let title = match way.is_empty() {
                    true => format!("`{called}` calls itself"),
                    false => format!("`{called}` calls itself, by way of {}", way.join(" and ")),
                };
                self.say(
                    Diagnostic::error(Code::Recursion, at, title)
                        .label("expected a call that comes to an end")
                        .help("to do something again, use `repeat`"),
                );
                continue;
            }
            let depth = 1 + self.depth(called, pack, depths, callers);
            if depth == DEEPEST {
                self.say(
                    Diagnostic::error(Code::TooDeep, at, format!("`{name}` calls through {DEEPEST} others"))
                        .label(format!("expected at most {}", DEEPEST - 1)),
                );
            }
            deepest = deepest.max(depth);
        }
        callers.pop();
        depths.insert(name, Some(deepest));
        deepest
    }

    /// The names of regions that steps may take: of the case or procedure, and those that a procedure is given.
    pub(super) fn region_names<'c>(&'c self, case: &'c Case) -> Vec<&'c str> {
        let given = self.procedure.into_iter().flat_map(|procedure| procedure.parameters.iter());
        let given = given.filter(|(_, parameter)| parameter.r#type == crate::language::Type::Region);
        // A region of this name has a message of its own.
        let given = given.map(|(name, _)| name).filter(|name| case.regions.get(name).is_none());
        case.regions.keys().chain(given).collect()
    }

    /// Whether a step hands the region on to a procedure.
    pub(super) fn hands_on(steps: &[Placed], region: &str) -> bool {
        let is_region = |value: &Scalar| matches!(value, Scalar::Text(text) if text == region);
        steps.iter().flat_map(|placed| placed.step.keys()).any(|(_, key)| match key {
            Key::Arguments(arguments) => arguments.iter().any(|(_, value)| is_region(value)),
            _ => false,
        })
    }
}
