//! From journals to the [`Run`] that they tell of.
//!
//! One journal is one run. Of several, those from the same environment (kernel, IOMMU, device ids; or the label that the user gave)
//! belong together: shards add up, and of two results of a case the later counts, with the earlier one kept beside it. A pass that
//! had been a failure before is flaky. Runs on other kernels, IOMMUs or devices stand side by side.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use crate::{
    event::{Event, RunFinished, RunStarted},
    model::Verdict,
    report::{
        journal::{ReadError, Text},
        run::{At, Case, Earlier, Environment, Note, Part, Run, State, Suite, without_result},
    },
};

/// A journal to be read.
#[derive(Debug)]
pub struct Journal {
    /// The environment that it belongs to, if the user says so.
    pub label: Option<String>,
    /// What is in it.
    pub text: Text,
}

impl Run {
    /// Reads journals, in any order; none of them has to have an end.
    ///
    /// A result whose case nobody planned is kept under a name that says so.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(journals: Vec<Journal>) -> Result<Run, ReadError> {
        let mut journals = journals
            .into_iter()
            .map(|journal| Ok((journal.text.started()?, journal)))
            .collect::<Result<Vec<_>, _>>()?;
        journals.sort_by_key(|(started, _)| started.started_ms);
        let mut merge = Merge::default();
        for (started, Journal { label, text }) in journals {
            merge.add(started, label, text)?;
        }
        Ok(merge.finish())
    }

    /// The run of one journal.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn of(text: Text) -> Result<Run, ReadError> {
        Self::read(vec![Journal { label: None, text }])
    }

    /// The run that these events tell of.
    ///
    /// # Panics
    /// If they do not begin with the beginning of a run.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Run {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, &event).expect("an event has a JSON form");
            lines.push(b'\n');
        }
        Self::of(Text::memory("events", lines)).expect("the events of a run")
    }
}

#[derive(Default)]
struct Merge {
    run: Run,
    /// The label that the user gave each environment.
    labels: Vec<Option<String>>,
    suites: HashMap<Suite, usize>,
    /// By suite, name, and how often that came before in the same journal, which no plan of ours does.
    cases: HashMap<(usize, Arc<str>, u32), usize>,
    texts: Interned<str>,
    notes: Interned<[Note]>,
}

/// What a journal says of a case by its number.
#[derive(Default)]
struct Progress {
    /// Its place in [`Run::cases`].
    case: Option<usize>,
    begun: bool,
    result: Option<At>,
}

