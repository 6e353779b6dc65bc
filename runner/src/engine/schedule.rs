// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which cases a run runs, in which order, and how often; and what a journal shows to be done already.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    event::{CaseResult, Event, PlannedCase, RunStarted},
    model::Verdict,
};

/// What a run does with the cases of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The numbers of the cases, in the order to run them.
    pub order: Vec<u32>,
    /// How often each case runs, whatever its verdict; 0 and 1 are the same.
    pub repeat: u32,
    /// How often a case that does not pass runs again.
    pub retries: u32,
    /// Whether the run ends at the first case that fails or has no verdict.
    pub fail_fast: bool,
    /// Whether a person looks at that case before anything of it is taken back.
    #[serde(default)]
    pub keep: bool,
    /// Whether each call is reported at once.
    #[serde(default)]
    pub trace: bool,
    /// Whether cases run to their end and list what the kernel answers, whatever they expect.
    #[serde(default)]
    pub ask: bool,
    /// Whether the run continues a journal, which has its beginning and its plan.
    pub resumes: bool,
    /// Attempts at the first of the cases that were made before.
    pub attempts: Vec<CaseResult>,
}

/// What a case costs whoever runs it.
pub struct Burden {
    /// The scenario to read.
    pub scenario: usize,
    /// What the case prepares serves the others of its kind in this scenario.
    pub kind: usize,
    /// How long it takes, beside others.
    pub weight: usize,
}

impl Schedule {
    /// Removes the cases that have a result, and keeps attempts at the others.
    pub fn go_on(&mut self, past: &Past) {
        self.resumes = true;
        self.order.retain(|case| !past.finished.contains(case));
        self.attempts = past.attempts.clone();
        // The case that was begun goes first, so that its attempts stay together.
        self.order.sort_by_key(|case| !past.attempts.iter().any(|attempt| attempt.case == *case));
    }

    /// Deals the cases out to `count` schedules, or fewer if there are not enough cases.
    ///
    /// The cases of a scenario stay together, so that few guests read it, unless it is more than its share of the run. Cases of one kind
    /// always do: what the first prepares, such as a page of 1 GiB, serves the others.
    pub fn dealt(&self, count: usize, burden: impl Fn(u32) -> Burden) -> Vec<Schedule> {
        let count = count.clamp(1, self.order.len().max(1));
        let mut weights: HashMap<usize, usize> = HashMap::new();
        for burden in self.order.iter().map(|case| burden(*case)) {
            *weights.entry(burden.scenario).or_default() += burden.weight;
        }
        let all: usize = weights.values().sum();
        let mut heaps: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut known = HashMap::new();
        for (at, case) in self.order.iter().enumerate() {
            let Burden { scenario, kind, weight } = burden(*case);
            let too_large = weights[&scenario] * count > all;
            let heap = *known.entry((scenario, too_large.then_some(kind))).or_insert(heaps.len());
            if heap == heaps.len() {
                heaps.push((0, Vec::new()));
            }
            heaps[heap].0 += weight;
            heaps[heap].1.push(at);
        }
        // The heaviest first, each to who has the least: the shares come out even.
        heaps.sort_by_key(|(weight, _)| Reverse(*weight));
        let mut shares = vec![(0, Vec::new()); count];
        for (weight, places) in heaps {
            let share = shares.iter_mut().min_by_key(|(weight, _)| *weight).expect("there is at least one share");
            share.0 += weight;
            share.1.extend(places);
        }
        let dealt = shares.into_iter().filter(|(_, places)| !places.is_empty()).map(|(_, mut places)| {
            places.sort_unstable();
            let order: Vec<u32> = places.into_iter().map(|at| self.order[at]).collect();
            let attempts = self.attempts.iter().filter(|attempt| order.contains(&attempt.case)).cloned().collect();
            Schedule { order, attempts, ..self.clone() }
        });
        dealt.collect()
    }

    /// The schedule with the numbers that its cases have elsewhere.
    pub fn renumbered(&self, number: impl Fn(u32) -> u32) -> Schedule {
        let attempts =
            self.attempts.iter().cloned().map(|attempt| CaseResult { case: number(attempt.case), ..attempt });
        Schedule {
            order: self.order.iter().map(|case| number(*case)).collect(),
            attempts: attempts.collect(),
            ..self.clone()
        }
    }

