// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of a case: its own one and further ones, and the steps that open them one by one.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use minijinja::Value;

use super::{
    failure::{End, Problem},
    fixture::{CannotOpen, Fixtures, Member, Open},
    ledger::Part,
};
use crate::{
    backend::{IovaRange, OpenError, Space},
    event::DeviceUsed,
    host::{
        self, doctor, doctor::Fact, doctor::Grade, facts, facts::Parameter, pci, reset_method::ResetMethods,
        sriov::SriovError,
    },
    language::{self, Fields, GROUP_FACTS, HOST, Path, Scope},
    model::{BackendName, Bdf, DeviceKind, code::Code},
    plan::{Further, Planned, Which},
    uapi::{Tracer, VfToken, hwpt::HwInfo, system},
};

/// What a fixture opens an SR-IOV device and its virtual functions with: any token will do that is the same for all.
const TOKEN: &str = "6d1f2c1e-6a3b-4d59-9c57-2f0a6be21d4b";

/// The devices of a case while it runs; none before.
#[derive(Default)]
pub struct Devices {
    /// Its own one, `device`, is the first.
    all: Vec<Device>,
    /// Which of them are its virtual functions.
    functions: Vec<Bdf>,
}

struct Device {
    /// The name that the case knows it by.
    name: String,
    /// The name that reports know it by.
    used: String,
    bdf: Bdf,
    /// As sysfs describes it.
    kind: DeviceKind,
    /// The number of the device whose address space it is in: its own, or that of the case's own device.
    home: usize,
}

impl Devices {
    /// The devices that a case runs on, of those that were given; `fixtures` makes its virtual functions.
    pub fn of(planned: &Planned, given: &[DeviceUsed], fixtures: &mut Fixtures, at: &Path) -> Result<Devices, End> {
        let device = |name: &str, used: &DeviceUsed| {
            let bdf = used.bdf.parse().expect("the runner names devices by valid addresses");
            // It was asked when the run began.
            let kind = if used.ids.is_empty() { host::kind(bdf) } else { used.kind() };
            Device { name: name.to_owned(), used: used.name.clone(), bdf, kind, home: 0 }
        };
        let own = &given[planned.device.expect("the runner keeps cases without a device")];
        let mut all = vec![device("device", own)];
        // A device with virtual functions is not as a case without them expects it.
        let functions = match planned.functions() {
            0 => fixtures.remove_functions().map(|()| Vec::new()),
            count => fixtures.functions(all[0].bdf, count),
        };
        let functions = functions.map_err(|error| no_functions(&error, at))?;
        for Further { name, which, apart } in &planned.further {
            let further = match which {
                Which::Given(index) => device(name, &given[*index]),
                Which::Function(number) => {
                    let bdf = functions[*number as usize];
                    let used = format!("{}_vf{number}", own.name);
                    Device { name: name.clone(), used, bdf, kind: host::kind(bdf), home: 0 }
                }
                Which::Missing(why) => return Err(End::Skipped(why.clone())),
            };
            all.push(Device { home: if *apart { all.len() } else { 0 }, ..further });
        }
        let all_but_first = all.iter().enumerate().skip(1);
        let pairs = all_but_first.flat_map(|(number, one)| all[..number].iter().map(move |other| (one, other)));
        for (one, other) in pairs.filter(|(one, other)| one.home != other.home) {
            if pci::group(one.bdf).is_some_and(|group| pci::group(other.bdf) == Some(group)) {
                let (one, other) = (&one.name, &other.name);
                let why = format!("`{one}` and `{other}` are in one IOMMU group, and a group is in one address space");
                return Err(End::Skipped(why));
            }
        }
        Ok(Devices { all, functions })
    }

    /// The number of a device by the name that a step calls it by.
    pub fn number(&self, name: &str) -> usize {
        self.all.iter().position(|device| device.name == name).expect("the check knows the case's devices")
    }

    /// The numbers of all devices of a name: of several where it stands for all others.
    pub fn numbers(&self, name: &str) -> Vec<usize> {
        let all = self.all.iter().enumerate();
        all.filter(|(_, device)| device.name == name).map(|(number, _)| number).collect()
    }

    /// The number of the device whose address space this one is in.
    pub fn home(&self, number: usize) -> usize {
        self.all.get(number).map_or(0, |device| device.home)
    }

