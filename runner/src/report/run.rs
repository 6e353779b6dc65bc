// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all reports are made of: the planned cases of one or more journals, and how each ended.
//!
//! [`Run`] is only an index. The texts of a case (its detail, its calls, the kernel log) stay in the journal until a report reads
//! them with [`Run::full`], one case at a time. So memory grows with the number of cases, and not with the size of their texts.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Attempt, CaseResult, Event, PlannedCase, RunFinished, RunStarted};
use crate::model::{Fix, Verdict};
use crate::report::journal::{Place, Text};
use crate::report::note::{Note, NoteKind};
use crate::sanitize::{line, word};

/// One run, or several that were merged; [`Run::read`] makes it.
#[derive(Debug, Default)]
pub struct Run {
    /// Where the cases ran. Reports show several environments side by side.
    pub environments: Vec<Environment>,
    /// The scenarios of each backend and device, in the order of the plan.
    pub suites: Vec<Suite>,
    /// Every planned case, in the order of the plan.
    pub cases: Vec<Case>,
    /// The ids of the cases that ran the last time: what of them is skipped now is news.
    pub ran_last_time: HashSet<String>,
    pub(super) journals: Vec<Text>,
}

/// A kernel, an IOMMU and devices.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Environment {
    /// What distinguishes it from the others, such as `virtio` or `Linux 6.12.107`; empty if there is only one.
    pub label: String,
    /// Whether the user chose the label.
    #[serde(skip)]
    pub(super) named: bool,
    /// The runs in it, the earliest first: shards, and reruns of the same cases.
    #[serde(rename = "runs")]
    pub parts: Vec<Part>,
}

/// One run, from one journal.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Part {
    /// Where it ran and with which devices.
    pub started: RunStarted,
    /// How it ended; null if the journal has no end.
    pub finished: Option<RunFinished>,
    /// The sum of the times of its cases in microseconds.
    #[serde(skip)]
    pub micros: u64,
    /// Whether it ended early and a later run has run the rest.
    #[serde(skip)]
    pub made_up_for: bool,
}

/// The cases of one scenario on one backend and one device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suite {
    /// The index in [`Run::environments`].
    pub environment: usize,
    /// [`PlannedCase::pack`]
    pub pack: Arc<str>,
    /// [`PlannedCase::scenario`]
    pub scenario: Arc<str>,
    /// [`PlannedCase::backend`]
    pub backend: Arc<str>,
    /// [`PlannedCase::device`]
    pub device: Arc<str>,
}

/// A planned case, and how it ended.
#[derive(Debug)]
pub struct Case {
    /// The index in [`Run::suites`].
    pub suite: usize,
    /// [`PlannedCase::name`]
    pub name: Arc<str>,
    /// How it ended. Without a result it follows from [`Case::state`]. A case that failed in an earlier run and passed in a later
    /// one is flaky.
    pub verdict: Verdict,
    /// How far it got.
    pub state: State,
    /// [`CaseResult::micros`]
    pub micros: u64,
    /// Whether it was asked (`--ask`), and has [answers](CaseResult::answers).
    pub asked: bool,
    /// Whether it made calls up (`explore`), and has [what they came to](CaseResult::explored).
    pub explored: bool,
    /// Whether it measured something (`measure`).
    pub measured: bool,
    /// The message of a skip or a known issue. Many cases share the same one.
    pub reason: Option<Arc<str>>,
    /// What its verdict says nothing about.
    pub notes: Arc<[Note]>,
    /// [`PlannedCase::fixes`]
    pub fixes: Arc<[Fix]>,
    /// Whether it covers something.
    pub covers: bool,
    /// Its results in earlier runs, in their order.
    pub(super) earlier: Vec<Earlier>,
    /// The index of its run in [`Environment::parts`].
    pub part: usize,
    pub(super) number: u32,
    pub(super) planned: Option<At>,
    pub(super) result: Option<At>,
}

/// A result that a later run has replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier {
    pub verdict: Verdict,
    pub at: At,
}

/// A place in one of the journals.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub journal: usize,
    pub place: Place,
}

