// SPDX-License-Identifier: MIT OR Apache-2.0
//! From journals to a [`Run`].
//!
//! One journal is one run. Journals from the same environment (kernel, IOMMU, device ids; or the label that the user chose) add up:
//! shards make a whole, and of two results of a case the later one counts, with the earlier one beside it. A case that failed and
//! passed later is flaky. Runs on other kernels, IOMMUs or devices stand side by side.

use std::collections::{HashMap, HashSet};
use std::{hash::Hash, sync::Arc};

use crate::event::{CaseResult, Event, PlannedCase, RunFinished, RunStarted};
use crate::model::{Fix, Verdict};
use crate::report::journal::{Place, ReadError, Text};
use crate::report::run::{At, Case, Earlier, Environment, Part, Run, State, Suite, without_result};
use crate::{report::environment, report::note::Note};

/// A journal to read.
#[derive(Debug)]
pub struct Journal {
    /// The environment that the user says it belongs to, if any.
    pub label: Option<String>,
    /// Its text.
    pub text: Text,
}

impl Run {
    /// Reads journals in any order; they need not have an end. A result of a case that was not planned is kept, under a name that
    /// says so.
    pub fn read(journals: Vec<Journal>) -> Result<Run, ReadError> {
        let begun = journals.into_iter().map(|journal| Ok((journal.text.started()?, journal)));
        let mut journals = begun.collect::<Result<Vec<_>, _>>()?;
        journals.sort_by_key(|(started, _)| started.started_ms);
        let mut merge = Merge::default();
        for (started, Journal { label, text }) in journals {
            merge.add(started, label, text)?;
        }
        Ok(merge.finish())
    }

    /// Reads one journal.
    pub fn of(text: Text) -> Result<Run, ReadError> {
        Self::read(vec![Journal { label: None, text }])
    }

    /// The run of these events.
    ///
    /// # Panics
    /// If the first event is not the start of a run.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Run {
        Self::of(Text::events(events.into_iter().collect())).expect("the events of a run")
    }
}

#[derive(Default)]
struct Merge {
    run: Run,
    /// The label that the user chose for each environment.
    labels: Vec<Option<String>>,
    suites: HashMap<Suite, usize>,
    /// By suite, name, and how often the same journal planned them before. Our own plans never do that.
    cases: HashMap<(usize, Arc<str>, u32), usize>,
    texts: Interned<str>,
    notes: Interned<[Note]>,
    fixes: Interned<[Fix]>,
}

struct Reading {
    environment: usize,
    /// The index of this run among those of its environment.
    index: usize,
    journal: usize,
    part: Part,
    /// By the number of the case.
    progress: HashMap<u32, Progress>,
    /// The time of the parts before the run was resumed.
    millis_before: u64,
}

#[derive(Default)]
struct Progress {
    /// Its index in [`Run::cases`].
    case: Option<usize>,
    begun: bool,
    finished: bool,
}

impl Merge {
    fn add(&mut self, started: RunStarted, label: Option<String>, text: Text) -> Result<(), ReadError> {
        let environment = self.environment(&started, label);
        let mut reading = Reading {
            environment,
            index: self.run.environments[environment].parts.len(),
            journal: self.run.journals.len(),
            part: Part { started, finished: None, micros: 0, made_up_for: false },
            progress: HashMap::new(),
            millis_before: 0,
        };
        text.scan(|place, event| self.event(&mut reading, place, event))?;
        self.settle(reading);
        self.run.journals.push(text);
        Ok(())
    }

    fn event(&mut self, reading: &mut Reading, place: Place, event: Event) {
        let at = At { journal: reading.journal, place };
        match event {
            Event::CasePlanned(planned) => {
                let case = self.case(reading, &planned);
                self.run.cases[case].planned = Some(at);
                self.run.cases[case].fixes = self.fixes.get(&planned.fixes);
                self.run.cases[case].covers = !planned.covers.is_empty();
                reading.progress.entry(planned.case).or_default().case = Some(case);
            }
            Event::CaseStarted { case } => reading.progress.entry(case).or_default().begun = true,
            Event::CaseFinished(result) => self.result(reading, at, &result),
            Event::RunFinished(finished) => {
                let millis = reading.millis_before.saturating_add(finished.millis);
                reading.part.finished = Some(RunFinished { millis, ..finished });
            }
            // If the part before has no end, the time of its cases is all that is known.
            Event::RunResumed(_) => {
                let Part { finished, micros, .. } = &mut reading.part;
                reading.millis_before = finished.take().map_or(*micros / 1000, |finished| finished.millis);
            }
            // The result of the case sums up its attempts.
            Event::RunStarted(_)
            | Event::CaseAttempted(_)
            | Event::Called { .. }
            | Event::Exploring { .. }
            | Event::Busy { .. }
            | Event::Kept => {}
        }
    }