    /// Whether what this device is attached to is what the page table of `home` shows.
    pub fn part(&self, number: usize, home: usize) -> Part {
        let group = pci::group(self.bdf(home));
        let in_group = |other: usize| group.is_some() && pci::group(self.bdf(other)) == group;
        match number == home {
            true if (0..self.all.len()).any(|other| other != home && in_group(other)) => Part::OneOfGroup,
            true => Part::Alone,
            false if in_group(number) => Part::Beside,
            false => Part::Elsewhere,
        }
    }

    pub fn bdf(&self, number: usize) -> Bdf {
        self.all[number].bdf
    }

    pub fn kind(&self, number: usize) -> &DeviceKind {
        &self.all[number].kind
    }

    /// What a fixture is to open.
    pub fn members(&self) -> Vec<Member> {
        let functions = &self.functions;
        let token: VfToken = TOKEN.parse().expect("the constant is a UUID");
        // Only a device with virtual functions, and they, know tokens.
        let knows = |bdf: &Bdf| !functions.is_empty() && (*bdf == self.all[0].bdf || functions.contains(bdf));
        self.all.iter().map(|device| (device.bdf, knows(&device.bdf).then_some(token), device.home)).collect()
    }

    /// What expressions know of a device.
    pub fn facts(&self, number: usize, open: Option<&Open>) -> Value {
        let device = &self.all[number];
        let kind = &device.kind;
        let ids = kind.ids.split_once(':');
        let number = |text| Value::from(u32::from_str_radix(text, 16).ok());
        let mut facts = Fields::default();
        facts.known([
            ("name", Value::from(device.used.clone())),
            ("bdf", Value::from(device.bdf.to_string())),
            ("vendor", ids.map_or(Value::from(()), |(vendor, _)| number(vendor))),
            ("device", ids.map_or(Value::from(()), |(_, device)| number(device))),
            ("class", Value::from(Some(kind.class).filter(|_| ids.is_some()))),
            ("capabilities", kind.capabilities.iter().map(|capability| capability.as_str()).collect()),
        ]);
        let bdf = device.bdf;
        facts.read("group", move || pci::group(bdf));
        facts.read("iommu", move || pci::iommu(bdf));
        facts.read("default_domain", move || pci::default_domain(bdf));
        facts.read("rom", move || pci::rom_size(bdf));
        facts.read("reset_methods", move || ResetMethods::of(bdf).list().into_iter().collect::<Value>());
        if let Some(open) = open {
            facts.known(abilities(open));
            facts.known(open.session.ioas().map(|ioas| ("ioas", Value::from(ioas.id()))));
            facts.known(open.session.device().iommufd_id().map(|id| ("id", Value::from(id))));
            facts.known([
                ("hot_reset", Value::from(open.hot_reset)),
                ("dirty_tracking", Value::from(open.dirty_tracking())),
                ("nesting", Value::from(open.hardware.as_ref().is_some_and(HwInfo::nesting))),
                ("pasid_bits", Value::from(open.hardware.as_ref().map_or(0, |info| info.max_pasid_log2))),
            ]);
        }
        facts.into()
    }

    /// What expressions know of all devices, by the names that the case knows them by; a list where a name is all others.
    pub fn all_facts(&self, case: &language::Case, open: Option<&Open>) -> Vec<(String, Value)> {
        let facts = |number: usize| self.facts(number, open.map(|open| open.device(number)));
        let further = case.devices.iter().map(|(name, role)| {
            let mut facts: Vec<Value> = self.numbers(name).into_iter().map(facts).collect();
            (name.to_owned(), if role.0 == "all" { Value::from(facts) } else { facts.swap_remove(0) })
        });
        std::iter::once(("device".to_owned(), facts(0))).chain(further).collect()
    }
}

