//! What all reports are made of: every planned case of one or more journals with what became of it.
//!
//! An index, and no more: a case's texts (its detail, its calls, what the kernel logged) stay in the journal until a report reads
//! them, one case at a time. So memory grows with how many cases there are, and never with how much they have to tell.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    event::{Attempt, CaseResult, Event, PlannedCase, RunFinished, RunStarted},
    model::{Observed, Verdict},
    report::{
        journal::{Place, Text},
        sanitize::{line, word},
    },
};

/// One run, or several that were merged; made by [`Run::read`](crate::report::merge).
#[derive(Debug, Default)]
pub struct Run {
    /// What the cases ran on; several stand side by side.
    pub environments: Vec<Environment>,
    /// The scenarios of each backend and device, in the order of the plan.
    pub suites: Vec<Suite>,
    /// Every planned case, in the order of the plan.
    pub cases: Vec<Case>,
    pub(super) journals: Vec<Text>,
}

/// A kernel, an IOMMU and devices: what results are about.
#[derive(Debug)]
pub struct Environment {
    /// What tells it from the others, such as `virtio` or `Linux 6.12.107`; empty where there is only one.
    pub label: String,
    /// The runs there, the earliest first: shards, and runs of the same cases again.
    pub parts: Vec<Part>,
}

/// The run of one journal.
#[derive(Debug)]
pub struct Part {
    /// Where and with what.
    pub started: RunStarted,
    /// How it ended; `None` when the journal ends before the run did.
    pub finished: Option<RunFinished>,
    /// The time of its cases in microseconds.
    pub micros: u64,
    /// It ended early, and a later run has made up for that.
    pub made_up_for: bool,
}

/// The cases of one scenario on one backend and one device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suite {
    /// Which of [`Run::environments`].
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

/// A planned case and what became of it.
#[derive(Debug)]
pub struct Case {
    /// Which of [`Run::suites`].
    pub suite: usize,
    /// [`PlannedCase::name`]
    pub name: Arc<str>,
    /// How it ended; where there is no result, what follows from [`Case::state`]. A pass that had been a failure in an earlier run
    /// is flaky.
    pub verdict: Verdict,
    /// How far it came.
    pub state: State,
    /// [`CaseResult::micros`]
    pub micros: u64,
    /// The message of a skip or a known issue, which many cases share.
    pub reason: Option<Arc<str>>,
    /// What its verdict says nothing about.
    pub notes: Arc<[Note]>,
    /// Its results in earlier runs, the first one first.
    pub(super) earlier: Vec<Earlier>,
    /// Its run in [`Environment::parts`].
    pub part: usize,
    pub(super) number: u32,
    pub(super) planned: Option<At>,
    pub(super) result: Option<At>,
}

/// A result that one of a later run took the place of.
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

/// All that is known of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    /// What was planned.
    pub planned: PlannedCase,
    /// What it gave; earlier runs of it are among the attempts.
    pub result: CaseResult,
}

/// How far a case came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has a result of its own.
    Finished,
    /// It was running when the run ended.
    Died,
    /// It was never started.
    NotRun,
}

/// Something that a verdict says nothing about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// What kind of thing.
    pub kind: NoteKind,
    /// The check, the observer, or the backend that was asked for.
    pub what: String,
    /// Why, or the backend that it really is.
    pub reason: String,
}

/// What a [`Note`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// A check that could not be made.
    NotMade,
    /// An observer that could not look.
    NotObserved,
    /// A check that the scenario does not want made.
    ByChoice,
    /// A backend that is another than it is called.
    Disguised,
}

impl Note {
    /// The notes on a case.
    pub fn all(planned: &PlannedCase, result: &CaseResult) -> Vec<Note> {
        let unchecked = result.unchecked.iter().map(|unchecked| Note {
            kind: if unchecked.by_choice { NoteKind::ByChoice } else { NoteKind::NotMade },
            what: unchecked.what.clone(),
            reason: unchecked.reason.clone(),
        });
        let observers = result.observers.iter().filter(|seen| seen.state == Observed::Unchecked).map(|seen| Note {
            kind: NoteKind::NotObserved,
            what: seen.observer.clone(),
            reason: seen.detail.clone().unwrap_or_default(),
        });
        let disguise = result.true_backend.iter().map(|truth| Note {
            kind: NoteKind::Disguised,
            what: planned.backend.clone(),
            reason: truth.clone(),
        });
        unchecked.chain(observers).chain(disguise).collect()
    }

    /// In one line, as it stands beside a case.
    pub fn line(&self) -> String {
        let Self { what, reason, .. } = self;
        match self.kind {
            NoteKind::NotMade => format!("{what} not checked: {reason}"),
            NoteKind::NotObserved => format!("{what} not observed: {reason}"),
            NoteKind::ByChoice => format!("{what} not checked by choice: {reason}"),
            NoteKind::Disguised => format!("{what} is {reason} on this kernel"),
        }
    }

