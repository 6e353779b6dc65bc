//! The cases of a scenario.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de};

use crate::language::{
    Backends, ByBackend, Defaults, Duration, Dynamic, KnownIssue, Name, Ordered, Outcome, Path, Pattern, Region,
    Scalar, Size, Step, TableValue, Template, every_step,
};

/// One case, or one for each combination of its matrix; on every backend and device of the scenario.
///
/// It is either declarative (`region` and `expect`: map, check the page size, unmap, check that it is gone) or a list of `steps`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The case's name, unique in its scenario.
    #[schemars(example = &"map_unmap")]
    pub name: Name,
    /// What it is about, in a sentence.
    #[serde(default)]
    #[schemars(example = &"A page of 2 MiB is mapped with one entry, and unmapped to the byte.")]
    pub summary: Option<String>,
    /// More devices for the case, by the name that it knows each by, which share the address space of its own one: `any` is another one
    /// that the user named, `all` all others, a device's name that one, `virtual_function` one that is made of the case's own device and
    /// goes with the case. Where one is not there, the case is skipped.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "second": "any" }))]
    pub devices: Ordered<Name>,
    /// Values to run it with: every combination is a case of its own, with the values in its name.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "page": ["4KiB", "2MiB"] }))]
    pub matrix: Ordered<Vec<Scalar>>,
    /// Values by name, for expressions; they may refer to the matrix, the backend and earlier ones.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "half": "{{ page // 2 }}" }))]
    pub vars: Ordered<Scalar>,
    /// Only on these of the scenario's backends: names or globs.
    #[serde(default)]
    #[schemars(example = ["iommufd*"])]
    pub backends: Option<Vec<Pattern>>,
    /// The memory that the short form maps, looks at and unmaps. Beside `expect`, in place of `steps`.
    #[serde(default)]
    pub region: Option<Box<Region>>,
    /// What the short form's calls give, on each backend where they differ. Beside `region`, in place of `steps`.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "map": "ok" }))]
    pub expect: Option<Box<Expect>>,
    /// Memory by name, for `steps`.
    #[serde(default)]
    pub regions: Ordered<Region>,
    /// What to do, in order; the case ends at the first step that does not give what is expected.
    #[serde(default)]
    pub steps: Option<Vec<Step>>,
    /// Words that say what kind of case it is. `slow` cases run after all others.
    #[serde(default)]
    #[schemars(example = ["slow"])]
    pub tags: Vec<Name>,
    /// What it covers: requirements, tickets, tests elsewhere. Free text; expressions may use what is known before the run.
    #[serde(default)]
    #[schemars(example = ["vfio_dma_mapping_test.dma_map_unmap"])]
    pub covers: Vec<Template>,
    /// Conditions without which the case cannot apply; the first that does not hold is the reason of the skip.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// How long it may take; one that takes longer has failed. Unless given, the scenario's.
    #[serde(default)]
    #[schemars(example = "10s")]
    pub timeout: Option<Duration>,
    /// What the kernel may log meanwhile. Without this, a splat or an IOMMU fault in its log is a failure of the case.
    #[serde(default)]
    pub kernel_log: KernelLog,
    /// What the process may do meanwhile, less than it may otherwise.
    #[serde(default)]
    pub limits: Limits,
    /// Why it fails here, where that is known. The case says what is right all the same.
    #[serde(default)]
    pub known_issue: Option<Box<KnownIssue>>,
    /// Whether the device is opened anew for it. Unless given, the scenario's.
    #[serde(default)]
    pub fixture: Option<Fixture>,
}

impl Case {
    /// A case that has nothing but its name, which may be none: that is told where it is written.
    pub(in crate::language) fn named(name: &str) -> Case {
        let case: Case =
            serde_json::from_value(serde_json::json!({ "name": "any" })).expect("a case needs no more than a name");
        Case { name: Name(name.to_owned()), ..case }
    }
}

impl Scenario {
    /// A scenario that has no cases yet, on all backends.
    pub(in crate::language) fn named(name: &str) -> Scenario {
        let all = serde_json::json!({ "name": "any", "backends": "all", "cases": [{ "name": "any" }] });
        let scenario: Scenario = serde_json::from_value(all).expect("a scenario needs no more than these");
        Scenario { name: Name(name.to_owned()), cases: Vec::new(), ..scenario }
    }

    /// Whether any case calls a procedure of a pack.
    pub fn calls(&self) -> bool {
        let steps = |case: &'_ Case| {
            every_step(case.steps.as_deref().unwrap_or_default(), &Path::root())
                .iter()
                .any(|placed| placed.step.call.is_some())
        };
        self.cases.iter().any(steps)
    }

    /// Takes from its pack what it does not say itself; `backends` tells whether it says which ones.
    pub(in crate::language) fn inherit(&mut self, defaults: &Defaults, backends: bool) {
        if let Some(inherited) = defaults.backends.as_ref().filter(|_| !backends) {
            self.backends = inherited.clone();
        }
        let known = std::mem::take(&mut self.tags);
        self.tags = defaults.tags.iter().cloned().chain(known).collect();
        self.timeout = self.timeout.or(defaults.timeout);
    }
}

