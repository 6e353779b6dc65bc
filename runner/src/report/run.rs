//! What a run came to: every planned case with a result, whatever happened to the runner meanwhile.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::event::{CaseResult, Event, PlannedCase, RunFinished, RunStarted, Verdict};

/// A run, folded from its events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Where and with what.
    pub started: RunStarted,
    /// Every planned case in the order of the plan.
    pub cases: Vec<Case>,
    /// How it ended; `None` when the stream ends before the run did. The time of all its parts, if it was resumed.
    pub finished: Option<RunFinished>,
}

/// A planned case and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What was planned.
    pub planned: PlannedCase,
    /// What it gave; where the stream has no result, the one that follows from [`Case::state`].
    pub result: CaseResult,
    /// How far it came.
    pub state: State,
}

/// How far a case came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has a result of its own.
    Finished,
    /// It was running when the stream ended.
    Died,
    /// It was never started.
    NotRun,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that passed, but not at the first attempt.
    pub flaky: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases without a verdict.
    pub errors: usize,
    /// Cases that cannot apply here, or that were not run.
    pub skipped: usize,
    /// Cases that failed as their `known_issue` says.
    pub known: usize,
    /// Checks that could not be made here.
    pub unchecked: usize,
    /// Checks that the scenario itself does not want made.
    pub by_choice: usize,
}

impl Counts {
    /// All cases.
    pub fn cases(&self) -> usize {
        self.passed + self.flaky + self.failed + self.errors + self.skipped + self.known
    }

    /// Counts one more case.
    pub fn add(&mut self, result: &CaseResult) {
        *match result.verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Flaky => &mut self.flaky,
            Verdict::Failed => &mut self.failed,
            Verdict::Error => &mut self.errors,
            Verdict::Skipped => &mut self.skipped,
            Verdict::KnownIssue => &mut self.known,
        } += 1;
        let by_choice = result.unchecked.iter().filter(|u| u.by_choice).count();
        self.by_choice += by_choice;
        self.unchecked += result.unchecked.len() - by_choice;
    }
}

impl Run {
    /// Folds the events of one run, which may end anywhere.
    ///
    /// A result whose case nobody planned is kept under a name that says so; of two results for a case the later counts.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Self {
        let mut run = Self::default();
        let mut planned = Vec::new();
        let mut begun = HashSet::new();
        let mut results: HashMap<u32, CaseResult> = HashMap::new();
        let mut millis_before = 0;
        for event in events {
            match event {
                Event::RunStarted(started) => run.started = started,
                Event::CasePlanned(case) => planned.push(case),
                Event::CaseStarted { case } => {
                    begun.insert(case);
                }
                Event::CaseFinished(result) => {
                    results.insert(result.case, result);
                }
                Event::RunFinished(finished) => {
                    let millis = millis_before + finished.millis;
                    run.finished = Some(RunFinished { millis, ..finished });
                }
                Event::RunResumed(_) => {
                    // Of a part that did not tell its end, the time of its cases is all that is known.
                    let known = || results.values().fold(0, |sum, result| result.micros.saturating_add(sum)) / 1000;
                    millis_before = run.finished.take().map_or_else(known, |finished| finished.millis);
                }
                Event::CaseAttempted(_) => {}
            }
        }
        let interrupted = run.interrupted();
        let stopped = run.finished.as_ref().and_then(|finished| finished.stopped.clone());
        run.cases = planned
            .into_iter()
            .map(|planned| {
                let case = planned.case;
                let (state, result) = match results.remove(&case) {
                    Some(result) => (State::Finished, result),
                    None if begun.contains(&case) => (State::Died, died(case, interrupted)),
                    None => (State::NotRun, not_run(case, interrupted, stopped.as_deref())),
                };
                Case { planned, result, state }
            })
            .collect();
        let mut unplanned: Vec<CaseResult> = results.into_values().collect();
        unplanned.sort_by_key(|result| result.case);
        run.cases.extend(unplanned.into_iter().map(|result| Case {
            planned: PlannedCase {
                case: result.case,
                name: format!("case_{}_that_nobody_planned", result.case),
                ..PlannedCase::default()
            },
            result,
            state: State::Finished,
        }));
        run
    }

    /// Whether Ctrl-C or SIGTERM stopped it.
    pub fn interrupted(&self) -> bool {
        self.finished.as_ref().is_some_and(|finished| finished.interrupted)
    }

    /// How many cases ended how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.cases.iter().for_each(|case| counts.add(&case.result));
        counts
    }

    /// The wall time; of a run that did not end, the time of its cases.
    pub fn wall_time(&self) -> Duration {
        match &self.finished {
            Some(finished) => Duration::from_millis(finished.millis),
            None => {
                Duration::from_micros(self.cases.iter().fold(0, |sum, case| case.result.micros.saturating_add(sum)))
            }
        }
    }
}