impl Merge {
    fn add(&mut self, started: RunStarted, label: Option<String>, text: Text) -> Result<(), ReadError> {
        let environment = self.environment(&started, label);
        let part = self.run.environments[environment].parts.len();
        let journal = self.run.journals.len();
        let mut new = Part { started, finished: None, micros: 0, made_up_for: false };
        let mut progress: HashMap<u32, Progress> = HashMap::new();
        let mut millis_before: u64 = 0;
        text.scan(|place, event| {
            let at = At { journal, place };
            match event {
                Event::RunStarted(_) => {}
                Event::CasePlanned(planned) => {
                    let suite = Suite {
                        environment,
                        pack: self.texts.get(&planned.pack),
                        scenario: self.texts.get(&planned.scenario),
                        backend: self.texts.get(&planned.backend),
                        device: self.texts.get(&planned.device),
                    };
                    let case = self.case(suite, &planned.name, planned.case, part, journal);
                    self.run.cases[case].planned = Some(at);
                    progress.entry(planned.case).or_default().case = Some(case);
                }
                Event::CaseStarted { case } => progress.entry(case).or_default().begun = true,
                Event::CaseFinished(result) => {
                    new.micros = new.micros.saturating_add(result.micros);
                    let number = result.case;
                    let case = progress.get(&number).and_then(|progress| progress.case).unwrap_or_else(|| {
                        let none = self.texts.get("");
                        let [pack, scenario, backend, device] = [none.clone(), none.clone(), none.clone(), none];
                        let suite = Suite { environment, pack, scenario, backend, device };
                        self.case(suite, &format!("case_{number}_that_nobody_planned"), number, part, journal)
                    });
                    let notes = {
                        let backend = self.run.suite(&self.run.cases[case]).backend.to_string();
                        let planned = crate::event::PlannedCase { backend, ..Default::default() };
                        self.notes.get(Note::all(&planned, &result).as_slice())
                    };
                    let shared = matches!(result.verdict, Verdict::Skipped | Verdict::KnownIssue);
                    let reason = result.message.as_deref().filter(|_| shared).map(|message| self.texts.get(message));
                    let case = &mut self.run.cases[case];
                    // Of two results in one journal only the later one counts: what was tried again it has in its attempts.
                    case.earlier.extend(
                        case.result.filter(|at| at.journal != journal).map(|at| Earlier { verdict: case.verdict, at }),
                    );
                    case.result = Some(at);
                    let stumbled = |earlier: &Earlier| {
                        matches!(earlier.verdict, Verdict::Failed | Verdict::Error | Verdict::Flaky)
                    };
                    case.verdict = match result.verdict {
                        Verdict::Passed if case.earlier.iter().any(stumbled) => Verdict::Flaky,
                        verdict => verdict,
                    };
                    (case.state, case.micros) = (State::Finished, result.micros);
                    (case.notes, case.reason, case.part) = (notes, reason, part);
                    progress.entry(number).or_default().result = Some(at);
                }
                Event::RunFinished(finished) => {
                    let millis = millis_before.saturating_add(finished.millis);
                    new.finished = Some(RunFinished { millis, ..finished });
                }
                // Of a part that did not tell its end, the time of its cases is all that is known.
                Event::RunResumed(_) => {
                    millis_before = new.finished.take().map_or(new.micros / 1000, |finished| finished.millis);
                }
                // Its result sums it up.
                Event::CaseAttempted(_) | Event::Called { .. } => {}
            }
        })?;
        for progress in progress.into_values().filter(|progress| progress.begun && progress.result.is_none()) {
            let Some(case) = progress.case else { continue };
            let case = &mut self.run.cases[case];
            case.earlier.extend(case.result.take().map(|at| Earlier { verdict: case.verdict, at }));
            (case.verdict, case.state, case.micros) = (Verdict::Error, State::Died, 0);
            (case.notes, case.reason, case.part) = (self.notes.get(&[]), None, part);
        }
        // One that was not run says so in the words of the last run that should have.
        for case in self.run.cases.iter_mut().filter(|case| case.state == State::NotRun && case.part == part) {
            if self.run.suites[case.suite].environment == environment {
                case.reason = Some(self.texts.get(without_result(State::NotRun, new.finished.as_ref()).as_str()));
            }
        }
        self.run.environments[environment].parts.push(new);
        self.run.journals.push(text);
        Ok(())
    }