    /// Whether a case runs again, after this number of `attempts` and one more that ended with `verdict`.
    pub fn again(&self, attempts: usize, verdict: Verdict) -> bool {
        match self.repeat {
            0 | 1 => matches!(verdict, Verdict::Failed | Verdict::Error) && attempts < self.retries as usize,
            // A condition that is not met is not met the next time either.
            repeat => verdict != Verdict::Skipped && attempts + 1 < repeat as usize,
        }
    }

    /// The result of a case from all attempts at it; `last` is the last one.
    pub fn sum_up(&self, mut attempts: Vec<CaseResult>, last: CaseResult) -> CaseResult {
        attempts.push(last);
        let told: Vec<_> = attempts.iter().map(CaseResult::attempt).collect();
        let micros = attempts.iter().fold(0u64, |sum, attempt| sum.saturating_add(attempt.micros));
        let (count, failed) = (attempts.len(), attempts.iter().filter(|attempt| rank(attempt.verdict) > 1).count());
        let passed_last = attempts.last().is_some_and(|last| last.verdict == Verdict::Passed);
        let deciding = (0..count).rev().max_by_key(|at| rank(attempts[*at].verdict)).expect("there is at least one");
        let mut result = attempts.swap_remove(deciding);
        if count == 1 {
            return result;
        }
        let reason = result.message.take().unwrap_or_default();
        if self.repeat <= 1 && passed_last {
            result.verdict = Verdict::Flaky;
            result.message = Some(format!("passed at attempt {count} only; before: {reason}"));
        } else if failed > 0 {
            result.message = Some(format!("{reason} (in {failed} of {count} attempts)"));
        } else {
            result.message = Some(reason).filter(|reason| !reason.is_empty());
        }
        CaseResult { micros, attempts: told, ..result }
    }
}

/// Which of several verdicts decides.
fn rank(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Passed | Verdict::Flaky => 0,
        Verdict::Skipped | Verdict::KnownIssue => 1,
        Verdict::Error => 2,
        Verdict::Failed => 3,
    }
}

/// What a journal says about a run that continues.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    pub started: RunStarted,
    pub planned: Vec<PlannedCase>,
    /// The boot that its last part ran in.
    pub boot: String,
    /// When its last part began, in milliseconds since 1970.
    pub since: u64,
    /// The cases that have their result.
    pub finished: HashSet<u32>,
    /// Those whose result says that host or guest died while they ran.
    pub died: BTreeSet<u32>,
    /// The cases that were begun and have no result.
    pub running: BTreeSet<u32>,
    /// Attempts at cases that have no result.
    pub attempts: Vec<CaseResult>,
}

impl Past {
    /// Folds the events of a journal.
    pub fn of(events: &[Event]) -> Past {
        let mut past = Past::default();
        let mut attempts: HashMap<u32, Vec<CaseResult>> = HashMap::new();
        for event in events {
            match event {
                Event::RunStarted(started) | Event::RunResumed(started) => {
                    past.boot.clone_from(&started.boot);
                    past.since = started.started_ms;
                    if matches!(event, Event::RunStarted(_)) {
                        past.started = started.clone();
                    }
                }
                Event::CasePlanned(planned) => past.planned.push(planned.clone()),
                Event::CaseStarted { case } => {
                    past.running.insert(*case);
                }
                Event::CaseAttempted(attempt) => attempts.entry(attempt.case).or_default().push(attempt.clone()),
                Event::CaseFinished(result) => {
                    past.finished.insert(result.case);
                    past.running.remove(&result.case);
                    attempts.remove(&result.case);
                    if result.died {
                        past.died.insert(result.case);
                    } else {
                        past.died.remove(&result.case);
                    }
                }
                // The run was stopped with the case that was running: the host did not go down.
                Event::RunFinished(_) => past.running.clear(),
                Event::Called { .. } | Event::Exploring { .. } | Event::Busy { .. } | Event::Kept => {}
            }
        }
        past.attempts = attempts.into_values().flatten().collect();
        past.attempts.sort_by_key(|attempt| attempt.case);
        past
    }