/// Everything that is known about a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    /// What was planned.
    pub planned: PlannedCase,
    /// Its result; the attempts include those of earlier runs.
    pub result: CaseResult,
}

/// How far a case got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has a result of its own.
    Finished,
    /// It was running when the run ended.
    Died,
    /// It was never started.
    NotRun,
}

/// The position of a backend among all backends, for an order that does not depend on the scenarios that ran.
pub fn backend_rank(name: &str) -> usize {
    let all = crate::model::BackendName::ALL;
    // `any` comes behind them.
    all.iter().position(|known| known.as_str() == name).unwrap_or(all.len())
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// All cases.
    pub cases: usize,
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases without a verdict on the kernel.
    pub errors: usize,
    /// Cases that passed only after an attempt that did not.
    pub flaky: usize,
    /// Cases that failed as their `known_issue` says.
    pub known_issues: usize,
    /// Cases that do not apply here, or were not run.
    pub skipped: usize,
    /// Checks that could not be made here.
    pub unchecked: usize,
    /// Checks that the scenarios leave out.
    pub by_choice: usize,
}

impl Counts {
    /// How many cases have this verdict.
    pub fn of(mut self, verdict: Verdict) -> usize {
        *self.slot(verdict)
    }

    /// Counts one more case.
    pub fn add(&mut self, verdict: Verdict) {
        self.cases += 1;
        *self.slot(verdict) += 1;
    }

    fn slot(&mut self, verdict: Verdict) -> &mut usize {
        match verdict {
            Verdict::Failed => &mut self.failed,
            Verdict::Error => &mut self.errors,
            Verdict::Flaky => &mut self.flaky,
            Verdict::KnownIssue => &mut self.known_issues,
            Verdict::Skipped => &mut self.skipped,
            Verdict::Passed => &mut self.passed,
        }
    }
}

impl Run {
    /// Whether Ctrl-C or SIGTERM stopped it, and no later run has run the rest.
    pub fn interrupted(&self) -> bool {
        let stopped = |part: &Part| part.finished.as_ref().is_some_and(|finished| finished.interrupted);
        self.parts().any(|part| stopped(part) && !part.made_up_for)
    }

    /// Whether its journals say that it ended, and every case was run.
    pub fn complete(&self) -> bool {
        !self.environments.is_empty()
            && self.parts().all(|part| part.finished.is_some() || part.made_up_for)
            && self.cases.iter().all(|case| case.state != State::NotRun)
    }

