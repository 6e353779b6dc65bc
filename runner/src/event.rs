//! What happens in a run, as one stream: the journal stores it, and every report is a function of it.
//!
//! An event is one line of JSON. A run is `run_started`, one `case_planned` for each case, then `case_started` and
//! `case_finished` in the order of execution, then `run_finished`. A stream may end anywhere: a case that was started
//! and never finished was running when the host or the runner died. It may go on behind that, or behind `run_finished`, with
//! `run_resumed`; the last result of a case counts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Capability, CaseId, DeviceKind, Observed, Verdict};

/// The version of the journal's format; a reader refuses a newer one.
pub const FORMAT: u32 = 1;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    RunStarted(RunStarted),
    /// A case that this run is going to give a result for; all of them come before the first result.
    CasePlanned(PlannedCase),
    /// The case with this number begins.
    CaseStarted {
        /// [`PlannedCase::case`]
        case: u32,
    },
    /// The case has its result.
    CaseFinished(CaseResult),
    /// The last line, unless the run was resumed.
    RunFinished(RunFinished),
    /// The run goes on: by `--resume`, or in a fresh guest after one died. Where and with what, again; the cases are those that
    /// were planned.
    RunResumed(RunStarted),
    /// A case was tried, and is going to be tried again (`--repeat`, `--retries`): not its result yet, which
    /// [`Event::CaseFinished`] sums up from all attempts.
    CaseAttempted(CaseResult),
    /// With `--trace`: the case that runs has made a call. It goes to the terminal only, and no journal has it.
    Called {
        /// [`PlannedCase::case`]
        case: u32,
        /// The call, decoded.
        call: String,
    },
}

/// Where and with what a run happens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// [`FORMAT`]
    pub format: u32,
    /// The version of vfiospec.
    pub tool: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
    /// The name of the host that issues the ioctls (the guest's, in the lab).
    pub hostname: String,
    /// `uname -r` of that host.
    pub kernel: String,
    /// The IOMMU in front of the devices, such as `intel`, `virtio` or `none`.
    pub iommu: String,
    /// The devices under test.
    pub devices: Vec<DeviceUsed>,
    /// How the lab was set up; `None` on a host of its own.
    pub lab: Option<String>,
    /// Which boot of the host it is (`/proc/sys/kernel/random/boot_id`; in the lab, of the guest's host): who resumes the run can
    /// tell whether the host went down under a case.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// What the scenarios and their variables were, as a number: the plan of a run that is resumed has to be the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scenarios: String,
    /// The seed of the order that the cases run in, with `--shuffle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<u64>,
    /// The command that begins it once more, without its choice of cases and reports: with `--case ID` behind it, it runs one of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub again: String,
    /// The lab's IOMMU model, such as `intel-scalable`; `None` on a host of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab_iommu: Option<String>,
}

/// Whether a number is 0: not known.
fn is_unknown<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// A device under test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceUsed {
    /// The name that scenarios and reports know it by, such as `edu`.
    pub name: String,
    /// Its PCI address, such as `0000:00:03.0`.
    pub bdf: String,
    /// Its PCI ids, such as `1234:11e8`.
    pub ids: String,
    /// Its class, subclass and programming interface, such as 0x010802; 0 where they are not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub class: u32,
    /// What it can do, as its configuration space says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// The size of its largest BAR of memory, in bytes; 0 where there is none, or it is not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub largest_bar: u64,
    /// The driver that it was taken from, and goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

impl DeviceUsed {
    /// The same device, known to be of this kind.
    pub fn of_kind(self, kind: DeviceKind) -> DeviceUsed {
        let DeviceKind { ids, class, capabilities, largest_bar } = kind;
        DeviceUsed { ids, class, capabilities, largest_bar, ..self }
    }

    /// What roles of packs are matched with.
    pub fn kind(&self) -> DeviceKind {
        DeviceKind {
            ids: self.ids.clone(),
            class: self.class,
            capabilities: self.capabilities.clone(),
            largest_bar: self.largest_bar,
        }
    }
}

/// A case of the plan: what identifies it, the same from run to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedCase {
    /// Its number among all cases of the scenarios, from 0; those that were not selected leave gaps.
    pub case: u32,
    /// The pack: the name of the folder that the scenario lies in.
    pub pack: String,
    /// The scenario's name.
    pub scenario: String,
    /// The backend's name, such as `vfio_type1_iommu`.
    pub backend: String,
    /// The device's name ([`DeviceUsed::name`]).
    pub device: String,
    /// The case's name with its matrix values, such as `map_unmap[page=2MiB]`.
    pub name: String,
    /// The file that describes it, as the user named it.
    pub file: String,
    /// The line in that file where it begins, from 1.
    pub line: u32,
    /// What the case says it covers: requirements, tickets, upstream tests.
    pub covers: Vec<String>,
    /// What the case says it is about, or else its scenario.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

