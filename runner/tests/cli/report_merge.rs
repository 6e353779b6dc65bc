// SPDX-License-Identifier: MIT OR Apache-2.0
//! Journals that are read as one run: killed, resumed, sharded, made again, side by side.

use std::time::Duration;

use vfiospec::{
    event::{CaseResult, Event, PlannedCase, RunFinished, RunStarted},
    model::{Exit, Verdict},
    report::{Counts, Journal, Run, State, Text},
};

use crate::common::fixture::{finished, mixed, passed, planned, with_reason};

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
        journal(u64::from(first), "7.3", &cases, cases.map(|n| result(passed(n))).into_iter().chain([finished(false)]))
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
    let kernel = |kernel: &str| RunStarted { kernel: kernel.into(), iommu: "intel".into(), ..RunStarted::default() };
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