    /// How many cases ended how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for case in &self.cases {
            counts.add(case.verdict);
            let of = |kind| case.notes.iter().filter(|note| note.kind == kind).count();
            counts.unchecked += of(NoteKind::NotMade);
            counts.by_choice += of(NoteKind::ByChoice);
        }
        counts
    }

    /// The wall time, summed over several runs. For a run without an end, the time of its cases.
    pub fn wall_time(&self) -> Duration {
        let time = |part: &Part| match &part.finished {
            Some(finished) => Duration::from_millis(finished.millis),
            None => Duration::from_micros(part.micros),
        };
        self.parts().map(time).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The runs of all environments.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.environments.iter().flat_map(|environment| &environment.parts)
    }

    /// The cases of each suite that has some, in the order of the plan.
    pub fn by_suite(&self) -> Vec<Vec<&Case>> {
        let mut suites: Vec<Vec<&Case>> = Vec::new();
        let mut place = HashMap::new();
        for case in &self.cases {
            let at = *place.entry(case.suite).or_insert_with(|| {
                suites.push(Vec::new());
                suites.len() - 1
            });
            suites[at].push(case);
        }
        suites
    }

    /// The suite of a case.
    pub fn suite(&self, case: &Case) -> &Suite {
        &self.suites[case.suite]
    }

    /// The environment of a case.
    pub fn environment(&self, case: &Case) -> &Environment {
        &self.environments[self.suite(case).environment]
    }

    /// The id of a case, such as `kernel.dma_mapping.iommufd__edu.map_unmap[page=2MiB]`. If there are several environments, the label
    /// of the case's own stands in front.
    pub fn id(&self, case: &Case) -> String {
        let Suite { environment, pack, scenario, backend, device } = self.suite(case);
        let id = format!("{pack}.{scenario}.{backend}__{device}.{}", case.name);
        match self.environments[*environment].label.as_str() {
            "" => id,
            label => format!("{label}: {id}"),
        }
    }

    /// The command that runs only this case again, if the journal says how the run was started.
    pub fn again(&self, case: &Case, planned: &PlannedCase) -> Option<String> {
        let again = &self.environment(case).parts[case.part].started.again;
        let (file, id) = (word(&planned.file), word(&planned.id().to_string()));
        (!again.is_empty()).then(|| line(&format!("{again} {file} --case {id}")))
    }

    /// The kernel that a case ran on, or should have: `uname -r`.
    pub fn kernel(&self, case: &Case) -> &str {
        &self.environment(case).parts[case.part].started.kernel
    }

    /// The cases to look at: those that failed, then those without a verdict, then the flaky ones.
    pub fn troubled(&self) -> impl Iterator<Item = &Case> {
        let of = |verdict| self.cases.iter().filter(move |case| case.verdict == verdict);
        of(Verdict::Failed).chain(of(Verdict::Error)).chain(of(Verdict::Flaky))
    }

    /// Reads everything that the journals say about a case.
    ///
    /// # Errors
    /// If a journal was changed since [`Run::read`].
    pub fn full(&self, case: &Case) -> io::Result<Full> {
        let planned = self.planned(case)?;
        let mut result = match case.result {
            Some(at) => self.result(at)?,
            None => CaseResult {
                message: Some(without_result(case.state, self.environment(case).parts[case.part].finished.as_ref())),
                ..CaseResult::new(case.number, case.verdict, Duration::ZERO)
            },
        };
        if !case.earlier.is_empty() {
            let mut attempts = Vec::new();
            for earlier in &case.earlier {
                attempts.extend(attempts_of(self.result(earlier.at)?));
            }
            let own = attempts_of(result.clone());
            if result.verdict == Verdict::Passed && case.verdict == Verdict::Flaky {
                let before = attempts.iter().rev().find_map(|attempt| attempt.message.as_deref());
                let before = before.unwrap_or("it had failed");
                result.message = Some(format!("passed when it was run again, before: {before}"));
            }
            attempts.extend(own);
            result.attempts = attempts;
            result.verdict = case.verdict;
        }
        Ok(Full { planned, result })
    }

    /// What the journals say that was planned of a case.
    ///
    /// # Errors
    /// If a journal was changed since [`Run::read`].
    pub fn planned(&self, case: &Case) -> io::Result<PlannedCase> {
        match case.planned.map(|at| self.event(at)).transpose()? {
            Some(Event::CasePlanned(planned)) => Ok(planned),
            None => Ok(PlannedCase { case: case.number, name: case.name.to_string(), ..PlannedCase::default() }),
            Some(_) => Err(changed()),
        }
    }

    fn result(&self, at: At) -> io::Result<CaseResult> {
        match self.event(at)? {
            Event::CaseFinished(result) => Ok(result),
            _ => Err(changed()),
        }
    }

    fn event(&self, at: At) -> io::Result<Event> {
        self.journals[at.journal].event(at.place)
    }
}

fn changed() -> io::Error {
    io::Error::other("failed to read the journal again: it was changed meanwhile")
}

/// The attempts at a result. A result without a list of them is the only attempt.
fn attempts_of(result: CaseResult) -> Vec<Attempt> {
    if result.attempts.is_empty() { vec![result.attempt()] } else { result.attempts }
}

/// Why a case has no result, as its message says it.
pub(super) fn without_result(state: State, finished: Option<&RunFinished>) -> String {
    let interrupted = finished.is_some_and(|finished| finished.interrupted);
    let stopped = finished.and_then(|finished| finished.stopped.as_deref());
    let message = match (state, interrupted, stopped) {
        (State::Died, true, _) => "the run was interrupted while this case ran",
        (State::Died, false, _) => "the runner or the host died while this case ran",
        (_, true, _) => "not run: the run was interrupted",
        (_, false, Some(why)) => return format!("not run: {why}"),
        (_, false, None) => "not run: the run ended early",
    };
    message.to_owned()
}
