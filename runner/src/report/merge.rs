//! From journals to a [`Run`].
//!
//! One journal is one run. Journals from the same environment (kernel, IOMMU, device ids; or the label that the user chose) add up:
//! shards make a whole, and of two results of a case the later one counts, with the earlier one beside it. A case that failed and
//! passed later is flaky. Runs on other kernels, IOMMUs or devices stand side by side.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use crate::event::{CaseResult, Event, PlannedCase, RunFinished, RunStarted};
use crate::model::Verdict;
use crate::report::environment;
use crate::report::journal::{Place, ReadError, Text};
use crate::report::note::Note;
use crate::report::run::{At, Case, Earlier, Environment, Part, Run, State, Suite, without_result};

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
    ///
    /// # Errors
    /// See [`ReadError`].
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
    ///
    /// # Errors
    /// See [`ReadError`].
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
}

/// A journal while it is read.
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

/// What a journal says about a case.
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
            Event::RunStarted(_) | Event::CaseAttempted(_) | Event::Called { .. } => {}
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
        let failed = |earlier: &Earlier| matches!(earlier.verdict, Verdict::Failed | Verdict::Error | Verdict::Flaky);
        case.verdict = match result.verdict {
            Verdict::Passed if case.earlier.iter().any(failed) => Verdict::Flaky,
            verdict => verdict,
        };
        case.result = Some(at);
        case.reason = result.message.as_deref().filter(|_| is_shared).map(|message| self.texts.get(message));
        case.notes = self.notes.get(&notes);
        (case.state, case.micros, case.part) = (State::Finished, result.micros, reading.index);
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
                reason: None,
                notes: self.notes.get(&[]),
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
        self.run.environments.push(Environment { label: String::new(), parts: Vec::new() });
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{CaseResult, PlannedCase, RunFinished};
    use crate::model::Exit;
    use crate::report::fixture::{finished, mixed, passed, planned, with_reason};
    use crate::report::run::Counts;

    /// A case's verdict, how far it came, and its reason.
    fn reasons(run: &Run) -> Vec<(Verdict, State, String)> {
        let message = |case| run.full(case).expect("readable").result.message.unwrap_or_default();
        run.cases.iter().map(|case| (case.verdict, case.state, message(case))).collect()
    }

    /// The journal of a run that began then, on that kernel, with cases of these numbers and these events after their plan.
    fn journal(started_ms: u64, kernel: &str, cases: &[u32], events: impl IntoIterator<Item = Event>) -> Journal {
        let started = RunStarted { started_ms, kernel: kernel.into(), format: 1, ..RunStarted::default() };
        let case = |n: &u32| Event::CasePlanned(planned(*n, "s", "iommufd", &format!("c{n}")));
        let all = [Event::RunStarted(started)].into_iter().chain(cases.iter().map(case)).chain(events);
        Journal { label: None, text: Text::events(all.collect()) }
    }

    fn result(result: CaseResult) -> Event {
        Event::CaseFinished(result)
    }

    fn failed(case: u32) -> Event {
        result(with_reason(case, Verdict::Failed, "map gave EINVAL"))
    }

    fn read(journals: impl IntoIterator<Item = Journal>) -> Run {
        Run::read(journals.into_iter().collect()).expect("readable")
    }

    fn ids(run: &Run) -> Vec<String> {
        run.cases.iter().map(|case| run.id(case).replace("kernel.s.iommufd__edu.", "")).collect()
    }

    fn killed(end: Option<Event>) -> Journal {
        let events = [Event::CaseStarted { case: 0 }, result(passed(0)), Event::CaseStarted { case: 1 }];
        journal(0, "7.3", &[0, 1, 2], events.into_iter().chain(end))
    }

    #[test]
    fn a_run_that_was_killed_still_has_a_result_for_every_case() {
        let run = read([killed(None)]);
        assert_eq!(
            reasons(&run),
            [
                (Verdict::Passed, State::Finished, "".into()),
                (Verdict::Error, State::Died, "the runner or the host died while this case ran".into()),
                (Verdict::Skipped, State::NotRun, "not run: the run ended early".into()),
            ]
        );
        assert_eq!(run.wall_time(), Duration::from_millis(182));
    }

    #[test]
    fn an_interrupted_run_says_so() {
        let run = read([killed(Some(finished(true)))]);
        assert_eq!(
            reasons(&run)[1..],
            [
                (Verdict::Error, State::Died, "the run was interrupted while this case ran".into()),
                (Verdict::Skipped, State::NotRun, "not run: the run was interrupted".into()),
            ]
        );
    }

    #[test]
    fn checks_left_out_by_choice_are_counted_apart() {
        let (flaky, known_issues) = (0, 0);
        let counts = Counts {
            cases: 45,
            passed: 38,
            failed: 1,
            errors: 1,
            flaky,
            known_issues,
            skipped: 5,
            unchecked: 6,
            by_choice: 4,
        };
        assert_eq!(Run::from_events(mixed()).counts(), counts);
    }

    #[test]
    fn a_result_that_nobody_planned_is_not_lost() {
        let run = read([journal(0, "7.3", &[], [result(passed(7))])]);
        assert_eq!(&*run.cases[0].name, "case_7_that_nobody_planned");
        assert_eq!(run.full(&run.cases[0]).expect("readable").result, passed(7));
    }

    #[test]
    fn a_journal_without_a_run_is_an_error() {
        let error = Run::of(Text::events(vec![])).expect_err("nothing in it").to_string();
        assert!(error.ends_with(": there is no run in it"), "{error}");
    }

    #[test]
    fn shards_add_up_in_the_order_of_the_plan_whichever_comes_first() {
        let shard = |first: u32| {
            let cases = [first, first + 2, first + 4];
            journal(
                u64::from(first),
                "7.3",
                &cases,
                cases.map(|n| result(passed(n))).into_iter().chain([finished(false)]),
            )
        };
        for run in [read([shard(0), shard(1)]), read([shard(1), shard(0)])] {
            assert_eq!(ids(&run), ["c0", "c1", "c2", "c3", "c4", "c5"]);
            assert_eq!(run.exit(), Exit::Ok);
            assert_eq!(run.wall_time(), Duration::from_millis(2 * 8_210));
        }
    }

    #[test]
    fn a_shard_that_ended_early_shows_in_the_whole() {
        let whole = journal(0, "7.3", &[3], [result(passed(3)), finished(false)]);
        assert_eq!(read([killed(None), whole]).exit(), Exit::NoVerdict);
    }

    #[test]
    fn the_later_result_counts_and_a_pass_after_a_failure_is_flaky() {
        let first = || journal(1, "7.3", &[0, 1, 2], [failed(0), result(passed(1)), failed(2), finished(false)]);
        let again = || journal(2, "7.3", &[0, 1, 2], [result(passed(0)), failed(1), failed(2), finished(false)]);
        for run in [read([first(), again()]), read([again(), first()])] {
            use Verdict::{Failed, Flaky};
            assert_eq!(run.cases.iter().map(|case| case.verdict).collect::<Vec<_>>(), [Flaky, Failed, Failed]);
            let result = run.full(&run.cases[0]).expect("readable").result;
            assert_eq!(result.message.as_deref(), Some("passed when it was run again, before: map gave EINVAL"));
            assert_eq!(result.attempts, [with_reason(0, Failed, "map gave EINVAL").attempt(), passed(0).attempt()]);
        }
    }

    #[test]
    fn a_run_that_was_resumed_is_one_run() {
        let resumed = || Event::RunResumed(RunStarted::default());
        let begun = |case| Event::CaseStarted { case };
        let first = [begun(0), result(passed(0)), begun(1), resumed(), begun(1), result(passed(1))];
        let run = read([journal(0, "7.3", &[0, 1, 2], first.clone())]);
        assert_eq!(reasons(&run)[2], (Verdict::Skipped, State::NotRun, "not run: the run ended early".into()));
        let rest = [begun(2), result(passed(2)), finished(false)];
        let run = read([journal(0, "7.3", &[0, 1, 2], first.into_iter().chain(rest))]);
        assert!(run.cases.iter().all(|case| case.verdict == Verdict::Passed));
        assert_eq!(run.wall_time(), Duration::from_millis(182 + 8_210), "of both parts");
    }

    #[test]
    fn an_attempt_that_is_followed_by_none_is_no_result() {
        let events = [Event::CaseStarted { case: 0 }, Event::CaseAttempted(passed(0))];
        assert_eq!(reasons(&read([journal(0, "7.3", &[0], events)]))[0].1, State::Died);
    }

    #[test]
    fn a_run_that_stopped_by_itself_says_why() {
        let why = Some("a case failed (--fail-fast)".to_owned());
        let end = Event::RunFinished(RunFinished { stopped: why, ..RunFinished::default() });
        assert_eq!(reasons(&read([killed(Some(end))]))[2].2, "not run: a case failed (--fail-fast)");
    }

    #[test]
    fn a_later_run_makes_up_for_one_that_ended_early() {
        let rest = |end| journal(9, "7.3", &[0, 1, 2], [result(passed(1)), result(passed(2)), finished(end)]);
        for end in [None, Some(finished(true))] {
            let run = read([killed(end), rest(false)]);
            assert_eq!(run.exit(), Exit::Ok, "{:?}", reasons(&run));
            assert!(run.complete() && !run.interrupted());
        }
        assert_eq!(read([killed(None), rest(true)]).exit(), Exit::Interrupted);
        let part = journal(9, "7.3", &[0, 1, 2], [result(passed(2)), finished(false)]);
        assert_eq!(read([killed(None), part]).exit(), Exit::NoVerdict, "the case that died has no result yet");
    }

    #[test]
    fn a_run_that_was_not_made_takes_no_result_away() {
        let first = journal(1, "7.3", &[0], [result(passed(0)), finished(false)]);
        let run = read([first, journal(2, "7.3", &[0], [finished(true)])]);
        assert_eq!(reasons(&run), [(Verdict::Passed, State::Finished, "".into())]);
    }

    #[test]
    fn other_kernels_iommus_and_devices_stand_side_by_side() {
        let on = |started: RunStarted, label: Option<&str>| {
            let events = [
                Event::RunStarted(RunStarted { format: 1, ..started }),
                Event::CasePlanned(planned(0, "s", "iommufd", "c0")),
                result(passed(0)),
                Event::RunFinished(RunFinished::default()),
            ];
            Journal { label: label.map(str::to_owned), text: Text::events(events.into()) }
        };
        let kernel =
            |kernel: &str| RunStarted { kernel: kernel.into(), iommu: "intel".into(), ..RunStarted::default() };
        let iommu = |iommu: &str| RunStarted { lab_iommu: Some(iommu.into()), ..kernel("7.3") };
        let labels = |journals: Vec<Journal>| {
            let run = read(journals);
            assert_eq!(run.cases.len(), run.environments.len());
            run.environments.into_iter().map(|environment| environment.label).collect::<Vec<_>>()
        };
        assert_eq!(labels(vec![on(kernel("6.12"), None)]), [""]);
        assert_eq!(labels(vec![on(kernel("6.12"), None), on(kernel("7.3"), None)]), ["Linux 6.12", "Linux 7.3"]);
        assert_eq!(labels(vec![on(iommu("intel"), None), on(iommu("virtio"), None)]), ["intel", "virtio"]);
        assert_eq!(labels(vec![on(kernel("6.12"), Some("old")), on(kernel("7.3"), Some("new"))]), ["old", "new"]);
        let run = read([on(kernel("6.12"), Some("all")), on(kernel("7.3"), Some("all"))]);
        assert_eq!(ids(&run), ["all: c0"], "one label is one environment, whatever is in it");
    }

    #[test]
    fn a_case_keeps_its_number_when_it_is_planned_again_alone() {
        let whole = journal(1, "7.3", &[0, 1], [result(passed(0)), failed(1), finished(false)]);
        let again = |n| {
            let case = PlannedCase { case: 0, ..planned(n, "s", "iommufd", "c1") };
            journal(2, "7.3", &[], [Event::CasePlanned(case), result(passed(0)), finished(false)])
        };
        assert_eq!(ids(&read([whole, again(1)])), ["c0", "c1"]);
    }
}