/// The outcomes of the declarative form.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What mapping the whole region gives.
    #[serde(default)]
    #[schemars(example = &"EINVAL", example = serde_json::json!({ "vfio_*": "ok", "iommufd*": "EFAULT" }), extend("default" = "ok"))]
    pub map: Option<ByBackend<Outcome>>,
    /// The page size of the leaves behind it; not looked at unless given.
    #[serde(default)]
    #[schemars(example = "2MiB", example = serde_json::json!({ "iommufd_compat_type1": "4KiB", "*": "2MiB" }))]
    pub pagesize: Option<ByBackend<Dynamic<Size>>>,
    /// What unmapping exactly the mapped range gives, where mapping succeeds; all its bytes unless given.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "bytes": "2MiB" }))]
    pub unmap: Option<ByBackend<Outcome>>,
}

impl TableValue for Dynamic<Size> {
    const EXPECTING: &'static str = "a size";
}

/// A condition of a case.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// What has to hold.
    #[schemars(example = "{{ bar.size >= 2 * page_size }}")]
    pub that: Dynamic<bool>,
    /// Why the case cannot apply otherwise, for the report.
    #[schemars(example = "a part of a BAR needs one of two pages or more")]
    pub because: Template,
}

/// What the kernel may log while a case runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelLog {
    /// Texts: an alarming line that contains one of them is no failure. Say beside it why it is expected.
    #[serde(default)]
    #[schemars(example = ["WARNING: drivers/iommu/"])]
    pub allow: Vec<String>,
    /// What the kernel has to log: where it does not, the case fails. The kernel logs only a few faults in five seconds: where it has
    /// logged some just before, a case waits on the first of its backends until it may log again, and counts as unchecked on the others.
    #[serde(default)]
    pub expect: Option<Logged>,
}

/// What the kernel logs on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Logged {
    /// A fault of the IOMMU: a device was kept from memory.
    IommuFault,
}

/// What the process may do while a case runs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How much memory it may lock (RLIMIT_MEMLOCK, held to without CAP_IPC_LOCK); from the first step to the last.
    #[serde(default)]
    #[schemars(example = "64KiB")]
    pub memlock: Option<Dynamic<Size>>,
}

/// How a case gets its device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fixture {
    /// The device stays open from case to case on the same backend, proved clean in between.
    #[default]
    Shared,
    /// The device is opened for this case and closed after it.
    Fresh,
    /// The device is not opened, only bound to vfio-pci: for cases that open it by themselves, with `open` and `ioctl`.
    None,
}

/// A scenario, which is one file: cases, and the backends and devices that they run on.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's name, unique in its pack.
    #[schemars(example = &"dma_mapping")]
    pub name: Name,
    /// What it is about, in a sentence.
    #[serde(default)]
    #[schemars(example = &"A page of 2 MiB is mapped with one entry, and unmapped to the byte.")]
    pub summary: Option<String>,
    /// Which device: `any` is every device named on the command line; another name is every one that the pack knows by this name, or, where
    /// the pack has no such name, only the one that was given it on the command line.
    #[serde(default)]
    #[schemars(example = &"edu", extend("default" = "any"))]
    pub device: Option<Name>,
    /// The backends to run on; unless given, those of its pack.
    #[serde(default)]
    pub backends: Backends,
    /// Values by name for all cases; `--var NAME=VALUE` on the command line overrides them.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "size": "2MiB" }))]
    pub vars: Ordered<Scalar>,
    /// Tags of all cases.
    #[serde(default)]
    #[schemars(example = ["slow"])]
    pub tags: Vec<Name>,
    /// Conditions of all cases.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// How long each case may take.
    #[serde(default)]
    #[schemars(example = "10s", extend("default" = "60s"))]
    pub timeout: Option<Duration>,
    /// How all cases get their device.
    #[serde(default)]
    #[schemars(extend("default" = "shared"))]
    pub fixture: Option<Fixture>,
    /// The cases, in order.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(length(min = 1))]
    #[schemars(example = serde_json::json!([
        { "name": "map_unmap", "region": { "memory": "anonymous", "size": "4KiB" }, "expect": { "map": "ok" } }
    ]))]
    pub cases: Vec<Case>,
}

fn at_least_one<'de, D: de::Deserializer<'de>>(deserializer: D) -> Result<Vec<Case>, D::Error> {
    let cases = Vec::<Case>::deserialize(deserializer)?;
    match cases.is_empty() {
        false => Ok(cases),
        true => Err(de::Error::invalid_length(0, &"at least one case")),
    }
}