    /// The results of the cases that were running when the run ended. A case that took the host down does not run again. If the
    /// host is in the same boot, only the runner ended, and the case runs again: there is no result for it here. With `retry_died`
    /// all of them run again.
    pub fn blame(&mut self, boot: &str, retry_died: bool) -> Vec<CaseResult> {
        if retry_died {
            self.finished.retain(|case| !self.died.contains(case));
            return Vec::new();
        }
        if self.boot == boot && !boot.is_empty() {
            return Vec::new();
        }
        let blamed = std::mem::take(&mut self.running).into_iter().map(|case| {
            self.finished.insert(case);
            let message = "the host went down while this case ran; it is not run again (--retry-died runs it)";
            died(case, message.to_owned())
        });
        let blamed: Vec<_> = blamed.collect();
        self.attempts.retain(|attempt| !self.finished.contains(&attempt.case));
        blamed
    }
}

/// The result of a case under which its host died.
pub fn died(case: u32, message: String) -> CaseResult {
    CaseResult { message: Some(message), died: true, ..CaseResult::new(case, Verdict::Error, Duration::ZERO) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{finished, passed, planned, started, with_reason};

    fn killed() -> Vec<Event> {
        let mut events = vec![started()];
        events.extend((0..4).map(|n| Event::CasePlanned(planned(n, "s", "iommufd", &format!("c{n}")))));
        events.extend([Event::CaseStarted { case: 0 }, Event::CaseFinished(passed(0)), Event::CaseStarted { case: 2 }]);
        events
    }

    fn schedule(past: &Past) -> Vec<u32> {
        let mut schedule = Schedule { order: vec![0, 1, 2, 3], ..Schedule::default() };
        schedule.go_on(past);
        schedule.order
    }

    #[test]
    fn a_scenario_is_dealt_whole_unless_it_is_more_than_its_share() {
        // The tens are the scenario, the ones the kind; the hundreds weigh more.
        let burden = |case: u32| {
            let digit = |of: u32| (case / of % 10) as usize;
            Burden { scenario: digit(10), kind: digit(1), weight: 1 + digit(100) }
        };
        let orders = |order: &[u32], count| {
            let all = Schedule { order: order.to_vec(), ..Schedule::default() };
            all.dealt(count, burden).into_iter().map(|part| part.order).collect::<Vec<_>>()
        };
        let all = [31, 13, 11, 21, 12, 11, 14, 13];
        assert_eq!(orders(&all, 1), [all]);
        assert_eq!(orders(&all, 2), [vec![31, 13, 12, 13], vec![11, 21, 11, 14]], "12 is not kept with 11");
        assert_eq!(orders(&all, usize::MAX), [vec![13, 13], vec![11, 11], vec![31], vec![21], vec![12], vec![14]]);
        assert_eq!(orders(&[31, 11, 22, 12, 21, 13], 2), [vec![11, 12, 13], vec![31, 22, 21]]);
        assert_eq!(orders(&[11, 12, 13, 21, 931], 2), [vec![931], vec![11, 12, 13, 21]]);
        assert_eq!(orders(&[], 2), Vec::<Vec<u32>>::new());
    }

    #[test]
    fn attempts_go_with_their_case() {
        let attempt = CaseResult::new(1, Verdict::Failed, Duration::ZERO);
        let all = Schedule { order: vec![0, 1], attempts: vec![attempt], retries: 2, ..Schedule::default() };
        let dealt = all.dealt(2, |case| Burden { scenario: case as usize, kind: 0, weight: 1 });
        let told: Vec<_> = dealt.iter().map(|part| (part.attempts.len(), part.retries)).collect();
        assert_eq!(told, [(0, 2), (1, 2)]);
    }

    #[test]
    fn another_plan_numbers_the_attempts_too() {
        let attempt = CaseResult::new(3, Verdict::Failed, Duration::ZERO);
        let here = Schedule { order: vec![5, 3], attempts: vec![attempt.clone()], retries: 2, ..Schedule::default() };
        let there = here.renumbered(|case| case - 3);
        assert_eq!((there.order, there.retries), (vec![2, 0], 2));
        assert_eq!(there.attempts, [CaseResult { case: 0, ..attempt }]);
    }

    #[test]
    fn a_run_that_was_killed_goes_on_with_the_case_that_was_running() {
        let mut past = Past { boot: "a".into(), ..Past::of(&killed()) };
        assert_eq!(past.blame("a", false), []);
        assert_eq!(schedule(&past), [1, 2, 3]);
    }

    #[test]
    fn after_a_reboot_the_case_that_was_running_is_blamed_and_not_run() {
        let mut past = Past { boot: "a".into(), ..Past::of(&killed()) };
        let blamed = past.blame("b", false);
        assert_eq!((blamed.len(), blamed[0].case, blamed[0].verdict, blamed[0].died), (1, 2, Verdict::Error, true));
        assert_eq!(schedule(&past), [1, 3]);

        let mut events = killed();
        events.extend(blamed.into_iter().map(Event::CaseFinished));
        assert_eq!(Past::of(&events).blame("c", false), [], "nothing was running this time");
        let mut again = Past::of(&events);
        assert_eq!(again.blame("c", true), []);
        assert_eq!(schedule(&again), [1, 2, 3], "asked for, it runs");
    }

    #[test]
    fn a_boot_that_nobody_knows_is_another_one() {
        assert_eq!(Past::of(&killed()).blame("", false).len(), 1);
    }

    #[test]
    fn attempts_are_not_made_twice() {
        let mut events = killed();
        events.push(Event::CaseAttempted(with_reason(2, Verdict::Failed, "r")));
        let mut schedule = Schedule { order: vec![0, 1, 2, 3], retries: 1, ..Schedule::default() };
        schedule.go_on(&Past::of(&events));
        assert_eq!((schedule.order, schedule.attempts.len()), (vec![2, 1, 3], 1));
    }

    #[test]
    fn an_interrupted_run_goes_on_too() {
        let mut events = killed();
        events.push(finished(true));
        let mut past = Past { boot: "a".into(), ..Past::of(&events) };
        assert_eq!(schedule(&past), [1, 2, 3]);
        assert_eq!(past.blame("b", false), [], "the reboot came after the end of the run");
        assert_eq!(schedule(&past), [1, 2, 3]);
    }

    #[test]
    fn a_case_is_retried_until_it_passes_and_repeated_whatever_it_gives() {
        use Verdict::{Error, Failed, KnownIssue, Passed, Skipped};
        let retries = Schedule { retries: 2, ..Schedule::default() };
        assert!(retries.again(0, Failed) && retries.again(1, Error) && !retries.again(2, Failed));
        assert!(!retries.again(0, Passed) && !retries.again(0, Skipped) && !retries.again(0, KnownIssue));
        let repeat = Schedule { repeat: 3, ..Schedule::default() };
        assert!(repeat.again(0, Passed) && repeat.again(1, Failed) && !repeat.again(2, Passed));
        assert!(!repeat.again(0, Skipped));
        assert!(!Schedule::default().again(0, Failed));
    }

    #[test]
    fn a_flake_is_no_pass() {
        let schedule = Schedule { retries: 2, ..Schedule::default() };
        let failed = CaseResult { at: Some("s.yaml:7:3".into()), ..with_reason(0, Verdict::Failed, "map gave EINVAL") };
        let flaky = schedule.sum_up(vec![failed.clone()], passed(0));
        assert_eq!(flaky.verdict, Verdict::Flaky);
        assert_eq!(flaky.message.as_deref(), Some("passed at attempt 2 only; before: map gave EINVAL"));
        assert_eq!((flaky.at.as_deref(), flaky.micros), (Some("s.yaml:7:3"), 2 * 182_000), "where it failed before");
        let verdicts: Vec<_> = flaky.attempts.iter().map(|attempt| attempt.verdict).collect();
        assert_eq!(verdicts, [Verdict::Failed, Verdict::Passed]);

        let never = schedule.sum_up(vec![failed.clone(), failed.clone()], failed);
        assert_eq!(never.verdict, Verdict::Failed);
        assert_eq!(never.message.as_deref(), Some("map gave EINVAL (in 3 of 3 attempts)"));
        assert_eq!(schedule.sum_up(vec![], passed(0)), passed(0));
    }

    #[test]
    fn of_repeated_runs_the_worst_counts() {
        let schedule = Schedule { repeat: 3, ..Schedule::default() };
        let failed = with_reason(0, Verdict::Failed, "r");
        let result = schedule.sum_up(vec![passed(0), failed], passed(0));
        assert_eq!((result.verdict, result.message.as_deref()), (Verdict::Failed, Some("r (in 1 of 3 attempts)")));
        let result = schedule.sum_up(vec![passed(0), passed(0)], passed(0));
        assert_eq!((result.verdict, result.message, result.attempts.len()), (Verdict::Passed, None, 3));
    }
}
