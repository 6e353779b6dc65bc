// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a run, as one stream of events. The journal stores it, and every report is a function of it.
//!
//! An event is one line of JSON:
//!
//! ```text
//! run_started     where the run happens and with which devices
//! case_planned    one for each case
//! case_started    ┐ for each case, in the order of execution
//! case_finished   ┘
//! run_finished
//! ```
//!
//! A stream may end anywhere. A case that has started and not finished was running when the host or the runner died. The stream may
//! continue after that, or after `run_finished`, with `run_resumed`. The last result of a case counts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Capability, CaseId, DeviceKind, Fix, Observed, Verdict};

/// The version of the format of journals. A reader refuses a newer one.
pub const FORMAT: u32 = 1;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    RunStarted(RunStarted),
    /// The run will have a result for this case. All cases are planned before the first result.
    CasePlanned(PlannedCase),
    /// A case begins.
    CaseStarted {
        /// [`PlannedCase::case`]
        case: u32,
    },
    /// A case has its result.
    CaseFinished(CaseResult),
    /// The last line, unless the run was resumed.
    RunFinished(RunFinished),
    /// The run continues: by `--resume`, or in a fresh guest after one died. It has the same planned cases.
    RunResumed(RunStarted),
    /// A case was tried and will be tried again (`--repeat`, `--retries`). Its result, [`Event::CaseFinished`], sums up all
    /// attempts.
    CaseAttempted(CaseResult),
    /// With `--trace`: the running case has made a call. This event goes only to the terminal, and not into the journal.
    Called {
        /// [`PlannedCase::case`]
        case: u32,
        /// The call, decoded.
        call: String,
    },
    /// The running case is about to make calls that nobody wrote down. If the machine dies of them, this is all that is left of them. This
    /// event goes only to whoever watches the machine, and not into the journal.
    Exploring {
        /// [`PlannedCase::case`]
        case: u32,
        /// The calls as a scenario.
        scenario: String,
    },
    /// Between two cases the run takes its time. This event is repeated, shows whoever waits that it goes on, and does not go into the
    /// journal.
    Busy {
        /// What it does.
        with: String,
    },
    /// With `--keep-on-failure`, in the lab: a case did not pass, and the guest opens a shell on its console while all is as the case left it.
    /// This event goes only to whoever watches the guest, and not into the journal.
    Kept,
}

impl Event {
    /// The event with the number that a case has elsewhere; `None` if it has no number there.
    pub fn renumbered(mut self, number: impl Fn(u32) -> Option<u32>) -> Option<Event> {
        match &mut self {
            Event::CaseFinished(CaseResult { case, .. })
            | Event::CaseAttempted(CaseResult { case, .. })
            | Event::CasePlanned(PlannedCase { case, .. })
            | Event::CaseStarted { case }
            | Event::Called { case, .. }
            | Event::Exploring { case, .. } => *case = number(*case)?,
            Event::RunStarted(_) | Event::RunResumed(_) | Event::RunFinished(_) | Event::Busy { .. } | Event::Kept => {}
        }
        Some(self)
    }
}

/// Where a run happens, and with which devices.
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
    /// The name of the host in the inventory (`--inventory`); missing without one. Runs on different hosts do not add up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `uname -r` of that host.
    pub kernel: String,
    /// `uname -m` of that host, such as `x86_64`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
    /// The IOMMU in front of the devices, such as `intel`, `virtio` or `none`.
    pub iommu: String,
    /// The devices under test.
    pub devices: Vec<DeviceUsed>,
    /// How the lab was set up; null on a real host.
    pub lab: Option<String>,
    /// The boot of the host (`/proc/sys/kernel/random/boot_id`); in the lab, that of the host of the guest. When the run is resumed,
    /// it shows whether the host went down while a case ran.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// A hash of the scenarios and their variables. A run can be resumed only with the same plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scenarios: String,
    /// With `--shuffle`, the seed of the order in which the cases run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<u64>,
    /// The command that starts the run again, without its paths, its selection of cases and its reports. Followed by the file of a case
    /// and `--case ID`, it runs that case alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub again: String,
    /// The lab's IOMMU model, such as `intel-scalable`; missing on a real host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab_iommu: Option<String>,
}

