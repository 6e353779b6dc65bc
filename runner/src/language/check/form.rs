//! A case is declarative or has steps, and a step has one verb.

use super::{Checker, regions::Fit, written};
use crate::{
    language::{
        Case, Compare, DEEPEST, Diagnostic, Dynamic, Fill, Fixture, MOST_STEPS, Name, Path, Placed, Repeat, Scalar,
        Segment, Size, Step, Target, steps_run, text::suggest,
    },
    model::{BackendName, code::Code},
};

const FORMS: &str = "expected `region` and `expect`, or `regions` and `steps`";

impl Checker<'_> {
    pub(super) fn form(&mut self, path: &Path, case: &Case, steps: &[Placed]) {
        let alone = case.fixture.or(self.scenario.fixture) == Some(Fixture::None);
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
                    .help(format!("a step is one of {}", suggest::join(Step::VERBS.iter().copied(), "or"))),
            );
            return;
        }
        let verbs: Vec<Vec<&str>> = steps.iter().map(|placed| placed.step.verbs()).collect();
        if verbs.iter().all(|verbs| verbs.len() == 1) && !verbs.iter().flatten().any(|verb| Step::asserts(verb)) {
            self.say(
                Diagnostic::error(
                    Code::AssertsNothing,
                    path.join("steps"),
                    format!("case `{}` asserts nothing", case.name),
                )
                .at(Target::Key)
                .label("expected a call or a check that can fail")
                .help("a case that cannot fail says nothing of the kernel: add a `check`"),
            );
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
            // A name that no region has may be meant for this one.
            if !self.uses_region(path, case, steps, name) && self.knows_regions(case, steps) {
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

    /// Whether every region that a step takes is there.
    fn knows_regions(&self, case: &Case, steps: &[Placed]) -> bool {
        let names = self.region_names(case);
        let mut taken = steps.iter().flat_map(|placed| placed.step.regions());
        taken.all(|(_, _, region)| names.iter().any(|name| *name == region.0))
    }

    /// Whether a step of a case takes the region, or an expression its address.
    pub(super) fn uses_region(&self, path: &Path, case: &Case, steps: &[Placed], name: &str) -> bool {
        let takes = |placed: &Placed| placed.step.regions().iter().any(|(_, _, region)| region.0 == name);
        steps.iter().any(takes)
            || case.regions.iter().any(|(_, region)| region.of.as_ref().is_some_and(|of| of.0 == name))
            || Checker::hands_on(steps, name)
            || written::expressions(path, case, steps).iter().any(|e| e.names().iter().any(|n| n.name == name))
    }

    pub(super) fn step(&mut self, placed: &Placed, case: &Case, steps: &[Placed], backends: &[BackendName]) {
        let Placed { step, path, depth } = placed;
        let verb = match step.verbs().as_slice() {
            [verb] => *verb,
            [] => {
                return self.say(
                    Diagnostic::error(Code::NoVerb, path.clone(), "a step that does nothing")
                        .label(suggest::expected_one_of(Step::VERBS.iter().copied()))
                        .help("keys that belong to the step above stand in its column, without a `-` of their own"),
                );
            }
            verbs @ [first, second, ..] => {
                return self.say(
                    Diagnostic::error(
                        Code::TwoVerbs,
                        path.join(*second),
                        format!("a step with {} verbs: {}", verbs.len(), suggest::join(verbs.iter().copied(), "and")),
                    )
                    .at(Target::Key)
                    .label("expected one verb a step")
                    .note(path.join(*first), Target::Key, "the step already does this")
                    .help("start the second with a `-` of its own"),
                );
            }
        };
        for (verb, key, region) in step.regions() {
            self.known_region(path.join(verb).join(key), region, case);
        }
        if *depth == DEEPEST {
            self.say(
                Diagnostic::error(Code::TooDeep, path.join(verb), format!("a step that {DEEPEST} others hold"))
                    .at(Target::Key)
                    .label(format!("expected steps within at most {} others", DEEPEST - 1)),
            );
        }
        self.call(path, step, case);
        if let Some(repeat) = &step.repeat {
            self.repeat(&path.join("repeat"), repeat);
        }
        if let Some(parallel) = &step.parallel {
            self.parallel(&path.join("parallel"), case, parallel);
        }
        if let Some(Fill { size, pattern, value, .. }) = step.fill.as_deref() {
            self.content(&path.join("fill"), &[("pattern", pattern.is_some()), ("value", value.is_some())]);
            self.sized(&path.join("fill"), size.as_ref(), value.as_ref());
        }
        if let Some(Compare { size, with, with_offset, pattern, value, .. }) = step.compare.as_deref() {
            let path = path.join("compare");
            let given = [("with", with.is_some()), ("pattern", pattern.is_some()), ("value", value.is_some())];
            self.content(&path, &given);
            self.sized(&path, size.as_ref(), value.as_ref());
            if with_offset.is_some() && with.is_none() {
                self.say(
                    Diagnostic::error(Code::MissingKey, path.join("with_offset"), "`with_offset` without `with`")
                        .at(Target::Key)
                        .label("expected `with: REGION` beside it"),
                );
            }
        }
        for (verb, key, value) in verb.starts_with("mmio_").then(|| step.sizes()).into_iter().flatten() {
            if let Dynamic::Is(size) = value
                && let Some(expected) = Fit::of_step(step, verb, key).refuses(*size)
            {
                let title = format!("`{key}` is {size}");
                self.say(Diagnostic::error(Code::BadSize, path.join(verb).join(key), title).label(expected));
            }
        }
        self.objects(placed, case, steps, verb, backends);
        self.devices(path, case, step, verb);
        self.files(placed, case, steps, verb);
        if Step::is_call(verb) {
            if let Some(expect) = &step.expect {
                self.outcomes(&path.join("expect"), expect, backends, Step::reports_bytes(verb));
            }
            return;
        }
        let saved = step.save.is_some() && !Step::gives(verb);
        for (key, present) in [("expect", step.expect.is_some()), ("save", saved)] {
            if present {
                let takes = |verb: &str| if key == "save" { Step::gives(verb) } else { Step::is_call(verb) };
                let others = Step::VERBS.iter().copied().filter(|verb| !takes(verb));
                self.say(
                    Diagnostic::error(Code::MisplacedKey, path.join(key), format!("`{key}` does not go with `{verb}`"))
                        .at(Target::Key)
                        .label(format!("expected beside every verb but {}", suggest::join(others, "and")))
                        .help(match verb {
                            "repeat" | "parallel" => "say it of the steps that it holds".to_owned(),
                            "call" => "what is expected of each call of the kernel is up to the procedure".to_owned(),
                            "fill" => "`fill` always succeeds, and gives no result".to_owned(),
                            _ => format!("`{verb}` fails by itself where it does not hold, and gives no result"),
                        }),
                );
            }
        }
    }

    /// Memory is filled with one thing, and has to hold one thing.
    fn content(&mut self, path: &Path, given: &[(&'static str, bool)]) {
        let Some(Segment::Key(verb)) = path.last() else { return };
        let ways = suggest::join(given.iter().map(|(key, _)| *key), "or");
        let written: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        match written.as_slice() {
            [_] => {}
            [] => self.say(
                Diagnostic::error(Code::MissingKey, path.clone(), format!("`{verb}` does not say what the content is"))
                    .at(Target::Key)
                    .label(format!("expected {ways} in it"))
                    .help("any text makes a content of its own: `pattern: sent`"),
            ),
            [first, second, ..] => self.say(
                Diagnostic::error(Code::TwoForms, path.join(*second), format!("`{second}` beside `{first}`"))
                    .at(Target::Key)
                    .label(format!("expected one of {ways}"))
                    .note(path.join(*first), Target::Key, "this says already what the content is"),
            ),
        }
    }

    fn sized(&mut self, path: &Path, size: Option<&Dynamic<Size>>, value: Option<&Dynamic<Size>>) {
        for (key, value, fit) in [("size", size, Fit::NotZero), ("value", value, Fit::Byte)] {
            if let Some(Dynamic::Is(size)) = value
                && let Some(expected) = fit.refuses(*size)
            {
                let title = format!("`{key}` is {size}");
                self.say(Diagnostic::error(Code::BadSize, path.join(key), title).label(expected));
            }
        }
    }

    pub(super) fn known_region(&mut self, path: Path, region: &Name, case: &Case) {
        let names = self.region_names(case);
        let names = || names.iter().copied();
        if names().any(|name| *name == region.0) {
            return;
        }
        let mut problem = Diagnostic::error(Code::UnknownRegion, path, format!("no region is called `{region}`"));
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

    fn repeat(&mut self, path: &Path, repeat: &Repeat) {
        if repeat.steps.is_empty() {
            self.say(
                Diagnostic::error(Code::NothingToDo, path.join("steps"), "a `repeat` that does nothing")
                    .at(Target::Key)
                    .label("expected at least one step"),
            );
        }
        if let Some(times) = repeat.times.literal()
            && let Some(expected) = Fit::Rounds.refuses(*times)
        {
            self.say(Diagnostic::error(Code::BadSize, path.join("times"), "`times` is 0").label(expected));
        }
    }

    /// What is said of the kernel's files: a name for each that is opened, names of open ones, fields that a request has.
    fn files(&mut self, Placed { step, path, .. }: &Placed, case: &Case, steps: &[Placed], verb: &str) {
        let alone = case.fixture.or(self.scenario.fixture) == Some(Fixture::None);
        const WITHOUT_A_DEVICE: [&str; 15] = [
            "open",
            "close",
            "ioctl",
            "pread",
            "pwrite",
            "mmap",
            "check",
            "repeat",
            "parallel",
            "accounting",
            "fill",
            "compare",
            "memory_read",
            "memory_write",
            "memory_poll",
        ];
        let opens = || steps.iter().any(|placed| placed.step.device_open.is_some());
        if alone && !WITHOUT_A_DEVICE.contains(&verb) && !opens() {
            self.say(
                Diagnostic::error(
                    Code::MisplacedKey,
                    path.join(verb),
                    format!("`{verb}` does not go with `fixture: none`"),
                )
                .at(Target::Key)
                .label("expected `open`, `close`, `ioctl` or `check`: the device is not open")
                .help("`device_open` opens it"),
            );
        }
        if !alone && matches!(verb, "device_open" | "device_close") {
            self.say(
                Diagnostic::error(
                    Code::MisplacedKey,
                    path.join(verb),
                    format!("`{verb}` goes only with `fixture: none`"),
                )
                .at(Target::Key)
                .label("expected on a device that is not open: here it is, from the first step to the last"),
            );
        }
        if step.open.is_some() && step.save.is_none() {
            self.say(
                Diagnostic::error(Code::MissingKey, path.join("open"), "`open` without `save`")
                    .at(Target::Key)
                    .label("expected `save: NAME` beside it: later steps call the file by this name"),
            );
        }
        let close = step.close.as_ref().map(|close| (path.join("close").join("file"), &close.file, false));
        let on = step.file().map(|(verb, name)| (path.join(verb).join("on"), name, !alone));
        if let Some((at, name, of_fixture)) = close.or(on) {
            // An `ioctl` may make a file, which then is known by the name of its result.
            let opened = steps.iter().filter(|placed| placed.step.open.is_some() || placed.step.ioctl.is_some());
            let mut known: Vec<&str> =
                opened.filter_map(|placed| placed.step.save.as_ref()).map(|name| name.0.as_str()).collect();
            if of_fixture {
                known.extend(["device", "iommu"]);
            }
            if !known.contains(&name.0.as_str()) {
                let expected = match known.is_empty() {
                    true => "expected the name of a file that an earlier `open` saved, and there is none".to_owned(),
                    false => suggest::expected_one_of(known.iter().copied()),
                };
                let mut problem =
                    Diagnostic::error(Code::UnknownFile, at, format!("no file is called `{name}`")).label(expected);
                problem.help.extend(suggest::did_you_mean(&name.0, known));
                self.say(problem);
            }
        }
        for (field, value) in step.ioctl.iter().flat_map(|ioctl| ioctl.fields.iter()) {
            let Some(ioctl) = &step.ioctl else { return };
            let at = path.join("ioctl").join("fields").join(field);
            let why = match value {
                Scalar::Integer(_) => None,
                Scalar::Bool(_) => Some(Vec::new()),
                Scalar::Text(source) if source.contains("{{") => None,
                Scalar::Text(source) => source.parse::<Size>().err().map(|complaint| complaint.help),
            };
            if let Some(help) = why {
                let mut problem = Diagnostic::error(Code::InvalidField, at, format!("`{value}` is no number"))
                    .label("expected a number such as 7, -1, 0x1000 or 4KiB, or an expression for one");
                problem.help = help;
                self.say(problem);
            }
            let request = ioctl.request.request();
            if request.field(field).is_none() {
                let known = || request.fields.iter().map(|field| field.name);
                let at = path.join("ioctl").join("fields").join(field);
                let title = format!("{} has no field `{field}`", request.name);
                let mut problem = Diagnostic::error(Code::UnknownField, at, title)
                    .at(Target::Key)
                    .label(suggest::expected_one_of(known()));
                problem.help.extend(suggest::did_you_mean(field, known()));
                self.say(problem);
            }
        }
    }
}
