// SPDX-License-Identifier: MIT OR Apache-2.0
//! From scenarios to a flat list of cases: matrix × backends × devices. Each case has an id that is the same in every run.
//!
//! [`expand`] makes the [`Plan`]. [`Plan::select`] picks the cases that a [`Filter`] asks for, in the order to run them. [`planned`]
//! makes of a case the list of its steps on one backend.

mod devices;
mod minimise;
mod scope;
mod select;
mod setup;
mod site;
mod steps;

use std::collections::{HashMap, HashSet};
use std::{fmt::Write, time::Duration};

use devices::Roles;
pub use devices::{Further, Which};
pub use minimise::minimise;
pub(crate) use scope::{combinations, late_variables, static_scope};
pub use select::{Filter, Partition, shuffle};
pub use setup::Setup;
pub use site::{Marks, unmatched};
pub use steps::{PlannedStep, assertions, planned, try_planned};

use crate::{
    event::{DeviceUsed, PlannedCase},
    language::{
        BackendOptions, Backends, Case, Fixture, Loaded, Packs, Path, Pattern, Requirement, Scalar, Scope, Site,
        Target, readable,
    },
    model::{ANY_BACKEND, BackendName, DeviceKind},
    sanitize,
};

/// How long a case may take unless it says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The cases of a run, in the order of its reports.
pub struct Plan {
    /// The scenarios of the cases.
    pub scenarios: Vec<Loaded>,
    /// The packs whose procedures the cases call.
    pub packs: Packs,
    /// The cases. The number of a case is its index.
    pub cases: Vec<Planned>,
    /// The variables from the command line.
    pub command_line: Vec<(String, Scalar)>,
    /// What the inventory says of the host, if there is one.
    pub site: Option<Site>,
    /// The given devices by name.
    given: Vec<(String, DeviceKind)>,
}

/// One case on one backend and one device.
pub struct Planned {
    /// What identifies it.
    pub id: PlannedCase,
    /// The index of its scenario.
    pub scenario: usize,
    /// The index of its case in the scenario.
    pub case: usize,
    /// The backend. Of several that will do, the first: which of them the kernel has is known where the case runs.
    pub backend: BackendName,
    /// The backends of which any will do, the first choice first; none if the case is for one.
    pub any: Vec<BackendName>,
    /// The options that the scenario sets for the backend.
    pub options: BackendOptions,
    /// The index of its device among those given to [`expand`]; `None` if none of them is the scenario's.
    pub device: Option<usize>,
    /// Its matrix values.
    pub combination: Vec<(String, Scalar)>,
    /// Its further devices.
    pub further: Vec<Further>,
    /// The values that its expressions have before the run.
    pub scope: Scope,
    /// Its time limit.
    pub timeout: Duration,
    /// How it gets its device.
    pub fixture: Fixture,
    /// What the inventory says of it.
    pub marks: Marks,
}

impl Plan {
    /// The case in its scenario, and the path to it.
    pub fn case(&self, planned: &Planned) -> (&Case, Path) {
        let case = &self.scenarios[planned.scenario].scenario.cases[planned.case];
        (case, Path::root().join("cases").join(planned.case))
    }

    /// Why a case cannot run on the given devices, if it cannot.
    pub fn missing(&self, planned: &Planned) -> Option<String> {
        if planned.device.is_none() {
            let pack = &self.scenarios[planned.scenario].pack;
            return Some(Roles::new(&self.packs, pack, &self.given).missing(&planned.id.device));
        }
        let why = planned.further.iter().find_map(|further| match &further.which {
            Which::Missing(why) => Some(why.clone()),
            Which::Given(_) | Which::Function(_) => None,
        })?;
        let of_scenario = &self.scenarios[planned.scenario].scenario.requires;
        let requires = self.case(planned).0.requires.iter().chain(of_scenario);
        let mut machines = requires.map(|requirement| self.such_a_machine(planned, requirement));
        Some(why + &machines.find(|text| !text.is_empty()).unwrap_or_default())
    }

    /// How to get a machine where a condition is true, for the end of a reason; empty if the condition names none.
    pub fn such_a_machine(&self, planned: &Planned, requirement: &Requirement) -> String {
        let Loaded { source, pack, .. } = &self.scenarios[planned.scenario];
        let Some(lab) = requirement.condition.as_ref().and_then(|condition| condition.lab.as_ref()) else {
            return String::new();
        };
        // A condition with a name is the pack's.
        let manifest = requirement.name.as_ref().and_then(|_| self.packs.get(pack)).map(|pack| &pack.source.name);
        let machine = std::path::Path::new(manifest.unwrap_or(&source.name)).with_file_name(lab);
        format!("; `vfiospec lab run --lab {}` has such a machine", sanitize::word(&machine.to_string_lossy()))
    }