/// Whether a number is 0, which means that it is not known.
fn is_unknown<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// A device under test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceUsed {
    /// Its name in scenarios and reports, such as `edu`.
    pub name: String,
    /// Its PCI address, such as `0000:00:03.0`.
    pub bdf: String,
    /// Its PCI ids, such as `1234:11e8`.
    pub ids: String,
    /// Its class, subclass and programming interface, such as 0x010802; 0 if they are not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub class: u32,
    /// The capabilities in its configuration space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// The size in bytes of its largest memory BAR; 0 if it has none, or if the size is not known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub largest_bar: u64,
    /// The driver that it was unbound from, and will be bound to again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

impl DeviceUsed {
    /// The same device, known to be of this kind.
    pub fn of_kind(self, kind: DeviceKind) -> DeviceUsed {
        let DeviceKind { ids, class, capabilities, largest_bar } = kind;
        DeviceUsed { ids, class, capabilities, largest_bar, ..self }
    }

    /// What packs match their device roles against.
    pub fn kind(&self) -> DeviceKind {
        DeviceKind {
            ids: self.ids.clone(),
            class: self.class,
            capabilities: self.capabilities.clone(),
            largest_bar: self.largest_bar,
        }
    }
}

/// A case of the plan, with what identifies it in every run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedCase {
    /// Its number among all cases of the scenarios, from 0. Cases that are not selected leave gaps.
    pub case: u32,
    /// The name of its pack.
    pub pack: String,
    /// The scenario's name.
    pub scenario: String,
    /// The backend's name, such as `vfio_type1_iommu`.
    pub backend: String,
    /// The device's name ([`DeviceUsed::name`]).
    pub device: String,
    /// The case's name with its matrix values, such as `map_unmap[page=2MiB]`.
    pub name: String,
    /// The file of its scenario, as the user named it.
    pub file: String,
    /// The line of the file where it begins, from 1.
    pub line: u32,
    /// What it covers: requirements, tickets, upstream tests.
    pub covers: Vec<String>,
    /// The tags of its scenario, and its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The commits of the kernel whose absence it shows: without them it fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<Fix>,
    /// What it is about: its own summary, or else that of its scenario.
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

/// The result of a case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseResult {
    /// [`PlannedCase::case`]
    pub case: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// Wall time in microseconds.
    pub micros: u64,
    /// Unless it passed: the reason in one line, such as `unmap gave ENOENT, expected 4096 bytes`.
    pub message: Option<String>,
    /// For a known issue: where it is described, if the issue says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// For failures and errors: the message with the YAML line, what was expected and what came, as on the terminal but without
    /// colour.
    pub detail: Option<String>,
    /// The lines of `detail` that mark a place in the line above them, counted from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carets: Vec<u32>,
    /// The place of the expectation that did not hold, as `file:line:column`.
    pub at: Option<String>,
    /// The calls of the case, decoded, one per line. A case that passed has none.
    pub trace: Vec<String>,
    /// The lines of `trace` whose calls failed, counted from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_calls: Vec<u32>,
    /// The calls of earlier cases that opened or allocated what this case was given: the device, and memory that is kept. They come
    /// before those of `trace`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// The lines that the kernel logged while the case ran.
    pub kernel_log: Vec<String>,
    /// What the IOMMU's page table of the device held when the case failed, an entry per line; empty where nothing shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_table: Vec<String>,
    /// In the lab: what the guest wrote to its console while the case ran, if it did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub console: Vec<String>,
    /// The checks that were planned and not made.
    pub unchecked: Vec<Unchecked>,
    /// The number of checks that were made: outcomes, page sizes and expressions.
    pub checks: u32,
    /// The times of steps that ran in parallel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
    /// The steps whose allocations were made to fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub injected: Vec<Injected>,
    /// What observers saw, beside the checks of the case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observers: Vec<Observation>,
    /// With `--ask`: what each step came to, in their order. Nothing of it was judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// What the calls that `explore` made up came to, where several things are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explored: Option<Explored>,
    /// The scenario that shows what `explore` found, as the text of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The backend that answered, if it is not the one that was asked for. The case expects its outcomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_backend: Option<String>,
    /// All attempts, if there was more than one. The fields above are then those of the attempt that decided, and `micros` is the sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Whether the host, or the lab's guest, died while it ran.
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
    /// Unless it passed: the reason in one line.
    pub message: Option<String>,
}