/// What is known of a device once it is open.
pub fn abilities(open: &Open) -> [(&'static str, Value); 4] {
    let [intx, msi, msix] = open.vectors;
    [("resets", open.resets.into()), ("intx", intx.into()), ("msi", msi.into()), ("msix", msix.into())]
}

/// Why a case has no virtual functions, or does not get rid of them.
pub fn no_functions(error: &SriovError, at: &Path) -> End {
    if error.is_missing() {
        End::Skipped(error.to_string())
    } else {
        End::Error(Problem::new(Code::VirtualFunctions, at.join("name"), error.to_string()))
    }
}

/// The devices that a case opened by itself, by their numbers, and their address spaces. They are the same ones for steps that run at the
/// same time.
#[derive(Default)]
pub struct Opened(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    // Dropped before the address spaces are.
    devices: BTreeMap<usize, Arc<Open>>,
    spaces: BTreeMap<usize, Space>,
}

impl Opened {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<Arc<Open>> {
        self.inner().devices.values().cloned().collect()
    }

    pub fn get(&self, number: usize) -> Option<Arc<Open>> {
        self.inner().devices.get(&number).cloned()
    }

    /// The address space of this number; made with the first of its devices.
    pub fn space(&self, home: usize, backend: BackendName, bdf: Bdf, tracer: &Tracer) -> Result<Space, OpenError> {
        let mut inner = self.inner();
        match inner.spaces.get(&home) {
            Some(space) => Ok(space.clone()),
            None => Space::new(backend, bdf, tracer).inspect(|space| _ = inner.spaces.insert(home, space.clone())),
        }
    }

    pub fn add(&self, number: usize, open: Arc<Open>) {
        self.inner().devices.insert(number, open);
    }

    /// Takes out the device of this number, which is closed once nobody uses it.
    pub fn close(&self, number: usize) -> Option<Arc<Open>> {
        let closed = self.inner().devices.remove(&number);
        self.close_spaces();
        closed
    }

    /// Gives up the address spaces that no device is open in.
    pub fn close_spaces(&self) {
        let Inner { devices, spaces } = &mut *self.inner();
        spaces.retain(|home, _| devices.values().any(|open| open.home == *home));
    }

    pub fn clear(&self) {
        *self.inner() = Inner::default();
    }
}

/// Ranges of IOVAs, as expressions know them.
pub fn ranges(ranges: &[IovaRange]) -> Value {
    ranges.iter().map(|range| Value::from_pairs([("start", range.start), ("last", range.last)])).collect()
}

/// Adds what expressions know of the host that has this device.
pub fn host_facts(scope: &mut Scope, bdf: Bdf) {
    scope.set("page_size", Value::from(system::page_size()));
    scope.set("iommufd_mock", Value::from(facts::has_iommufd_mock()));
    scope.set("transparent_huge_pages", Value::from(facts::has_transparent_huge_pages()));
    scope.set("kernel", Value::from(facts::kernel()));
    scope.set("arch", Value::from(facts::arch()));
    let mut parameters = Fields::default();
    facts::MODULES.iter().for_each(|module| parameters.read(*module, || parameters_of(module)));
    scope.set("parameters", parameters);
    let mut of_host = Fields::default();
    // They are examined once, when an expression first names one.
    let facts = Arc::new(LazyLock::new(doctor::host));
    HOST.iter().for_each(|name| {
        let facts = Arc::clone(&facts);
        of_host.read(*name, move || found(&facts, &name.replace('_', "-")));
    });
    scope.set("host", of_host);
    let mut of_group = Fields::default();
    of_group.read("number", move || pci::group(bdf));
    of_group.read("members", move || pci::members(bdf).iter().map(Bdf::to_string).collect::<Value>());
    let facts = Arc::new(LazyLock::new(move || doctor::group(bdf)));
    GROUP_FACTS.into_iter().for_each(|(name, about)| {
        let facts = Arc::clone(&facts);
        of_group.read(name, move || found(&facts, about));
    });
    scope.set("iommu_group", of_group);
    scope.set("iommu", Value::from(facts::iommu(bdf).to_string()));
}

/// What `doctor` found, as expressions know it. What it has nothing to say of is good.
fn found(facts: &[Fact], about: &str) -> Value {
    let fact = facts.iter().find(|fact| fact.about.replace('_', "-") == about);
    let (grade, says) = fact.map_or((Grade::Good, ""), |fact| (fact.grade, &fact.says));
    Value::from_pairs([("grade", grade.as_str()), ("says", says)])
}

/// The parameters of a module, as expressions know them.
fn parameters_of(module: &str) -> Value {
    let value = |parameter| match parameter {
        Parameter::Switch(is_on) => Value::from(is_on),
        Parameter::Number(number) => Value::from(number),
        Parameter::Text(text) => Value::from(text),
    };
    Value::from_pairs(facts::parameters(module).into_iter().map(|(name, it)| (name, value(it))))
}

/// Why a device is not open, as a case's end.
pub fn cannot_open(error: CannotOpen, at: Path) -> End {
    match error {
        CannotOpen::Open(error) if error.is_missing() => End::Skipped(error.to_string()),
        CannotOpen::Open(error) => End::Error(Problem::new(Code::Open, at, error.to_string())),
        CannotOpen::Ask(what, errno) => {
            End::Error(Problem::new(Code::Open, at, format!("failed to ask for {what}: {errno}")))
        }
    }
}