    /// The order to run the cases in: by device and backend, so that each is opened once, followed by the cases that open it
    /// themselves. A device's cases with virtual functions come after its others, so that these are made once. `slow` cases come last,
    /// so that the results of the others are known early.
    pub fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.cases.len() as u32).collect();
        order.sort_by_key(|&case| {
            let planned = &self.cases[case as usize];
            let slow = planned.is_slow();
            let has_functions = planned.functions() > 0;
            let alone = planned.fixture == Fixture::None;
            (slow, planned.device, has_functions, planned.backend, !planned.further.is_empty(), alone)
        });
        order
    }
}

impl Planned {
    /// Whether its author says that it takes long.
    pub fn is_slow(&self) -> bool {
        self.id.tags.iter().any(|tag| tag == "slow")
    }

    /// Whether a backend that the pattern means will do.
    pub fn may_run_on(&self, pattern: &Pattern) -> bool {
        pattern.matches(self.backend) || self.any.iter().any(|backend| pattern.matches(*backend))
    }

    /// The number of virtual functions of its device that it needs.
    pub fn functions(&self) -> usize {
        self.further.iter().filter(|further| matches!(further.which, Which::Function(_))).count()
    }

    /// The indices of the given devices that it needs.
    pub fn given(&self) -> impl Iterator<Item = usize> {
        self.device.into_iter().chain(self.further.iter().filter_map(|further| match further.which {
            Which::Given(index) => Some(index),
            _ => None,
        }))
    }
}

/// Two cases that no report could distinguish.
#[derive(Debug, PartialEq, Eq)]
pub struct Collision {
    /// The id of both.
    pub id: String,
    /// Where the first one is, as `file:line`.
    pub first: String,
    /// Where the second one is.
    pub second: String,
}

/// Plans every case of the scenarios on these devices.
///
/// A scenario that names a device runs on those that its pack knows by this name, or on the one that has this name. If there is none,
/// its cases are planned all the same, so that reports say so.
///
/// # Errors
/// If two cases have the same id.
pub fn expand(
    scenarios: Vec<Loaded>,
    packs: Packs,
    devices: &[DeviceUsed],
    command_line: &[(String, Scalar)],
) -> Result<Plan, Vec<Collision>> {
    let given: Vec<_> = devices.iter().map(|device| (device.name.clone(), device.kind())).collect();
    let mut expansion = Expansion {
        packs: &packs,
        given: &given,
        command_line,
        cases: Vec::new(),
        taken: HashMap::new(),
        collisions: Vec::new(),
    };
    for (index, loaded) in scenarios.iter().enumerate() {
        expansion.scenario(index, loaded);
    }
    let Expansion { cases, collisions, .. } = expansion;
    if !collisions.is_empty() {
        return Err(collisions);
    }
    Ok(Plan { scenarios, packs, cases, command_line: command_line.to_vec(), site: None, given })
}

/// A plan while it is made.
struct Expansion<'a> {
    packs: &'a Packs,
    given: &'a [(String, DeviceKind)],
    command_line: &'a [(String, Scalar)],
    cases: Vec<Planned>,
    /// Where each id was planned first.
    taken: HashMap<String, String>,
    collisions: Vec<Collision>,
}

/// What the cases of a scenario have in common on one device and one backend.
struct Column<'a> {
    scenario: usize,
    loaded: &'a Loaded,
    roles: &'a Roles<'a>,
    device: Option<usize>,
    device_name: &'a str,
    backend: BackendName,
    options: BackendOptions,
    /// Whether the backends of the scenario are alternatives, and this column is for all of them.
    any: bool,
}

impl<'a> Expansion<'a> {
    fn scenario(&mut self, index: usize, loaded: &'a Loaded) {
        let scenario = &loaded.scenario;
        let name = |case| Path::root().join("cases").join(case).join("name");
        let line = |case| loaded.source.locate(&name(case), Target::Value).line as u32;
        let lines: Vec<u32> = (0..scenario.cases.len()).map(line).collect();
        let roles = Roles::new(self.packs, &loaded.pack, self.given);
        let wanted = scenario.device.as_ref().map_or("any", |name| name.0.as_str());
        let given = self.given.iter().enumerate().map(|(device, (name, _))| (device, name.as_str()));
        let meant = given.filter(|(device, _)| wanted == "any" || roles.is(wanted, *device));
        let mut devices: Vec<_> = meant.map(|(device, name)| (Some(device), name)).collect();
        if devices.is_empty() {
            devices.push((None, wanted));
        }
        for (device, device_name) in devices {
            let Backends { list, any } = &scenario.backends;
            let columns = if *any { &list[..list.len().min(1)] } else { &list[..] };
            for &(backend, options) in columns {
                let any = *any;
                let column =
                    Column { scenario: index, loaded, roles: &roles, device, device_name, backend, options, any };
                let is_here = |case: usize| any || scenario.cases[case].runs_on(backend);
                for (case, line) in lines.iter().enumerate().filter(|(case, _)| is_here(*case)) {
                    for combination in combinations(&scenario.cases[case].matrix) {
                        self.case(&column, case, *line, combination);
                    }
                }
            }
        }
    }

