// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases of a scenario.

use crate::language::verb::{self, Ioctl};
use crate::language::{
    BackendOptions, Backends, ByBackend, Decode, Duration, Dynamic, Fix, KnownIssue, Name, Ordered, Outcome, Pack,
    Path, Pattern, Region, Requirement, Scalar, Size, Step, TableValue, Template, every_step, keys, words,
};
use crate::{language::text::keys::NotEmpty, model::BackendName};

keys! {
    /// One case, or one for each combination of its matrix, on every backend and device of the scenario.
    ///
    /// It has either the short form (`region` and `expect`: map, check the page size, unmap, check that nothing is left) or a list of `steps`.
    pub struct Case {
        /// The case's name, unique in its scenario.
        #[example("map_unmap")]
        pub name: Name,
        /// What it tests, in one sentence.
        #[example("A page of 2 MiB is mapped with one entry, and unmapped to the byte.")]
        pub summary: Option<String>,
        /// More devices, in the same address space unless they are `apart`, each by the name that the case gives it. `any` is the next device that the user named, `all`
        /// is all others, the name of a device is that device, and `virtual_function` is a virtual function of the case's own device, which is
        /// removed after the case. If a device is missing, the case is skipped.
        #[example({ "second": "any" })]
        pub devices: Ordered<Name> = empty,
        /// Those of its `devices` that have an address space of their own: a container of their own, or on the backend iommufd a `/dev/iommu`. By
        /// default all devices of a case share one.
        #[example(["second"])]
        pub apart: Vec<Name> = empty,
        /// Lists of values by name. Every combination is a case of its own, with the values in its name.
        #[example({ "page": ["4KiB", "2MiB"] })]
        pub matrix: Ordered<Vec<Scalar>> = empty,
        /// Values by name, for expressions. They may use the matrix, the backend and earlier values.
        #[example({ "half": "{{ page // 2 }}" })]
        pub vars: Ordered<Scalar> = empty,
        /// Run only on these of the scenario's backends: names or globs.
        #[example(["iommufd*"])]
        pub backends: Option<Vec<Pattern>>,
        /// The memory that the short form maps, checks and unmaps. Together with `expect`, instead of `steps`.
        pub region: Option<Box<Region>>,
        /// What the calls of the short form are expected to do. Together with `region`, instead of `steps`.
        #[example({ "map": "ok" })]
        pub expect: Option<Box<Expect>>,
        /// Memory by name, for `steps`.
        pub regions: Ordered<Region> = empty,
        /// What to do, in order. The case ends at the first step whose result is not the expected one.
        pub steps: Option<Vec<Step>>,
        /// Words to select cases by. Cases tagged `slow` run after all others.
        #[example(["slow"])]
        pub tags: Vec<Name> = empty,
        /// What it covers, such as requirements, tickets, or tests elsewhere. Free text; expressions may use what is known before the run.
        #[example(["vfio_dma_mapping_test.dma_map_unmap"])]
        pub covers: Vec<Template> = empty,
        /// The commits of the kernel whose absence it shows, beside those of the scenario. If it fails, reports say that this kernel lacks them.
        /// Several on one case are commits that it cannot tell apart.
        #[example([{ "title": "iommufd: Do not free what is in use", "commit": "f00ba4c0ffee", "releases": ["6.14", "6.12.9"] }])]
        pub fixes: Vec<Fix> = empty,
        /// Conditions for the case to apply, each written here or by its name in the pack's `conditions`. If one is false, the case is skipped,
        /// and the report shows the `because` of the first one.
        pub requires: Vec<Requirement> = empty,
        /// How long it may take. If it takes longer, it fails. The default is the scenario's.
        #[example("10s")]
        pub timeout: Option<Duration>,
        /// What the kernel may log while the case runs. Without this, a WARNING, a BUG or an IOMMU fault in its log is a failure.
        pub kernel_log: KernelLog = default,
        /// Lower limits for the process while the case runs.
        pub limits: Limits = default,
        /// A known failure of this case. `expect` still says what is right.
        pub known_issue: Option<Box<KnownIssue>>,
        /// How the case gets its device. The default is the scenario's.
        pub fixture: Option<Fixture>,
    }
}

impl Case {
    /// A case that has nothing but its name, valid or not.
    pub(in crate::language) fn named(name: &str) -> Case {
        Case { name: Name(name.to_owned()), ..Case::made_up() }
    }

    /// Whether it is meant for the backend, of those of its scenario.
    pub fn runs_on(&self, backend: BackendName) -> bool {
        self.backends.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(backend)))
    }
}

impl Scenario {
    /// A scenario that has no cases yet, on all backends.
    pub(in crate::language) fn named(name: &str) -> Scenario {
        let all = BackendName::ALL.iter().map(|&name| (name, BackendOptions::default())).collect();
        Scenario { name: Name(name.to_owned()), backends: Backends::each(all), ..Scenario::made_up() }
    }

    /// The backends that a case of it runs on.
    pub fn backends_of(&self, case: &Case) -> Vec<BackendName> {
        self.backends.list.iter().map(|(backend, _)| *backend).filter(|backend| case.runs_on(*backend)).collect()
    }

