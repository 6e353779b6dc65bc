// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a scenario that reads well: found without a device, and all in one go.
//!
//! One concept a file: which [`backends`] a case runs on, its [`form`], its [`devices`] and [`regions`], the [`fixes`] it shows, the [`names`] it gives, the
//! [`objects`] it names, the [`outcomes`] it expects, and its [`expressions`].

mod backends;
mod calls;
mod devices;
mod expressions;
mod fixes;
mod form;
mod inputs;
mod names;
mod objects;
mod outcomes;
mod pack;
mod regions;
mod written;

use std::collections::{BTreeSet, HashMap};

use super::{
    Case, Diagnostic, KnownIssue, Name, Pack, Packs, Path, Placed, Procedure, Requirement, Scalar, Scenario, Target,
    steps_on,
};
use crate::{language::text::suggest, language::verb::unknown_device, model::BackendName, model::code::Code};
use calls::Callable;
pub use pack::pack;

/// More combinations than this are a mistake.
const MOST_COMBINATIONS: usize = 10_000;

/// Everything that is wrong with the scenario, whose pack is `home`.
pub fn check(scenario: &Scenario, home: &str, packs: &Packs, command_line: &[(String, Scalar)]) -> Vec<Diagnostic> {
    let known: Vec<(&str, &Pack)> =
        packs.list.iter().map(|loaded| (loaded.pack.name.0.as_str(), &loaded.pack)).collect();
    let callable = Callable { packs: &known, complete: packs.complete, own: false, home };
    let (problems, seen) = (Vec::new(), BTreeSet::new());
    let mut checker = Checker { scenario, command_line, callable, procedure: None, here: Vec::new(), problems, seen };
    checker.scenario();
    checker.problems
}

/// What is wrong with the expressions of a known issue that stands at a path and belongs to no scenario.
pub fn known_issue(issue: &KnownIssue, at: &Path) -> Vec<Diagnostic> {
    let case = Case { known_issue: Some(Box::new(issue.clone())), ..Case::named("any") };
    let scenario = Scenario::named("any");
    let (packs, problems, seen) = (Packs::default(), Vec::new(), BTreeSet::new());
    let callable = Callable { packs: &[], complete: packs.complete, own: false, home: "any" };
    let mut checker =
        Checker { scenario: &scenario, command_line: &[], callable, procedure: None, here: Vec::new(), problems, seen };
    checker.expressions(&Path::root(), &case, &[], &[], &BackendName::ALL);
    let within = |path: &Path| path.segments().iter().skip(1).fold(at.clone(), |at, segment| at.join(segment.clone()));
    checker.problems.into_iter().map(|problem| Diagnostic { path: within(&problem.path), ..problem }).collect()
}

struct Checker<'a> {
    scenario: &'a Scenario,
    command_line: &'a [(String, Scalar)],
    /// The procedures that calls may mean.
    callable: Callable<'a>,
    /// The procedure that is checked, in place of a scenario.
    procedure: Option<&'a Procedure>,
    /// The backends whose steps are checked, where some steps of the case run only on some of its backends.
    here: Vec<BackendName>,
    problems: Vec<Diagnostic>,
    /// What has been said where: the same mistake on five backends is one mistake.
    seen: BTreeSet<(String, String)>,
}