fn died(case: u32, interrupted: bool) -> CaseResult {
    let message = match interrupted {
        true => "the run was interrupted while this case ran",
        false => "the runner or the host died while this case ran",
    };
    without_result(case, Verdict::Error, message)
}

fn not_run(case: u32, interrupted: bool, stopped: Option<&str>) -> CaseResult {
    let why = match (interrupted, stopped) {
        (true, _) => "the run was interrupted",
        (false, Some(why)) => why,
        (false, None) => "the run ended early",
    };
    without_result(case, Verdict::Skipped, &format!("not run: {why}"))
}

fn without_result(case: u32, verdict: Verdict, message: &str) -> CaseResult {
    CaseResult { message: Some(message.into()), ..CaseResult::new(case, verdict, Duration::ZERO) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{finished, mixed, passed, planned, started};

    fn reasons(run: &Run) -> Vec<(Verdict, State, &str)> {
        run.cases.iter().map(|c| (c.result.verdict, c.state, c.result.message.as_deref().unwrap_or(""))).collect()
    }

    fn killed() -> Vec<Event> {
        let mut events = vec![started()];
        events.extend((0..3).map(|n| Event::CasePlanned(planned(n, "s", "iommufd", &format!("c{n}")))));
        events.extend([Event::CaseStarted { case: 0 }, Event::CaseFinished(passed(0)), Event::CaseStarted { case: 1 }]);
        events
    }

    #[test]
    fn a_run_that_was_killed_still_has_a_result_for_every_case() {
        let run = Run::from_events(killed());
        assert_eq!(
            reasons(&run),
            [
                (Verdict::Passed, State::Finished, ""),
                (Verdict::Error, State::Died, "the runner or the host died while this case ran"),
                (Verdict::Skipped, State::NotRun, "not run: the run ended early"),
            ]
        );
        assert_eq!(run.wall_time(), Duration::from_millis(182));
    }

    #[test]
    fn an_interrupted_run_says_so() {
        let run = Run::from_events(killed().into_iter().chain([finished(true)]));
        assert_eq!(
            reasons(&run)[1..],
            [
                (Verdict::Error, State::Died, "the run was interrupted while this case ran"),
                (Verdict::Skipped, State::NotRun, "not run: the run was interrupted"),
            ]
        );
    }

    #[test]
    fn a_run_that_was_resumed_is_one_run() {
        let Event::RunStarted(again) = started() else { unreachable!() };
        let mut events = killed();
        events.extend([Event::RunResumed(again), Event::CaseStarted { case: 1 }, Event::CaseFinished(passed(1))]);
        let run = Run::from_events(events.clone());
        assert_eq!(reasons(&run)[2], (Verdict::Skipped, State::NotRun, "not run: the run ended early"));
        events.extend([Event::CaseStarted { case: 2 }, Event::CaseFinished(passed(2)), finished(false)]);
        let run = Run::from_events(events);
        assert!(run.cases.iter().all(|case| case.result == passed(case.planned.case)));
        assert_eq!(run.wall_time(), Duration::from_millis(182 + 8_210), "of both parts");
    }

    #[test]
    fn an_attempt_that_is_followed_by_none_is_no_result() {
        let mut events = killed();
        events.push(Event::CaseAttempted(passed(1)));
        assert_eq!(reasons(&Run::from_events(events))[1].1, State::Died);
    }

    #[test]
    fn a_run_that_stopped_by_itself_says_why() {
        let mut events = killed();
        let why = Some("a case failed (--fail-fast)".to_owned());
        events.push(Event::RunFinished(RunFinished { stopped: why, ..RunFinished::default() }));
        assert_eq!(reasons(&Run::from_events(events))[2].2, "not run: a case failed (--fail-fast)");
    }

    #[test]
    fn checks_left_out_by_choice_are_counted_apart() {
        let counts = Run::from_events(mixed()).counts();
        assert_eq!(
            counts,
            Counts { passed: 38, flaky: 0, failed: 1, errors: 1, skipped: 5, known: 0, unchecked: 6, by_choice: 4 }
        );
        assert_eq!(counts.cases(), 45);
    }

    #[test]
    fn a_result_that_nobody_planned_is_not_lost() {
        let run = Run::from_events([started(), Event::CaseFinished(passed(7))]);
        assert_eq!(run.cases[0].planned.name, "case_7_that_nobody_planned");
    }
}