    /// Whether any case calls a procedure of a pack, or may do so.
    pub fn calls(&self) -> bool {
        let steps = |case: &'_ Case| {
            every_step(case.steps.as_deref().unwrap_or_default(), &Path::root())
                .iter()
                .any(|placed| verb::CALLING.contains(&placed.step.verb.name()))
        };
        self.cases.iter().any(steps)
    }

    /// Takes from its pack what it does not say itself; `backends` is whether it names its backends.
    pub(in crate::language) fn inherit(&mut self, Pack { defaults, vars, .. }: &Pack, backends: bool) {
        if let Some(inherited) = defaults.backends.as_ref().filter(|_| !backends) {
            self.backends = inherited.clone();
        }
        let known = std::mem::take(&mut self.tags);
        self.tags = defaults.tags.iter().cloned().chain(known).collect();
        self.timeout = self.timeout.or(defaults.timeout);
        // One that the file has too is a mistake of its own, and stands where the pack's others need it.
        let own = std::mem::replace(&mut self.vars, vars.clone());
        self.vars.0.extend(own.0.into_iter().filter(|(name, _)| vars.get(name).is_none()));
    }
}

keys! {
    /// The outcomes of the short form.
    #[derive(Default)]
    pub struct Expect {
        /// What mapping the whole region is expected to do.
        #[example("EINVAL")] #[example({ "vfio_*": "ok", "iommufd*": "EFAULT" })] #[default("ok")]
        pub map: Option<ByBackend<Dynamic<Outcome>>>,
        /// The page size in the IOMMU's page table. Not checked by default.
        #[example("2MiB")] #[example({ "iommufd_compat_type1": "4KiB", "*": "2MiB" })]
        pub pagesize: Option<ByBackend<Dynamic<Size>>>,
        /// What unmapping exactly the mapped range is expected to do, if mapping succeeds. The default is that it reports all bytes.
        #[example({ "bytes": "2MiB" })]
        pub unmap: Option<ByBackend<Dynamic<Outcome>>>,
    }
}

impl TableValue for Dynamic<Size> {
    const EXPECTING: &'static str = "a size";
}

keys! {
    /// What the kernel may log while a case runs.
    #[derive(Default, Eq)]
    #[serde(serialize)]
    pub struct KernelLog {
        /// A line that contains one of these texts is not a failure. Say in a comment why it is expected.
        #[example(["WARNING: drivers/iommu/"])]
        pub allow: Vec<String> = empty,
        /// A line that contains one of these texts is a failure, although it is neither a warning nor a fault.
        #[example(["unlocked secondary bus reset"])]
        pub never: Vec<String> = empty,
        /// What the kernel must log, or the case fails. The kernel logs only a few faults in five seconds. If it has just logged some, the case
        /// waits on the first of its backends until the kernel logs again, and on the others a missing fault is unchecked.
        pub expect: Option<Logged>,
    }
}

words! {
    /// What a case may expect in the kernel's log.
    pub enum Logged {
        /// An IOMMU fault: the IOMMU stopped an access of a device.
        IommuFault = "iommu_fault",
    }
}

keys! {
    /// Limits for the process while a case runs.
    #[derive(Default)]
    #[serde(serialize)]
    pub struct Limits {
        /// How much memory it can lock in bytes, from the first step to the last: RLIMIT_MEMLOCK, without CAP_IPC_LOCK.
        #[example("64KiB")]
        pub memlock: Option<Dynamic<Size>>,
    }
}

words! {
    /// How a case gets its device.
    pub enum Fixture {
        /// The device stays open between the cases on one backend, and is checked to be clean in between.
        Shared = "shared",
        /// The device is opened for this case and closed after it.
        Fresh = "fresh",
        /// The device is bound to vfio-pci, but not opened. For cases that open it themselves, with `open` and `ioctl`.
        None = "none",
    }
}

keys! {
    /// A scenario: cases, and the backends and devices that they run on. One file is one scenario.
    pub struct Scenario {
        /// The scenario's name, unique in its pack.
        #[example("dma_mapping")]
        pub name: Name,
        /// What it tests, in one sentence.
        #[example("A page of 2 MiB is mapped with one entry, and unmapped to the byte.")]
        pub summary: Option<String>,
        /// Which device. `any` is every device named on the command line. Another name is every device that the pack knows by this name or, if
        /// the pack does not know it, the device that has this name on the command line.
        #[example("edu")] #[default("any")]
        pub device: Option<Name>,
        /// The backends to run on. The default is those of its pack.
        pub backends: Backends = default,
        /// Values by name for all cases. `--var NAME=VALUE` on the command line overrides them.
        #[example({ "size": "2MiB" })]
        pub vars: Ordered<Scalar> = empty,
        /// Tags of all cases.
        #[example(["slow"])]
        pub tags: Vec<Name> = empty,
        /// The commits of the kernel whose absence all cases show.
        #[example([{ "title": "iommufd: Do not free what is in use", "commit": "f00ba4c0ffee", "releases": ["6.14", "6.12.9"] }])]
        pub fixes: Vec<Fix> = empty,
        /// Conditions of all cases.
        pub requires: Vec<Requirement> = empty,
        /// How long each case may take.
        #[example("10s")] #[default("60s")]
        pub timeout: Option<Duration>,
        /// How all cases get their device.
        #[default("shared")]
        pub fixture: Option<Fixture>,
        /// Memory by name, for every case with `steps`. A case may describe another region of the same name.
        #[example({ "buffer": { "memory": "anonymous", "size": "16KiB" } })]
        pub regions: Ordered<Region> = empty,
        /// Requests by name, for each `ioctl` that is `like` one of them.
        #[example({ "info": { "request": "VFIO_DEVICE_GET_INFO", "on": "device" } })]
        pub requests: Ordered<Ioctl> = empty,
        /// The cases, in order.
        #[example([
            { "name": "map_unmap", "region": { "memory": "anonymous", "size": "4KiB" }, "expect": { "map": "ok" } }
        ])]
        pub cases: Vec<Case> as NotEmpty,
    }
}