    /// In one line for as many cases.
    pub fn counted(&self, count: usize) -> String {
        let Self { what, reason, .. } = self;
        let plural = |one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
        match self.kind {
            NoteKind::NotMade => format!("{} not made: {reason}", plural(&format!("{what} check"))),
            NoteKind::NotObserved => format!("{what} not observed in {}: {reason}", plural("case")),
            NoteKind::ByChoice => format!("{} left out by choice: {reason}", plural(&format!("{what} check"))),
            NoteKind::Disguised => format!(
                "{what} is {reason} here: IOMMUFD plays /dev/vfio/vfio (CONFIG_IOMMUFD_VFIO_CONTAINER), and {} \
                 expected what {reason} does",
                plural("case")
            ),
        }
    }
}

/// The place of a backend's column among others, which does not depend on the scenarios that ran.
pub fn backend_rank(name: &str) -> usize {
    let all = crate::model::BackendName::ALL;
    all.iter().position(|known| known.as_str() == name).unwrap_or(all.len())
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Counts {
    /// All cases.
    pub cases: usize,
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases without a verdict on the kernel.
    pub errors: usize,
    /// Cases that passed after they had not: no plain passes.
    pub flaky: usize,
    /// Cases that failed as their `known_issue` says.
    pub known_issues: usize,
    /// Cases that cannot apply here, or that were not run.
    pub skipped: usize,
    /// Checks that could not be made here.
    pub unchecked: usize,
    /// Checks that the scenarios themselves do not want made.
    pub by_choice: usize,
}

impl Counts {
    /// How many cases came out so.
    pub fn of(&self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::Failed => self.failed,
            Verdict::Error => self.errors,
            Verdict::Flaky => self.flaky,
            Verdict::KnownIssue => self.known_issues,
            Verdict::Skipped => self.skipped,
            Verdict::Passed => self.passed,
        }
    }

    /// Counts one more case.
    pub fn add(&mut self, verdict: Verdict) {
        self.cases += 1;
        *match verdict {
            Verdict::Failed => &mut self.failed,
            Verdict::Error => &mut self.errors,
            Verdict::Flaky => &mut self.flaky,
            Verdict::KnownIssue => &mut self.known_issues,
            Verdict::Skipped => &mut self.skipped,
            Verdict::Passed => &mut self.passed,
        } += 1;
    }
}

impl Run {
    /// Whether Ctrl-C or SIGTERM stopped it, and no later run made up for that.
    pub fn interrupted(&self) -> bool {
        let stopped = |part: &Part| part.finished.as_ref().is_some_and(|finished| finished.interrupted);
        self.parts().any(|part| stopped(part) && !part.made_up_for)
    }

    /// Whether it told its end and every case was run.
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

    /// The wall time; of a run that did not end, the time of its cases; of several runs, all of them.
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

    /// The suite of a case.
    pub fn suite(&self, case: &Case) -> &Suite {
        &self.suites[case.suite]
    }

    /// The environment of a case.
    pub fn environment(&self, case: &Case) -> &Environment {
        &self.environments[self.suite(case).environment]
    }

    /// What identifies a case, such as `kernel.dma_mapping.iommufd__edu.map_unmap[page=2MiB]`; where environments stand side by side,
    /// with the label of its own in front.
    pub fn id(&self, case: &Case) -> String {
        let Suite { environment, pack, scenario, backend, device } = self.suite(case);
        let id = format!("{pack}.{scenario}.{backend}__{device}.{}", case.name);
        match self.environments[*environment].label.as_str() {
            "" => id,
            label => format!("{label}: {id}"),
        }
    }

    /// The command that runs this case alone once more, where the journal says how the run was begun.
    pub fn again(&self, case: &Case, planned: &PlannedCase) -> Option<String> {
        let again = &self.environment(case).parts[case.part].started.again;
        (!again.is_empty()).then(|| line(&format!("{again} --case {}", word(&planned.id().to_string()))))
    }

    /// What somebody has to look at: all that failed, then all without a verdict, then the flaky ones.
    pub fn troubled(&self) -> impl Iterator<Item = &Case> {
        let of = |verdict| self.cases.iter().filter(move |case| case.verdict == verdict);
        of(Verdict::Failed).chain(of(Verdict::Error)).chain(of(Verdict::Flaky))
    }

    /// Reads all that the journals have of a case.
    ///
    /// # Errors
    /// When a journal was changed meanwhile.
    pub fn full(&self, case: &Case) -> io::Result<Full> {
        let planned = match case.planned.map(|at| self.event(at)).transpose()? {
            Some(Event::CasePlanned(planned)) => planned,
            None => PlannedCase { case: case.number, name: case.name.to_string(), ..PlannedCase::default() },
            Some(_) => return Err(changed()),
        };
        let mut result = match case.result {
            Some(at) => self.result(at)?,
            None => CaseResult {
                message: Some(self.without_result(case)),
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

    /// Why a case has no result of its own.
    fn without_result(&self, case: &Case) -> String {
        without_result(case.state, self.environment(case).parts[case.part].finished.as_ref())
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

/// A result's attempts, of which one is none to speak of.
fn attempts_of(mut result: CaseResult) -> Vec<Attempt> {
    match result.attempts.is_empty() {
        true => vec![result.attempt()],
        false => std::mem::take(&mut result.attempts),
    }
}

/// The reason of a case without a result.
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