impl PlannedCase {
    /// What identifies it.
    pub fn id(&self) -> CaseId {
        CaseId {
            pack: self.pack.clone(),
            scenario: self.scenario.clone(),
            backend: self.backend.clone(),
            device: self.device.clone(),
            case: self.name.clone(),
        }
    }
}

/// What a case gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseResult {
    /// [`PlannedCase::case`]
    pub case: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// Wall time in microseconds.
    pub micros: u64,
    /// For all but a pass: the reason in one line, such as `unmap gave ENOENT, expected 4096 bytes`.
    pub message: Option<String>,
    /// For failures and errors: the message with the YAML line, the expected and the got, as on the terminal but without colour.
    pub detail: Option<String>,
    /// Where the reason is in the text: `file:line:column` of the expectation that did not hold.
    pub at: Option<String>,
    /// The case's ioctls, decoded, one a line; kept for failures and errors, empty for a pass.
    pub trace: Vec<String>,
    /// Calls of earlier cases that opened and made what this one was given: the device, and memory that is kept. They come before those
    /// of `trace`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Lines that the kernel logged meanwhile.
    pub kernel_log: Vec<String>,
    /// Checks that were planned and not made.
    pub unchecked: Vec<Unchecked>,
    /// How many checks were made: outcomes compared, page sizes seen, expressions evaluated.
    pub checks: u32,
    /// How long steps took that run at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
    /// What watched the case beside its own checks, and what each saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observers: Vec<Observation>,
    /// The backend that answered, where it is not the one that was asked for: its outcomes were expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_backend: Option<String>,
    /// Every attempt, where there was more than one; what stands above is then of the attempt that decided, and `micros` the sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The host, or the lab's guest, died while it ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub died: bool,
}

/// One of several attempts at a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// How it ended.
    pub verdict: Verdict,
    /// Wall time in microseconds.
    pub micros: u64,
    /// For all but a pass: the reason in one line.
    pub message: Option<String>,
}

impl CaseResult {
    /// A result with nothing to tell but the verdict and the time it took.
    pub fn new(case: u32, verdict: Verdict, elapsed: Duration) -> CaseResult {
        CaseResult {
            case,
            verdict,
            micros: elapsed.as_micros() as u64,
            message: None,
            detail: None,
            at: None,
            trace: Vec::new(),
            before: Vec::new(),
            kernel_log: Vec::new(),
            unchecked: Vec::new(),
            checks: 0,
            measured: Vec::new(),
            observers: Vec::new(),
            true_backend: None,
            attempts: Vec::new(),
            died: false,
        }
    }

    /// All calls, with a line between those of earlier cases and its own.
    pub fn calls(&self) -> Vec<&str> {
        const BEGINS: &str = "--- so far earlier cases, to open what this one uses; here it begins ---";
        let before = self.before.iter().map(String::as_str);
        let begins = (!self.before.is_empty()).then_some(BEGINS);
        before.chain(begins).chain(self.trace.iter().map(String::as_str)).collect()
    }

    /// What this attempt comes to among others.
    pub fn attempt(&self) -> Attempt {
        Attempt { verdict: self.verdict, micros: self.micros, message: self.message.clone() }
    }
}

/// What one observer saw of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// Its name, such as `kernel_log`, `taint`, `pinned_memory` or `leaves`.
    pub observer: String,
    /// What came of it.
    pub state: Observed,
    /// What was wrong, or why it could not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How long steps took that ran at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// The name that the scenario gives them, or where they stand.
    pub what: String,
    /// From the first begin to the last end, in microseconds.
    pub micros: u64,
    /// How long each took, in microseconds.
    pub each: Vec<u64>,
}

impl std::fmt::Display for Measured {
    /// `init: 210.3 ms; each of 3 from 180.1 ms to 205.7 ms, 195.2 ms on average`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = |micros: u64| format!("{}.{} ms", micros / 1000, micros % 1000 / 100);
        let (count, sum) = (self.each.len() as u64, self.each.iter().sum::<u64>());
        write!(f, "{}: {}", self.what, millis(self.micros))?;
        if count < 2 {
            return Ok(());
        }
        let (least, most) =
            (self.each.iter().min().copied().unwrap_or(0), self.each.iter().max().copied().unwrap_or(0));
        write!(f, "; each of {count} from {} to {}, {} on average", millis(least), millis(most), millis(sum / count))
    }
}

/// A check that a case asks for and that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unchecked {
    /// What, such as `pagesize`.
    pub what: String,
    /// Why, such as `no page-table dump for this IOMMU`.
    pub reason: String,
    /// The scenario itself says that it is not to be checked on this backend (`skip_pagesize`).
    pub by_choice: bool,
}

/// The end of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFinished {
    /// Wall time in milliseconds.
    pub millis: u64,
    /// Stopped by Ctrl-C or SIGTERM: the cases without a result were not run.
    pub interrupted: bool,
    /// Why it stopped early by itself, such as `a case failed (--fail-fast)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}