    /// The case of that name, made if there is none.
    fn case(&mut self, suite: Suite, name: &str, number: u32, part: usize, journal: usize) -> usize {
        let run = &mut self.run;
        let suite = *self.suites.entry(suite).or_insert_with_key(|suite| {
            run.suites.push(suite.clone());
            run.suites.len() - 1
        });
        let name = self.texts.get(name);
        let is_of_this_journal = |case: &usize| run.cases[*case].planned.is_some_and(|at| at.journal == journal);
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
                part,
                number,
                planned: None,
                result: None,
            });
            run.cases.len() - 1
        });
        if run.cases[case].state == State::NotRun {
            run.cases[case].part = part;
        }
        case
    }

    /// Where a run belongs.
    fn environment(&mut self, started: &RunStarted, label: Option<String>) -> usize {
        let same = |(environment, known): (&Environment, &Option<String>)| {
            *known == label
                && (label.is_some() || environment.parts.iter().all(|part| is_same_place(&part.started, started)))
        };
        if let Some(at) = self.run.environments.iter().zip(&self.labels).position(same) {
            return at;
        }
        self.run.environments.push(Environment { label: String::new(), parts: Vec::new() });
        self.labels.push(label);
        self.labels.len() - 1
    }

    fn finish(mut self) -> Run {
        self.label();
        let mut run = self.run;
        // Shards keep the numbers of the whole plan: sorted by them, it is whole again.
        if run.journals.len() > 1 {
            run.cases.sort_by_key(|case| (run.suites[case.suite].environment, case.number));
        }
        let unfinished: HashSet<usize> = run
            .cases
            .iter()
            .filter(|case| case.state != State::Finished)
            .map(|case| run.suites[case.suite].environment)
            .collect();
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

    /// Gives environments that stand side by side the labels that tell them apart.
    fn label(&mut self) {
        let environments = &mut self.run.environments;
        if environments.len() < 2 && self.labels.iter().all(Option::is_none) {
            return;
        }
        let traits: Vec<[String; 3]> =
            environments.iter().map(|environment| what(&environment.parts[0].started)).collect();
        let differs = |at: usize| traits.iter().any(|traits_of| traits_of[at] != traits[0][at]);
        let differing: Vec<usize> = (0..3).filter(|&at| differs(at)).collect();
        let mut taken = HashSet::new();
        for (at, environment) in environments.iter_mut().enumerate() {
            let own = || differing.iter().map(|&which| traits[at][which].as_str()).collect::<Vec<_>>().join(" ");
            let label = self.labels[at].clone().unwrap_or_else(own);
            let mut unique = label.clone();
            let mut count = 1;
            while unique.is_empty() || !taken.insert(unique.clone()) {
                count += 1;
                unique = format!("{label} {count}").trim().to_owned();
            }
            environment.label = unique;
        }
    }
}

/// Whether results of the one can be held against those of the other as if they were of the same run.
fn is_same_place(a: &RunStarted, b: &RunStarted) -> bool {
    let devices = |a: &RunStarted, b: &RunStarted| {
        a.devices.iter().all(|of_a| b.devices.iter().all(|of_b| of_a.name != of_b.name || of_a.ids == of_b.ids))
    };
    (&a.kernel, &a.iommu, &a.lab_iommu) == (&b.kernel, &b.iommu, &b.lab_iommu) && devices(a, b)
}

/// Kernel, IOMMU and devices, in words.
fn what(started: &RunStarted) -> [String; 3] {
    let devices: Vec<_> = started.devices.iter().map(|device| format!("{} {}", device.name, device.ids)).collect();
    let iommu = started.lab_iommu.as_ref().unwrap_or(&started.iommu).clone();
    [format!("Linux {}", started.kernel), iommu, devices.join(" ")]
}

/// Values of which many are alike, each kept once.
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
    use crate::{
        event::{CaseResult, PlannedCase, RunFinished},
        model::Exit,
        report::{
            fixture::{finished, mixed, passed, planned, with_reason},
            run::Counts,
        },
    };

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
        let lines: String = all.map(|event| serde_json::to_string(&event).expect("JSON") + "\n").collect();
        Journal { label: None, text: Text::memory("a.jsonl", lines.into()) }
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
        let empty = Journal { label: None, text: Text::memory("a.jsonl", vec![]) };
        let error = Run::read(vec![empty]).expect_err("nothing in it").to_string();
        assert_eq!(error, "failed to read the journal a.jsonl: there is no run in it");
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
            let lines: String = events.iter().map(|event| serde_json::to_string(event).expect("JSON") + "\n").collect();
            Journal { label: label.map(str::to_owned), text: Text::memory("a.jsonl", lines.into()) }
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
            let mut journal = journal(2, "7.3", &[], [Event::CasePlanned(case), result(passed(0)), finished(false)]);
            journal.label = None;
            journal
        };
        assert_eq!(ids(&read([whole, again(1)])), ["c0", "c1"]);
    }
}