impl CaseResult {
    /// A result that has only a verdict and a time.
    pub fn new(case: u32, verdict: Verdict, elapsed: Duration) -> CaseResult {
        CaseResult { case, verdict, micros: elapsed.as_micros() as u64, ..CaseResult::default() }
    }

    /// All calls, with a line between those of earlier cases and those of this one.
    pub fn calls(&self) -> Vec<&str> {
        const BEGINS: &str = "--- above: earlier cases, which opened what this case uses; below: this case ---";
        let before = self.before.iter().map(String::as_str);
        let begins = (!self.before.is_empty()).then_some(BEGINS);
        before.chain(begins).chain(self.trace.iter().map(String::as_str)).collect()
    }

    /// This result as one of several attempts.
    pub fn attempt(&self) -> Attempt {
        Attempt { verdict: self.verdict, micros: self.micros, message: self.message.clone() }
    }
}

/// The reason for which a case that was only asked counts as skipped.
pub const ASKED: &str = "asked what the kernel answers, and judged nothing (--ask)";

/// What a step of a case came to that was asked (`--ask`). A step that runs in several rounds has one for each different answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The place of the step, as `file:line:column`.
    pub at: String,
    /// The step in one line, such as `unmap: { iova: {{ m.iova }}, size: 4KiB }`.
    pub step: String,
    /// What it came to.
    pub answer: Answered,
    /// What a step read that reads something, such as `info` or `features`, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<String>,
    /// In how many rounds it came to that.
    pub times: u32,
    /// Whether that is what the scenario expects.
    pub expected: bool,
    /// The key that says what is expected of the step: `expect`, or `map` or `unmap` in the short form. Missing if the step takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The line of that key. Missing if it is not written, so that success is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// The call succeeded, or what is checked is so.
    Ok,
    /// The call succeeded, and reported this many bytes.
    Bytes(u64),
    /// The call failed with what has this name in `expect`, such as `EINVAL` or `SIGBUS`.
    Fails(String),
    /// What is checked is not so, for this reason; or a procedure failed.
    Differs(String),
    /// The check was not made, for this reason.
    Unchecked(String),
    /// The step was not run, for this reason: often an earlier step has not made what it needs.
    NotRun(String),
}

/// What calls of `explore` came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explored {
    /// A fingerprint of all calls, which others have in common only if they are the same.
    pub calls: String,
    /// The calls that may fail with any of several errnos, of the first 100 sequences.
    pub free: Vec<Free>,
}

/// A call of `explore` that may fail with any of several errnos: it breaks several rules at once, and the kernel promises no order of its
/// checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Free {
    /// The number of its sequence in the case, from 0.
    pub sequence: u64,
    /// Its number in the sequence, from 0.
    pub call: u32,
    /// The step that makes it, in one line.
    pub step: String,
    /// The errnos that are right, by their names.
    pub may: Vec<String>,
    /// The one that it gave.
    pub gave: String,
}

/// What one observer saw of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// Its name, such as `kernel_log`, `taint`, `pinned_memory` or `leaves`.
    pub observer: String,
    /// How the observation ended.
    pub state: Observed,
    /// What was wrong, or why it could not observe the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it looked with, such as `VT-d's debugfs`. Where these are several, they agreed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