impl<'a> Checker<'a> {
    fn of_procedure(scenario: &'a Scenario, procedure: &'a Procedure, callable: Callable<'a>) -> Checker<'a> {
        let (problems, seen) = (Vec::new(), BTreeSet::new());
        let (procedure, here) = (Some(procedure), Vec::new());
        Checker { scenario, command_line: &[], callable, procedure, here, problems, seen }
    }

    fn say(&mut self, mut problem: Diagnostic) {
        let may_differ =
            [Code::AssertsNothing, Code::UnknownFile, Code::UnknownName, Code::UnknownObject].contains(&problem.code);
        if may_differ && !self.here.is_empty() {
            let here = suggest::join(self.here.iter().map(|backend| backend.as_str()), "and");
            problem.help.push(format!("it is so with the steps that run on {here}"));
        }
        if self.seen.insert((problem.path.to_string(), problem.title.clone())) {
            self.problems.push(problem);
        }
    }

    fn scenario(&mut self) {
        let scenario = self.scenario;
        self.scenario_backends();
        for (name, _) in scenario.vars.iter() {
            self.not_reserved(|| Path::root().join("vars").join(name), name, Target::Key);
        }
        for (name, request) in scenario.requests.iter() {
            let at = Path::root().join("requests").join(name);
            if request.like.is_some() {
                self.say(
                    Diagnostic::error(Code::MisplacedKey, at.join("like"), format!("`like` in the request `{name}`"))
                        .at(Target::Key)
                        .label("expected `request`: only an `ioctl` is `like` one of these"),
                );
            }
            request.wrong(&at).into_iter().for_each(|mistake| self.say(mistake));
        }
        self.requires(&Path::root().join("requires"), &scenario.requires);
        self.fixes(&Path::root().join("fixes"), &scenario.fixes);
        let mut first: HashMap<&Name, Path> = HashMap::new();
        for (index, case) in scenario.cases.iter().enumerate() {
            let path = Path::root().join("cases").join(index);
            if let Some(first) = first.get(&case.name) {
                self.say(
                    Diagnostic::error(
                        Code::DuplicateCase,
                        path.join("name"),
                        format!("two cases are called `{}`", case.name),
                    )
                    .label("expected a name of its own: reports know a case by it")
                    .note(first.join("name"), Target::Value, "the first one")
                    .help("give one of them another name"),
                );
            } else {
                first.insert(&case.name, path.clone());
            }
            self.case(&path, case);
        }
        for name in scenario.regions.keys() {
            let used = |(index, case): (usize, &Case)| {
                let path = Path::root().join("cases").join(index);
                self.uses_region(&path, case, &written::steps_of(&path, case), name)
            };
            if !scenario.cases.iter().enumerate().any(used) {
                let at = Path::root().join("regions").join(name);
                self.say(
                    Diagnostic::error(Code::UnusedRegion, at, format!("no case uses region `{name}`"))
                        .at(Target::Key)
                        .label("expected a step that maps it")
                        .help("remove the region, or use it"),
                );
            }
        }
    }

    /// Conditions that are written where they are required; those of the pack are checked with it.
    fn requires(&mut self, path: &Path, requires: &[Requirement]) {
        for (index, requirement) in requires.iter().enumerate().filter(|(_, it)| it.name.is_none()) {
            let mistake = requirement.condition.as_ref().and_then(|condition| condition.mistake(&path.join(index)));
            mistake.into_iter().for_each(|mistake| self.say(mistake));
        }
    }

    fn case(&mut self, path: &Path, case: &Case) {
        let backends = self.case_backends(path, case);
        self.requires(&path.join("requires"), &case.requires);
        self.fixes(&path.join("fixes"), &case.fixes);
        let steps = written::steps_of(path, case);
        self.form(path, case, &steps);
        self.matrix(path, case);
        self.names(path, case, &steps);
        if let Some(region) = &case.region {
            self.region(&path.join("region"), region);
        }
        let own = case.regions.iter().filter(|_| self.procedure.is_none()).collect::<Vec<_>>();
        for (name, region) in own {
            self.region(&path.join("regions").join(name), region);
        }
        for (index, name) in case.apart.iter().enumerate().filter(|(_, name)| case.devices.get(&name.0).is_none()) {
            let known: Vec<&str> = case.devices.keys().collect();
            self.say(unknown_device(path.join("apart").join(index), name, &known));
        }
        let of_devices = case.regions.iter().filter_map(|(name, region)| Some((name, region.device.as_ref()?)));
        for (name, device) in of_devices.chain(case.region.iter().filter_map(|it| Some(("", it.device.as_ref()?)))) {
            let at = if name.is_empty() { path.join("region") } else { path.join("regions").join(name) };
            self.single_device(at.join("device"), case, device);
        }
        self.shared_regions(&path.join("regions"), &case.regions);
        if let Some(expect) = &case.expect {
            let path = path.join("expect");
            if let Some(map) = &expect.map {
                self.outcomes(&path.join("map"), map, &backends, false);
            }
            if let Some(pagesize) = &expect.pagesize {
                self.table(&path.join("pagesize"), pagesize, &backends);
            }
            if let Some(unmap) = &expect.unmap {
                self.outcomes(&path.join("unmap"), unmap, &backends, true);
            }
            self.after_map(&path, expect, &backends);
        }
        let before = self.problems.len();
        steps.iter().for_each(|placed| self.step_backends(placed, &backends));
        // On which backends a step is meant to run is not known where that is wrong.
        let all = backends.clone();
        let groups = match self.problems.len() == before {
            true => groups(&steps, &backends),
            false => vec![(None, backends)],
        };
        let differ = groups.len() > 1;
        for (here, backends) in groups {
            self.here = if differ { backends.clone() } else { Vec::new() };
            let run = here.as_deref().unwrap_or(&steps);
            self.asserts(path, case, run);
            for placed in run {
                self.step(placed, case, run, &backends);
            }
            if number_of_combinations(case) <= MOST_COMBINATIONS {
                self.expressions(path, case, run, &steps, &backends);
            }
        }
        self.here.clear();
        // A table of outcomes is for all backends on which its step runs, and not for one group of them.
        for placed in &steps {
            let runs =
                |backend: &BackendName| !differ || steps_on(&steps, *backend).iter().any(|on| on.path == placed.path);
            let reached: Vec<BackendName> = all.iter().copied().filter(runs).collect();
            self.step_outcomes(placed, &reached);
        }
    }
}

/// The backends on which the same steps run, with those steps; `None` where they are all.
fn groups<'s>(steps: &[Placed<'s>], backends: &[BackendName]) -> Vec<(Option<Vec<Placed<'s>>>, Vec<BackendName>)> {
    if steps.iter().all(|placed| placed.step.backends.is_none()) {
        return vec![(None, backends.to_vec())];
    }
    let mut groups: Vec<(Option<Vec<Placed<'s>>>, Vec<BackendName>)> = Vec::new();
    for &backend in backends {
        let here = steps_on(steps, backend);
        let is_same = |known: &Option<Vec<Placed>>| {
            let paths = known.iter().flatten().map(|placed| &placed.path);
            paths.eq(here.iter().map(|placed| &placed.path))
        };
        match groups.iter_mut().find(|(known, _)| is_same(known)) {
            Some((_, its)) => its.push(backend),
            None => groups.push((Some(here), vec![backend])),
        }
    }
    groups
}

/// How many combinations a case's matrix has.
fn number_of_combinations(case: &Case) -> usize {
    case.matrix.iter().fold(1, |product, (_, values)| product.saturating_mul(values.len()))
}