    fn result(&mut self, reading: &mut Reading, at: At, result: &CaseResult) {
        reading.part.micros = reading.part.micros.saturating_add(result.micros);
        let number = result.case;
        let progress = reading.progress.entry(number).or_default();
        progress.finished = true;
        let case = progress.case.unwrap_or_else(|| {
            let name = format!("case_{number}_that_nobody_planned");
            self.case(reading, &PlannedCase { case: number, name, ..PlannedCase::default() })
        });
        let notes = Note::all(&self.run.suite(&self.run.cases[case]).backend, result);
        let is_shared = matches!(result.verdict, Verdict::Skipped | Verdict::KnownIssue);
        let case = &mut self.run.cases[case];
        // Of two results in one journal only the later one counts: its attempts include what was tried before.
        let earlier = case.result.filter(|at| at.journal != reading.journal);
        case.earlier.extend(earlier.map(|at| Earlier { verdict: case.verdict, at }));
        // A case that is skipped on a later machine was not run again.
        let is_of_before = |at: At| at.journal != reading.journal;
        if result.verdict == Verdict::Skipped
            && case.verdict != Verdict::Skipped
            && case.result.is_some_and(is_of_before)
        {
            return;
        }
        let failed = |earlier: &Earlier| matches!(earlier.verdict, Verdict::Failed | Verdict::Error | Verdict::Flaky);
        case.verdict = match result.verdict {
            Verdict::Passed if case.earlier.iter().any(failed) => Verdict::Flaky,
            verdict => verdict,
        };
        case.result = Some(at);
        case.reason = result.message.as_deref().filter(|_| is_shared).map(|message| self.texts.get(message));
        case.notes = self.notes.get(&notes);
        (case.state, case.micros, case.part) = (State::Finished, result.micros, reading.index);
        case.asked = !result.answers.is_empty();
        case.explored = result.explored.is_some();
        case.measured = result.measured.iter().any(|measured| measured.rounds);
    }

    /// The end of a journal: what became of its cases that have no result.
    fn settle(&mut self, Reading { environment, index, part, progress, .. }: Reading) {
        for progress in progress.into_values().filter(|progress| progress.begun && !progress.finished) {
            let Some(case) = progress.case else { continue };
            let case = &mut self.run.cases[case];
            case.earlier.extend(case.result.take().map(|at| Earlier { verdict: case.verdict, at }));
            (case.verdict, case.state, case.micros) = (Verdict::Error, State::Died, 0);
            (case.notes, case.reason, case.part) = (self.notes.get(&[]), None, index);
        }
        // A case that was not run has its reason from the last run that should have run it.
        let suites = &self.run.suites;
        let is_here = |case: &Case| case.part == index && suites[case.suite].environment == environment;
        for case in self.run.cases.iter_mut().filter(|case| case.state == State::NotRun && is_here(case)) {
            case.reason = Some(self.texts.get(&without_result(State::NotRun, part.finished.as_ref())));
        }
        self.run.environments[environment].parts.push(part);
    }

    /// The index of a case, which is added if it is new.
    fn case(&mut self, reading: &Reading, planned: &PlannedCase) -> usize {
        let run = &mut self.run;
        let mut text = |text: &str| self.texts.get(text);
        let suite = Suite {
            environment: reading.environment,
            pack: text(&planned.pack),
            scenario: text(&planned.scenario),
            backend: text(&planned.backend),
            device: text(&planned.device),
        };
        let name = text(&planned.name);
        let suite = *self.suites.entry(suite).or_insert_with_key(|suite| {
            run.suites.push(suite.clone());
            run.suites.len() - 1
        });
        let is_of_this_journal =
            |case: &usize| run.cases[*case].planned.is_some_and(|at| at.journal == reading.journal);
        let mut nth = 0;
        while self.cases.get(&(suite, name.clone(), nth)).is_some_and(is_of_this_journal) {
            nth += 1;
        }
        let case = *self.cases.entry((suite, name.clone(), nth)).or_insert_with(|| {
            run.cases.push(Case {
                suite,
                name,
                verdict: Verdict::Skipped,
                state: State::NotRun,
                micros: 0,
                asked: false,
                explored: false,
                measured: false,
                reason: None,
                notes: self.notes.get(&[]),
                fixes: self.fixes.get(&[]),
                covers: false,
                earlier: Vec::new(),
                part: reading.index,
                number: planned.case,
                planned: None,
                result: None,
            });
            run.cases.len() - 1
        });
        if run.cases[case].state == State::NotRun {
            run.cases[case].part = reading.index;
        }
        case
    }

    /// The index of the environment that a run belongs to, which is added if it is new.
    fn environment(&mut self, started: &RunStarted, label: Option<String>) -> usize {
        let same = |(environment, known): (&Environment, &Option<String>)| {
            *known == label
                && (label.is_some()
                    || environment.parts.iter().all(|part| environment::is_same(&part.started, started)))
        };
        if let Some(at) = self.run.environments.iter().zip(&self.labels).position(same) {
            return at;
        }
        self.run.environments.push(Environment { label: String::new(), named: false, parts: Vec::new() });
        self.labels.push(label);
        self.labels.len() - 1
    }

    fn finish(self) -> Run {
        let mut run = self.run;
        environment::label(&mut run.environments, self.labels);
        // Shards keep the numbers of the whole plan: sorted by them, the plan is whole again.
        if run.journals.len() > 1 {
            run.cases.sort_by_key(|case| (run.suites[case.suite].environment, case.number));
        }
        let unfinished = run.cases.iter().filter(|case| case.state != State::Finished);
        let unfinished: HashSet<usize> = unfinished.map(|case| run.suites[case.suite].environment).collect();
        for (at, environment) in run.environments.iter_mut().enumerate() {
            let mut good = false;
            for part in environment.parts.iter_mut().rev() {
                let ended_well = part.finished.as_ref().is_some_and(|finished| !finished.interrupted);
                part.made_up_for = !ended_well && good && !unfinished.contains(&at);
                good |= ended_well;
            }
        }
        run
    }
}

/// Keeps equal values only once.
struct Interned<T: ?Sized>(HashSet<Arc<T>>);

impl<T: ?Sized> Default for Interned<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: ?Sized + Eq + Hash> Interned<T> {
    fn get<'a>(&mut self, value: &'a T) -> Arc<T>
    where
        Arc<T>: From<&'a T>,
    {
        if let Some(known) = self.0.get(value) {
            return known.clone();
        }
        let new: Arc<T> = value.into();
        self.0.insert(new.clone());
        new
    }
}