/// The times of steps that ran in parallel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Their name in the scenario, or their place.
    pub what: String,
    /// The time from the first start to the last end, in microseconds.
    pub micros: u64,
    /// The time of each, in microseconds.
    pub each: Vec<u64>,
    /// Whether they ran one after the other, in rounds of a `measure`; `micros` is then the sum of their times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rounds: bool,
    /// How many bytes a round moves or maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Measured {
    /// The rounds of a `measure`.
    pub fn each(what: String, each: Vec<u64>, bytes: Option<u64>) -> Measured {
        Measured {
            what,
            micros: each.iter().fold(0, |sum, micros| sum.saturating_add(*micros)),
            each,
            rounds: true,
            bytes,
        }
    }

    /// The times of each, shortest first.
    pub fn sorted(&self) -> Vec<u64> {
        let mut sorted = self.each.clone();
        sorted.sort_unstable();
        sorted
    }

    /// The median of the rounds, in microseconds; the total if no round was timed by itself.
    pub fn median(&self) -> u64 {
        self.sorted().get(self.each.len().saturating_sub(1) / 2).copied().unwrap_or(self.micros)
    }

    /// Bytes per second, by the median.
    pub fn throughput(&self) -> Option<u64> {
        let per_second = u128::from(self.bytes?) * 1_000_000 / u128::from(self.median().max(1));
        Some(u64::try_from(per_second).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for Measured {
    /// `map: 120 us, 16666 MiB/s; 10 rounds from 118 to 300 us`, or
    /// `init: 210.3 ms; each of 3 from 180.1 ms to 205.7 ms, 195.2 ms on average`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = |micros: u64| format!("{}.{} ms", micros / 1000, micros % 1000 / 100);
        if self.rounds {
            let sorted = self.sorted();
            let [least, most] = [sorted.first(), sorted.last()].map(|micros| micros.copied().unwrap_or(0));
            write!(f, "{}: {} us", self.what, self.median())?;
            if let Some(throughput) = self.throughput() {
                write!(f, ", {} MiB/s", throughput >> 20)?;
            }
            return write!(f, "; {} rounds from {least} to {most} us", self.each.len());
        }
        let (count, sum) = (self.each.len() as u64, self.each.iter().sum::<u64>());
        write!(f, "{}: {}", self.what, millis(self.micros))?;
        if count < 2 {
            return Ok(());
        }
        let [least, most] = [self.each.iter().min(), self.each.iter().max()].map(|micros| micros.copied().unwrap_or(0));
        write!(f, "; each of {count} from {} to {}, {} on average", millis(least), millis(most), millis(sum / count))
    }
}

/// A step whose requests ran out of memory at every allocation, once each (`fail_nth`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Injected {
    /// Its verb and its place.
    pub what: String,
    /// The number of allocations that failed.
    pub points: u32,
    /// How often the step failed because of one; the other times the kernel did without.
    pub failed: u32,
}

impl std::fmt::Display for Injected {
    /// `map at f.yaml:9: 14 allocations failed, and the step 12 times`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Injected { what, points, failed } = self;
        write!(f, "{what}: {points} allocations failed, and the step {failed} times")
    }
}

/// A check that a case asks for, and that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unchecked {
    /// The check, such as `pagesize`.
    pub what: String,
    /// The reason, such as `no page-table dump for this IOMMU`.
    pub reason: String,
    /// Whether the scenario leaves the check out on this backend (`skip_pagesize`).
    pub by_choice: bool,
}

/// The end of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFinished {
    /// Wall time in milliseconds.
    pub millis: u64,
    /// Whether Ctrl-C or SIGTERM stopped it. Cases without a result were not run.
    pub interrupted: bool,
    /// Why it stopped early without an interruption, such as `a case failed (--fail-fast)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}