    fn case(&mut self, column: &Column<'_>, index: usize, line: u32, combination: Vec<(String, Scalar)>) {
        let Column { scenario, loaded, roles, device, device_name, options, .. } = *column;
        let Loaded { scenario: written, pack, source, .. } = loaded;
        let case = &written.cases[index];
        let any: Vec<BackendName> = if column.any { written.backends_of(case) } else { Vec::new() };
        let backend = any.first().copied().unwrap_or(column.backend);
        let Ok(scope) = static_scope(written, case, self.command_line, backend, &combination) else {
            return; // the check has refused such a scenario
        };
        let id = PlannedCase {
            case: self.cases.len() as u32,
            pack: pack.clone(),
            scenario: written.name.0.clone(),
            backend: if column.any { ANY_BACKEND } else { backend.as_str() }.to_owned(),
            device: device_name.to_owned(),
            name: case_name(case, &combination),
            file: source.name.clone(),
            line,
            covers: case.covers.iter().filter_map(|text| text.render(&scope).ok()).collect(),
            tags: written.tags.iter().chain(&case.tags).map(|tag| tag.0.clone()).collect(),
            fixes: written.fixes_of(case),
            summary: case.summary.clone().or_else(|| written.summary.clone()).unwrap_or_default(),
        };
        let (name, here) = (id.id().to_string(), format!("{}:{}", id.file, id.line));
        if let Some(first) = self.taken.insert(readable(&name), here.clone()) {
            self.collisions.push(Collision { id: name, first, second: here });
        }
        self.cases.push(Planned {
            id,
            scenario,
            case: index,
            backend,
            any,
            options,
            device,
            combination,
            further: device.map_or_else(Vec::new, |own| devices::further(case, own, roles)),
            scope,
            timeout: case.timeout.or(written.timeout).map_or(TIMEOUT, |timeout| timeout.0),
            fixture: case.fixture.or(written.fixture).unwrap_or(Fixture::Shared),
            marks: Marks::default(),
        });
    }
}

/// The number of cases of scenarios on one device. It is counted without making ids, which takes longer than the whole check.
#[derive(Default)]
pub struct Count {
    suites: HashSet<(String, String)>,
    cases: usize,
    may_collide: bool,
}

impl Count {
    /// Counts the cases of one more scenario.
    pub fn add(&mut self, Loaded { pack, scenario, .. }: &Loaded) {
        // The parts of an id before the name of the case are identifiers, so two ids can be the same only within one suite.
        self.may_collide |= !self.suites.insert((pack.clone(), scenario.name.0.clone()));
        let mut names = HashSet::new();
        for case in &scenario.cases {
            let combinations = combinations(&case.matrix);
            for combination in &combinations {
                self.may_collide |= !names.insert(readable(&case_name(case, combination)));
            }
            let backends = scenario.backends_of(case).len();
            self.cases += combinations.len() * if scenario.backends.any { backends.min(1) } else { backends };
        }
    }

    /// The number of cases, if it is certain that no two have the same id. Otherwise [`expand`] has to look.
    pub fn distinct(&self) -> Option<usize> {
        (!self.may_collide).then_some(self.cases)
    }
}

/// The name of a case with its matrix values, such as `map_unmap[page=2MiB]`.
pub fn case_name(case: &Case, combination: &[(String, Scalar)]) -> String {
    let mut full = case.name.0.clone();
    for (index, (name, value)) in combination.iter().enumerate() {
        let before = if index == 0 { '[' } else { ',' };
        write!(full, "{before}{name}={value}").expect("memory takes all");
    }
    if !combination.is_empty() {
        full.push(']');
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Source, load};

    #[test]
    fn a_role_that_no_device_has_is_told_with_what_it_takes_and_what_was_given() {
        let mut packs = Packs::default();
        let manifest = "name: acme\nsummary: Cards.\ndevices: { nic: { ids: [\"8086:10c9\"] } }\n";
        packs.add(Source::new("acme/pack.yaml", manifest)).expect("a pack");
        let text = "name: s\ndevice: nic\nbackends: [iommufd]\ncases:\n- name: c\n  region: { memory: anonymous, size: 4KiB }\n  expect: { map: ok }\n";
        let loaded = load(Source::new("acme/s.yaml", text), "acme".into(), &packs, &[]).expect("a scenario");
        let edu = DeviceUsed { name: "edu".into(), ids: "1234:11e8".into(), ..DeviceUsed::default() };
        let plan = expand(vec![loaded], packs, &[edu], &[]).expect("no collision");
        assert_eq!(
            plan.missing(&plan.cases[0]).as_deref(),
            Some(
                "no device is the `nic` of the pack `acme`, which has the ids 8086:10c9; given: edu (1234:11e8); \
                 name one with --device"
            )
        );
    }
}
