//! From scenarios to a flat list of cases: matrix × backends × devices, each with an id that stays the same from run to run.

mod devices;
mod select;
mod steps;

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    time::Duration,
};

use devices::Roles;
pub use devices::{Further, Which};
pub use select::{Filter, Partition, shuffle};
pub use steps::{PlannedStep, assertions, planned};

use crate::{
    event::{DeviceUsed, PlannedCase},
    language::{
        BackendOptions, Case, Fixture, Loaded, Packs, Path, Scalar, Scope, Target, combinations, readable, static_scope,
    },
    model::{BackendName, DeviceKind},
};

/// How long a case may take unless it says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The cases of a run, in the order of the report.
pub struct Plan {
    /// The scenarios they come from.
    pub scenarios: Vec<Loaded>,
    /// The packs whose procedures they call.
    pub packs: Packs,
    /// The cases; a case's number is its index.
    pub cases: Vec<Planned>,
    /// The variables of the command line.
    pub command_line: Vec<(String, Scalar)>,
    /// The devices that were given, by their names.
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
    /// The backend.
    pub backend: BackendName,
    /// What the scenario sets for the backend.
    pub options: BackendOptions,
    /// The index of its device in what [`expand`] was given; `None` where the scenario's device is not there.
    pub device: Option<usize>,
    /// Its values of the matrix.
    pub combination: Vec<(String, Scalar)>,
    /// Its further devices.
    pub further: Vec<Further>,
    /// What its expressions know before the run.
    pub scope: Scope,
    /// Its time limit.
    pub timeout: Duration,
    /// How it gets its device.
    pub fixture: Fixture,
    /// Its tags, and those of its scenario.
    pub tags: Vec<String>,
}

impl Plan {
    /// The case as its file describes it, and the path to it.
    pub fn case(&self, planned: &Planned) -> (&Case, Path) {
        let case = &self.scenarios[planned.scenario].scenario.cases[planned.case];
        (case, Path::root().join("cases").join(planned.case))
    }

    /// Why a case cannot run on the devices that were given, if it cannot.
    pub fn missing(&self, planned: &Planned) -> Option<String> {
        if planned.device.is_none() {
            let pack = &self.scenarios[planned.scenario].pack;
            return Some(Roles::new(&self.packs, pack, &self.given).missing(&planned.id.device));
        }
        planned.further.iter().find_map(|further| match &further.which {
            Which::Missing(why) => Some(why.clone()),
            _ => None,
        })
    }

    /// The order to run in: device by device and backend by backend, so that each is opened once, followed by the cases that open it
    /// themselves. A device's cases with virtual functions come after its others, so that these are made once. `slow` cases come last,
    /// so that the others' results are there early.
    pub fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.cases.len() as u32).collect();
        order.sort_by_key(|&case| {
            let planned = &self.cases[case as usize];
            let slow = planned.tags.iter().any(|tag| tag == "slow");
            let has_functions = planned.functions() > 0;
            let alone = planned.fixture == Fixture::None;
            (slow, planned.device, has_functions, planned.backend, !planned.further.is_empty(), alone)
        });
        order
    }
}

impl Planned {
    /// How many virtual functions of its device it needs.
    pub fn functions(&self) -> usize {
        self.further.iter().filter(|further| matches!(further.which, Which::Function(_))).count()
    }

    /// The indices of all given devices that it needs.
    pub fn given(&self) -> impl Iterator<Item = usize> {
        self.device.into_iter().chain(self.further.iter().filter_map(|further| match further.which {
            Which::Given(index) => Some(index),
            _ => None,
        }))
    }
}

/// Two cases that no report could tell apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Collision {
    /// What both are called.
    pub id: String,
    /// Where the first is: `file:line`.
    pub first: String,
    /// Where the second is.
    pub second: String,
}

