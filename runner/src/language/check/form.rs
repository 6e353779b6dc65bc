// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case is declarative or has steps, and a step has one verb.

use super::{Checker, written};
use crate::language::verb::{About, Expects, Key, Object, Site, Stands, Verb};
use crate::language::{
    Case, DEEPEST, Diagnostic, Dynamic, Fixture, MOST_STEPS, Name, Path, Placed, Step, TIMING, Target, steps_run,
};
use crate::{language::text::suggest, model::BackendName, model::code::Code};

const FORMS: &str = "expected `region` and `expect`, or `regions` and `steps`";

impl Checker<'_> {
    pub(super) fn form(&mut self, path: &Path, case: &Case, steps: &[Placed]) {
        let alone = self.is_alone(case);
        if alone && case.region.is_some() {
            self.say(
                Diagnostic::error(Code::MisplacedKey, path.join("region"), "`region` does not go with `fixture: none`")
                    .at(Target::Key)
                    .label("expected `regions` and `steps`: the device is not open"),
            );
        }
        for (name, region) in case.regions.iter() {
            if alone && region.memory.is_bar() {
                let at = path.join("regions").join(name).join("memory");
                self.say(
                    Diagnostic::error(Code::MisplacedKey, at, "a BAR does not go with `fixture: none`")
                        .label("expected memory of another kind: the device is not open"),
                );
            }
        }
        if self.procedure.is_some() {
            if case.steps.is_some() {
                self.steps(path, case, steps);
            }
            return;
        }
        match (case.region.is_some() || case.expect.is_some(), &case.steps) {
            (true, Some(_)) => {
                let other = if case.region.is_some() { "region" } else { "expect" };
                self.say(
                    Diagnostic::error(
                        Code::TwoForms,
                        path.join("steps"),
                        format!("case `{}` has both `steps` and `{other}`", case.name),
                    )
                    .at(Target::Key)
                    .label(FORMS)
                    .note(path.join(other), Target::Key, "this belongs to the short form")
                    .help("make two cases of it, or move what the short form says into `regions` and `steps`"),
                );
            }
            (false, None) => self.say(
                Diagnostic::error(Code::NothingToDo, path.join("name"), format!("case `{}` does nothing", case.name))
                    .label(FORMS)
                    .help("the least is `region: { memory: anonymous, size: 4KiB }` and `expect: { map: ok }`"),
            ),
            (true, None) => self.declarative(path, case),
            (false, Some(_)) => self.steps(path, case, steps),
        }
    }

    fn declarative(&mut self, path: &Path, case: &Case) {
        if case.region.is_none() {
            self.say(
                Diagnostic::error(
                    Code::MissingRegion,
                    path.join("expect"),
                    format!("case `{}` expects something of a region that it does not describe", case.name),
                )
                .at(Target::Key)
                .label("expected a `region` beside it")
                .help("`region: { memory: anonymous, size: 4KiB }` is the least"),
            );
        }
        if case.expect.is_none() {
            self.say(
                Diagnostic::error(
                    Code::MissingExpect,
                    path.join("region"),
                    format!("case `{}` has a region and expects nothing of it", case.name),
                )
                .at(Target::Key)
                .label("expected an `expect` beside it")
                .help("`expect: { map: ok }` is the least; the unmap is then checked to the byte"),
            );
        }
        if let Some((name, _)) = case.regions.iter().next() {
            self.say(
                Diagnostic::error(
                    Code::TwoForms,
                    path.join("regions").join(name),
                    format!("region `{name}` is for `steps`, and case `{}` has none", case.name),
                )
                .at(Target::Key)
                .label("expected only `region` beside `expect`")
                .help("remove `regions`, or write the case with `steps`"),
            );
        }
    }

    fn steps(&mut self, path: &Path, case: &Case, steps: &[Placed]) {
        if steps.is_empty() {
            self.say(
                Diagnostic::error(Code::NothingToDo, path.join("steps"), format!("case `{}` does nothing", case.name))
                    .at(Target::Key)
                    .label("expected at least one step")
                    .help("a step is a verb with what it takes, such as `- map: { region: NAME }`"),
            );
            return;
        }
        if case.steps.as_deref().is_some_and(|steps| steps_run(steps) > MOST_STEPS) {
            let which = if self.procedure.is_some() { "procedure" } else { "case" };
            self.say(
                Diagnostic::error(
                    Code::TooManySteps,
                    path.join("steps"),
                    format!("{which} `{}` has no end in sight", case.name),
                )
                .at(Target::Key)
                .label(format!("expected at most {MOST_STEPS} steps, with every round of a `repeat`"))
                .help("repeat fewer times"),
            );
        }
        if self.procedure.is_some() {
            return; // its regions are the pack's
        }
        for name in case.regions.keys() {
            // One of the file's is for all cases. A name that no region has may be meant for this one.
            let is_of_case = self.scenario.regions.get(name).is_none();
            if is_of_case && !self.uses_region(path, case, steps, name) && self.knows_regions(case, steps) {
                let path = path.join("regions").join(name);
                self.say(
                    Diagnostic::error(Code::UnusedRegion, path, format!("no step uses region `{name}`"))
                        .at(Target::Key)
                        .label("expected a step that maps it")
                        .help(format!("add `- map: {{ region: {name} }}`, or remove the region")),
                );
            }
        }
    }

    /// Says so where none of the steps can fail.
    pub(super) fn asserts(&mut self, path: &Path, case: &Case, steps: &[Placed]) {
        let has_steps = case.steps.as_ref().is_some_and(|steps| !steps.is_empty());
        let is_short = case.region.is_some() || case.expect.is_some();
        if self.procedure.is_some()
            || !has_steps
            || is_short
            || steps.iter().any(|placed| placed.step.verb.about().asserts)
        {
            return;
        }
        let title = format!("case `{}` asserts nothing", case.name);
        self.say(
            Diagnostic::error(Code::AssertsNothing, path.join("steps"), title)
                .at(Target::Key)
                .label("expected a call or a check that can fail")
                .help("a case that cannot fail says nothing of the kernel: add a `check`"),
        );
    }

    /// Whether every region that a step takes is there.
    fn knows_regions(&self, case: &Case, steps: &[Placed]) -> bool {
        let names = self.region_names(case);
        let mut taken = steps.iter().flat_map(|placed| regions(placed.step));
        taken.all(|region| names.iter().any(|name| *name == region.0))
    }

    /// Whether a step of a case takes the region, or an expression its address.
    pub(super) fn uses_region(&self, path: &Path, case: &Case, steps: &[Placed], name: &str) -> bool {
        let takes = |placed: &Placed| {
            matches!(placed.step.verb, Verb::Explore(_)) || regions(placed.step).any(|region| region.0 == name)
        };
        steps.iter().any(takes)
            || case.regions.iter().any(|(_, region)| region.of.as_ref().is_some_and(|of| of.0 == name))
            || Checker::hands_on(steps, name)
            || written::expressions(path, case, steps).iter().any(|e| e.names().iter().any(|n| n.name == name))
    }

    pub(super) fn step(&mut self, placed: &Placed, case: &Case, steps: &[Placed], backends: &[BackendName]) {
        let Placed { step, path, depth } = placed;
        let (verb, about) = (step.verb.name(), step.verb.about());
        if *depth == DEEPEST {
            self.say(
                Diagnostic::error(Code::TooDeep, path.join(verb), format!("a step that {DEEPEST} others hold"))
                    .at(Target::Key)
                    .label(format!("expected steps within at most {} others", DEEPEST - 1)),
            );
        }
        self.procedures(path, step, case);
        for (below, key) in step.keys() {
            match key {
                Key::Region(region) => self.known_region(below.of(path), region, case),
                Key::Size(Dynamic::Is(size), fit) => {
                    if let Some(expected) = fit.refuses(*size) {
                        let title = format!("`{}` is {}", below.last(), fit.shown(*size));
                        self.say(Diagnostic::error(Code::BadSize, below.of(path), title).label(expected));
                    }
                }
                Key::Object(Object::Named(name)) => self.known_object(below.of(path), name, steps),
                Key::File(name) => self.known_file(below.of(path), name, steps, !self.is_alone(case)),
                Key::Opened(name) => self.known_file(below.of(path), name, steps, false),
                // The expressions in them are checked where all expressions are.
                Key::Size(Dynamic::Expression(_), _)
                | Key::Place(_)
                | Key::Text(_)
                | Key::Object(Object::Id(_))
                | Key::Interrupt(_)
                | Key::Truth(_)
                | Key::Count(_)
                | Key::Ranges(_)
                | Key::Fields(_)
                | Key::Tail(_)
                | Key::Arguments(_)
                | Key::Word => {}
            }
        }
        let site = Site { at: path.join(verb), case, backends, requests: &self.scenario.requests };
        step.verb.mistakes(&site).into_iter().for_each(|mistake| self.say(mistake));
        self.only_iommufd(placed, backends);
        self.devices(path, case, step);
        self.stands(placed, case, steps);
        if let (Expects::Nothing(instead), false) = (about.expects, step.verb.is_timed()) {
            for (key, given) in [("save", step.save.is_some()), ("within", step.within.is_some())] {
                if given {
                    self.misplaced(path, key, verb, "a verb that has a result", instead);
                }
            }
        }
        let tags = self.scenario.tags.iter().chain(&case.tags);
        if step.within.is_some() && !tags.into_iter().any(|tag| tag.0 == TIMING) {
            self.say(
                Diagnostic::error(Code::MisplacedKey, path.join("within"), "`within` in a case without the tag `timing`")
                    .at(Target::Key)
                    .label("expected only in a case with `tags: [timing]`")
                    .help("how long something takes depends on what else the machine does: such cases run only if they are asked for"),
            );
        }
    }

    /// What is said of the outcome that a step expects, on the backends that it runs on.
    pub(super) fn step_outcomes(&mut self, Placed { step, path, .. }: &Placed, backends: &[BackendName]) {
        let (verb, about) = (step.verb.name(), step.verb.about());
        match (&step.expect, about.expects) {
            (None, _) => {}
            (Some(expect), Expects::Outcome) => self.outcomes(&path.join("expect"), expect, backends, false),
            (Some(expect), Expects::Bytes) => self.outcomes(&path.join("expect"), expect, backends, true),
            (Some(_), Expects::Nothing(instead)) => {
                self.misplaced(path, "expect", verb, "a call that succeeds or fails", instead);
            }
        }
    }

    fn misplaced(&mut self, step: &Path, key: &str, verb: &str, beside: &str, instead: &str) {
        self.say(
            Diagnostic::error(Code::MisplacedKey, step.join(key), format!("`{key}` does not go with `{verb}`"))
                .at(Target::Key)
                .label(format!("expected only beside {beside}"))
                .help(instead),
        );
    }

    fn is_alone(&self, case: &Case) -> bool {
        case.fixture.or(self.scenario.fixture) == Some(Fixture::None)
    }

    /// Whether the verb may stand where the step stands.
    fn stands(&mut self, Placed { step, path, .. }: &Placed, case: &Case, steps: &[Placed]) {
        let (verb, about) = (step.verb.name(), step.verb.about());
        let opens = || steps.iter().any(|placed| matches!(placed.step.verb, Verb::DeviceOpen(_)));
        match (about.fixture, self.is_alone(case)) {
            (Stands::Anywhere, _) | (Stands::Open, false) | (Stands::Alone, true) => {}
            (Stands::Open, true) if opens() => {}
            (Stands::Open, true) if matches!(&step.verb, Verb::Feature(feature) if feature.on.is_some()) => {}
            (Stands::Open, true) => {
                self.say(
                    Diagnostic::error(
                        Code::MisplacedKey,
                        path.join(verb),
                        format!("`{verb}` does not go with `fixture: none`"),
                    )
                    .at(Target::Key)
                    .label("expected a verb that needs no open device")
                    .help("`device_open` opens the device; without it there are verbs for files and memory, such as `open`, `ioctl` and `fill`"),
                );
            }
            (Stands::Alone, false) => self.say(
                Diagnostic::error(
                    Code::MisplacedKey,
                    path.join(verb),
                    format!("`{verb}` goes only with `fixture: none`"),
                )
                .at(Target::Key)
                .label("expected on a device that is not open: here it is, from the first step to the last"),
            ),
        }
        if matches!(step.verb, Verb::Open(_)) && step.save.is_none() {
            self.say(
                Diagnostic::error(Code::MissingKey, path.join(verb), "`open` without `save`")
                    .at(Target::Key)
                    .label("expected `save: NAME` beside it: later steps call the file by this name"),
            );
        }
    }

    /// A file is one that an earlier step opened, or one `of_fixture`.
    fn known_file(&mut self, at: Path, name: &Name, steps: &[Placed], of_fixture: bool) {
        let mut known = saved(steps, |about| about.makes_file);
        // Of a device that the case opened itself, too.
        let opens = || steps.iter().any(|placed| matches!(placed.step.verb, Verb::DeviceOpen(_)));
        if of_fixture || opens() {
            known.extend(["device", "iommu"]);
        }
        if known.contains(&name.0.as_str()) {
            return;
        }
        let expected = match known.is_empty() {
            true => "expected an earlier `open` with `save`".to_owned(),
            false => suggest::expected_one_of(known.iter().copied()),
        };
        let mut problem =
            Diagnostic::error(Code::UnknownFile, at, format!("no file is called `{name}`")).label(expected);
        problem.help.extend(suggest::did_you_mean(&name.0, known));
        self.say(problem);
    }

    pub(super) fn known_region(&mut self, path: Path, region: &Name, case: &Case) {
        let names = self.region_names(case);
        let names = || names.iter().copied();
        if names().any(|name| *name == region.0) {
            return;
        }
        let mut problem =
            Diagnostic::error(Code::UnknownRegion, path, format!("no region is called `{region}`")).about(&region.0);
        if names().len() == 0 {
            problem = problem
                .label("expected one of the case's `regions`, and it has none")
                .help(format!("add `regions: {{ {region}: {{ memory: anonymous, size: 4KiB }} }}` to the case"));
        } else {
            problem = problem.label(suggest::expected_one_of(names()));
            problem.help.extend(suggest::did_you_mean(&region.0, names()));
        }
        self.say(problem);
    }
}

/// The names of regions that a step takes.
fn regions(step: &Step) -> impl Iterator<Item = &Name> {
    step.keys().filter_map(|(_, key)| if let Key::Region(region) = key { Some(region) } else { None })
}

/// The names under which steps save what such verbs make.
pub(super) fn saved<'s>(steps: &'s [Placed], makes: impl Fn(&About) -> bool) -> Vec<&'s str> {
    let made = steps.iter().filter(|placed| makes(placed.step.verb.about()));
    made.filter_map(|placed| placed.step.save.as_ref()).map(|name| name.0.as_str()).collect()
}