/// Plans every case of the scenarios on these devices.
///
/// A scenario that names a device runs on those that its pack knows by this name, or on the one that has this name; where it is not there the cases are planned all the same, for a report
/// that says so.
pub fn expand(
    scenarios: Vec<Loaded>,
    packs: Packs,
    devices: &[DeviceUsed],
    command_line: &[(String, Scalar)],
) -> Result<Plan, Vec<Collision>> {
    let given: Vec<_> = devices.iter().map(|device| (device.name.clone(), device.kind())).collect();
    let mut cases = Vec::new();
    let mut taken: HashMap<String, String> = HashMap::new();
    let mut collisions = Vec::new();
    for (scenario_index, loaded) in scenarios.iter().enumerate() {
        let scenario = &loaded.scenario;
        let wanted = scenario.device.as_ref().map_or("any", |name| name.0.as_str());
        let lines: Vec<u32> = (0..scenario.cases.len())
            .map(|index| {
                loaded.source.locate(&Path::root().join("cases").join(index).join("name"), Target::Value).line as u32
            })
            .collect();
        let mut roles: Vec<(Option<usize>, &str)> = Vec::new();
        let known = Roles::new(&packs, &loaded.pack, &given);
        for (device, used) in devices.iter().enumerate() {
            if wanted == "any" || known.is(wanted, device) {
                roles.push((Some(device), &used.name));
            }
        }
        if roles.is_empty() {
            roles.push((None, wanted));
        }
        for (device, device_name) in roles {
            for &(backend, options) in &scenario.backends.0 {
                for (case_index, case) in scenario.cases.iter().enumerate() {
                    let meant =
                        case.backends.as_ref().is_none_or(|patterns| patterns.iter().any(|p| p.matches(backend)));
                    if !meant {
                        continue;
                    }
                    for combination in combinations(&case.matrix) {
                        let Ok(scope) = static_scope(scenario, case, command_line, backend, &combination) else {
                            continue; // the check has refused such a scenario
                        };
                        let id = PlannedCase {
                            case: cases.len() as u32,
                            pack: loaded.pack.clone(),
                            scenario: scenario.name.0.clone(),
                            backend: backend.as_str().to_owned(),
                            device: device_name.to_owned(),
                            name: case_name(case, &combination),
                            file: loaded.source.name.clone(),
                            line: lines[case_index],
                            covers: case.covers.iter().filter_map(|text| text.render(&scope).ok()).collect(),
                            summary: case.summary.clone().or_else(|| scenario.summary.clone()).unwrap_or_default(),
                        };
                        let here = format!("{}:{}", id.file, id.line);
                        if let Some(first) = taken.insert(readable(&id.id().to_string()), here.clone()) {
                            collisions.push(Collision { id: id.id().to_string(), first, second: here });
                        }
                        let timeout = case.timeout.or(scenario.timeout).map_or(TIMEOUT, |timeout| timeout.0);
                        let tags = scenario.tags.iter().chain(&case.tags).map(|tag| tag.0.clone()).collect();
                        cases.push(Planned {
                            id,
                            scenario: scenario_index,
                            case: case_index,
                            backend,
                            options,
                            device,
                            combination,
                            further: device.map_or_else(Vec::new, |own| devices::further(case, own, &known)),
                            scope,
                            timeout,
                            fixture: case.fixture.or(scenario.fixture).unwrap_or_default(),
                            tags,
                        });
                    }
                }
            }
        }
    }
    match collisions.is_empty() {
        true => Ok(Plan { scenarios, packs, cases, command_line: command_line.to_vec(), given }),
        false => Err(collisions),
    }
}

/// How many cases scenarios stand for on one device, counted without their ids, which take longer to write down than the scenarios to check.
#[derive(Default)]
pub struct Count {
    suites: HashSet<(String, String)>,
    cases: usize,
    may_collide: bool,
}

impl Count {
    /// Counts those of one more scenario.
    pub fn add(&mut self, Loaded { pack, scenario, .. }: &Loaded) {
        // The parts of an id before the case's name are identifiers, so that two ids are the same only where the suites are.
        self.may_collide |= !self.suites.insert((pack.clone(), scenario.name.0.clone()));
        let mut names = HashSet::new();
        for case in &scenario.cases {
            let combinations = combinations(&case.matrix);
            for combination in &combinations {
                self.may_collide |= !names.insert(readable(&case_name(case, combination)));
            }
            let is_meant = |&&(backend, _): &&(BackendName, BackendOptions)| {
                case.backends.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(backend)))
            };
            self.cases += combinations.len() * scenario.backends.0.iter().filter(is_meant).count();
        }
    }

    /// How many there are, where it is certain that no two are called the same. `None` means that [`expand`] has to look.
    pub fn distinct(&self) -> Option<usize> {
        (!self.may_collide).then_some(self.cases)
    }
}

/// The case's name with its matrix values, such as `map_unmap[page=2MiB]`.
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
