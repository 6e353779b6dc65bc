// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runner's side: hands cases to a worker one by one, and outlives it.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{
    case::{bring_back, moves},
    devices::host_facts,
    failure::Problem,
    kmemleak::Leaks,
    known_issue::{self, Issue, Judged},
    log,
    process::{Outcome, TimedOut, Told, Worker},
    schedule::Schedule,
};
use crate::{
    event::{CaseResult, DeviceUsed, Event, RunFinished, RunStarted},
    host::{self, bind::VFIO, in_the_way, kmsg::Window, sriov},
    model::{Bdf, Observed, Verdict, code::Code},
    plan::{Plan, Planned, Setup},
};

/// What a run leaves behind that its caller has to know.
pub struct Left {
    /// Of each device, whether a process that cannot be killed holds it: giving it back would never end.
    pub given_up: Vec<bool>,
}

/// Runs the scheduled cases of the plan and sends `sink` the events, first the results that are `known` without running
/// anything. Stops early when `interrupt` is set. With
/// [`Schedule::keep`] it calls `look` where a case that did not pass ends the run, while everything is as that left it.
pub fn run(
    plan: &Plan,
    setup: &Setup,
    schedule: &Schedule,
    started: RunStarted,
    known: &[CaseResult],
    interrupt: &AtomicBool,
    (sink, look): (&mut dyn FnMut(Event) -> io::Result<()>, &mut dyn FnMut()),
) -> io::Result<Left> {
    let begin = Instant::now();
    if schedule.resumes {
        sink(Event::RunResumed(started))?;
    } else {
        sink(Event::RunStarted(started))?;
        let mut planned = schedule.order.clone();
        planned.sort_unstable();
        for case in planned {
            sink(Event::CasePlanned(plan.cases[case as usize].id.clone()))?;
        }
    }
    for result in known {
        sink(Event::CaseFinished(result.clone()))?;
    }
    let without_functions = without_functions(&setup.devices);
    let (for_worker, numbers) = setup.narrowed(plan, &schedule.order);
    let mut runner = Runner {
        without_functions,
        plan,
        setup: for_worker,
        numbers,
        interrupt,
        schedule,
        worker: None,
        log: Window::look().ok(),
        left: Left { given_up: vec![false; setup.devices.len()] },
        lost: vec![None; setup.devices.len()],
    };
    let mut leaks = Leaks::watch();
    let mut stopped = None;
    let mut behind = schedule.attempts.iter().peekable();
    for &case in &schedule.order {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        sink(Event::CaseStarted { case })?;
        leaks.iter_mut().for_each(|leaks| leaks.begin(case));
        let mut attempts = Vec::new();
        let mut looked = false;
        while let Some(attempt) = behind.next_if(|attempt| attempt.case == case) {
            attempts.push(attempt.clone());
        }
        let last = loop {
            let mut told = |told| match told {
                Told::Called(call) => sink(Event::Called { case, call }),
                Told::Exploring(scenario) => sink(Event::Exploring { case, scenario }),
                Told::Kept => {
                    looked = true;
                    look();
                    Ok(())
                }
            };
            let Some(result) = runner.attempt(case, &mut told) else {
                if runner.end_worker() {
                    runner.bring_back(case);
                }
                break None;
            };
            if !schedule.again(attempts.len(), result.verdict) || interrupt.load(Ordering::Relaxed) {
                break Some(result);
            }
            sink(Event::CaseAttempted(result.clone()))?;
            attempts.push(result);
        };
        let Some(last) = last else { break };
        let result = must_run(plan, &plan.cases[case as usize], schedule.sum_up(attempts, last));
        let mut bad = matches!(result.verdict, Verdict::Failed | Verdict::Error);
        leaks.iter_mut().for_each(|leaks| leaks.ended(&result));
        sink(Event::CaseFinished(result))?;
        if let Some(leaks) = leaks.as_mut().filter(|leaks| leaks.is_due()) {
            bad |= runner.lost(leaks, sink)?;
        }
        if bad && schedule.fail_fast {
            let option = if schedule.keep { "--keep-on-failure" } else { "--fail-fast" };
            stopped = Some(format!("a case did not pass ({option})"));
            // What a known issue or an observer overruled is told only now.
            if schedule.keep && !looked {
                look();
            }
            break;
        }
    }
    // What it has open goes with it, and what is lost then is lost.
    runner.end_worker();
    if let Some(leaks) = leaks.as_mut().filter(|_| !interrupt.load(Ordering::Relaxed)) {
        leaks.wait();
        runner.lost(leaks, sink)?;
    }
    let Runner { left, without_functions, .. } = runner;
    if !left.given_up.contains(&true) {
        // It removes them when it ends, unless that took too long. What stays is there to be seen, and no case's fault.
        remove_functions(&without_functions);
    }
    let interrupted = interrupt.load(Ordering::Relaxed);
    sink(Event::RunFinished(RunFinished {
        millis: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        interrupted,
        stopped,
    }))?;
    Ok(left)
}

/// A case that the inventory says must run, and that was skipped, has no verdict.
fn must_run(plan: &Plan, planned: &Planned, result: CaseResult) -> CaseResult {
    let (Some(site), Some(at)) = (&plan.site, &planned.marks.must_run) else { return result };
    if result.verdict != Verdict::Skipped || !result.answers.is_empty() {
        return result;
    }
    let reason = result.message.unwrap_or_default();
    let problem =
        Problem::new(Code::MustRun, at.clone(), format!("must run on {}, and was skipped: {reason}", site.host));
    let problem = problem.label("cases that must run").help("mend what it lacks, or take it out of `must_run`");
    CaseResult {
        verdict: Verdict::Error,
        message: Some(problem.what.title.clone()),
        detail: Some(problem.render(&site.source)),
        carets: problem.carets(&site.source),
        at: Some(problem.place(&site.source)),
        ..result
    }
}

/// Why a device that was bound to vfio-pci cannot be opened any more; `None` if it can.
fn lost(device: &DeviceUsed) -> Option<String> {
    let bdf: Bdf = device.bdf.parse().ok()?;
    if host::is_gone(bdf) {
        return Some(format!("{bdf} is no longer in the machine"));
    }
    match host::pci::driver(bdf).as_deref() {
        Some(VFIO) => in_the_way::no_access(bdf).map(|error| error.to_string()),
        Some(other) => Some(format!("{bdf} is no longer on vfio-pci: {other} has it")),
        None => Some(format!("{bdf} is no longer on vfio-pci: no driver has it")),
    }
}

/// The devices without virtual functions: those that they get now are made by cases.
fn without_functions(devices: &[DeviceUsed]) -> Vec<Bdf> {
    devices.iter().filter_map(|device| device.bdf.parse().ok()).filter(|bdf| sriov::count(*bdf) == 0).collect()
}

/// Removes the virtual functions that a worker left behind; returns a text for what does not go.
fn remove_functions(of: &[Bdf]) -> String {
    of.iter().filter_map(|bdf| sriov::remove(*bdf).err()).map(|error| format!("; {error}")).collect()
}

struct Runner<'a> {
    /// Those that had no virtual functions when the run began.
    without_functions: Vec<Bdf>,
    plan: &'a Plan,
    setup: Setup,
    /// The number of each case in the worker's plan.
    numbers: Vec<u32>,
    interrupt: &'a AtomicBool,
    schedule: &'a Schedule,
    worker: Option<Worker>,
    /// A worker that dies takes its own look at the kernel's log with it.
    log: Option<Window>,
    left: Left,
    /// Of each device, why no case can have it any more.
    lost: Vec<Option<String>>,
}

impl Runner<'_> {
    /// Runs a case once; `None` if the run is to stop.
    fn attempt(&mut self, case: u32, sink: &mut dyn FnMut(Told) -> io::Result<()>) -> Option<CaseResult> {
        let planned = &self.plan.cases[case as usize];
        let skipped = |message: String| {
            Some(CaseResult { message: Some(message), ..CaseResult::new(case, Verdict::Skipped, Duration::ZERO) })
        };
        if let Some(message) = self.plan.missing(planned) {
            return skipped(message);
        }
        if planned.given().any(|device| self.left.given_up[device]) {
            return skipped("not run: the device was given up when an earlier case got stuck in the kernel".to_owned());
        }
        if let Some(why) = planned.given().find_map(|device| self.lost[device].as_ref()) {
            return skipped(format!("not run: {why}"));
        }
        let begin = Instant::now();
        self.log = self.log.take().and_then(|mut log| log.forget().is_ok().then_some(log));
        let at = self.numbers[case as usize];
        // If this fails, the next event fails too, and ends the run.
        let mut told = |told| drop(sink(told));
        let outcome = match &mut self.worker {
            Some(worker) => worker.run(case, at, planned.timeout, self.interrupt, &mut told),
            None => match Worker::start(&self.setup, self.schedule) {
                Ok(worker) => self.worker.insert(worker).run(case, at, planned.timeout, self.interrupt, &mut told),
                Err(error) => Outcome::Lost(format!("failed to start a worker: {error}")),
            },
        };
        let mut result = match outcome {
            Outcome::Finished(result) => {
                self.look_for(planned, &result);
                return Some(*result);
            }
            Outcome::Interrupted => return None,
            Outcome::Lost(mut message) => {
                let scenario = self.worker.as_mut().and_then(|worker| worker.exploring.take());
                if !self.end_worker() {
                    message += "; it cannot be killed: it is stuck in the kernel, and the device is given up";
                }
                CaseResult {
                    message: Some(message),
                    scenario,
                    ..CaseResult::new(case, Verdict::Error, begin.elapsed())
                }
            }
            Outcome::TimedOut(timed_out) => {
                let lost = if timed_out.told.is_none() { self.worker.take() } else { None };
                let scenario = lost.and_then(|mut worker| worker.exploring.take());
                planned.given().for_each(|device| self.left.given_up[device] |= timed_out.stuck.is_some());
                let late = late(planned, timed_out, begin.elapsed());
                CaseResult { scenario: late.scenario.or(scenario), ..late }
            }
        };
        if self.worker.is_none() && !planned.given().any(|device| self.left.given_up[device]) {
            let kept = remove_functions(&self.without_functions) + &self.bring_back(case);
            result.message = result.message.map(|message| message + &kept);
        }
        let records = self.log.as_mut().and_then(|log| log.records().ok()).unwrap_or_default();
        let lines = records.into_iter().map(|record| record.text).collect();
        Some(self.with_log(planned, result, lines))
    }

    /// Ends the worker, and with it what it has open. Returns false if it cannot be killed: it may hold any device, and each is given up.
    fn end_worker(&mut self) -> bool {
        let ended = self.worker.take().is_none_or(|mut worker| worker.end());
        if !ended {
            self.left.given_up.fill(true);
        }
        ended
    }

    /// Revises the results of cases that lost memory of the kernel. Returns whether there are any.
    fn lost(&self, leaks: &mut Leaks, sink: &mut dyn FnMut(Event) -> io::Result<()>) -> io::Result<bool> {
        let mut any = false;
        let with = "looks for memory that the kernel has lost";
        for (case, seen) in leaks.look(&mut || sink(Event::Busy { with: with.to_owned() }))? {
            any |= seen.state == Observed::Broken;
            if let Some(result) = leaks.revised(&self.plan.cases[case as usize].id, seen) {
                sink(Event::CaseFinished(result))?;
            }
        }
        Ok(any)
    }

    /// Notes after a case without a verdict which devices cannot be had any more: no case can run on them, and one says it.
    fn look_for(&mut self, planned: &Planned, result: &CaseResult) {
        if result.verdict == Verdict::Error {
            for device in planned.given() {
                self.lost[device] = lost(&self.setup.devices[device]);
            }
        }
    }

    /// Has the devices back that a case took away which did not end by itself. Returns a text for what does not come.
    fn bring_back(&self, case: u32) -> String {
        let planned = &self.plan.cases[case as usize];
        if !moves(self.plan.case(planned).0) {
            return String::new();
        }
        let back = planned.given().map(|device| bring_back(&self.setup.devices[device]));
        back.filter_map(Result::err).map(|error| format!("; {error}")).collect()
    }

    /// The result of a case that did not end by itself, with what the kernel logged meanwhile. A splat in it decides the
    /// verdict.
    fn with_log(&self, planned: &Planned, mut result: CaseResult, lines: Vec<String>) -> CaseResult {
        if result.kernel_log.is_empty() {
            result.kernel_log = lines;
        }
        let said = &self.plan.case(planned).0.kernel_log;
        let mut message = result.message.unwrap_or_default();
        if let Some(line) = log::first_alarm(&result.kernel_log, said) {
            result.verdict = Verdict::Failed;
            message = format!("the kernel logged: {line}; {message}");
        } else if let Some(line) = result.kernel_log.iter().find(|line| line.contains("Out of memory: Killed process"))
        {
            message = format!("{message}; the machine ran out of memory: {line}");
        }
        let place = result.at.take().unwrap_or_else(|| format!("{}:{}", planned.id.file, planned.id.line));
        let more = result.detail.take().map(|detail| format!("\n{detail}")).unwrap_or_default();
        let detail = Some(format!("{message}\n  --> {place}{more}"));
        self.known(planned, CaseResult { detail, at: Some(place), message: Some(message), link: None, ..result })
    }

    /// The result, after the known issue of the case is considered.
    fn known(&self, planned: &Planned, mut result: CaseResult) -> CaseResult {
        let all = Issue::of(self.plan, planned);
        if all.is_empty() {
            return result;
        }
        let (_, path) = self.plan.case(planned);
        let mut scope = planned.scope.clone();
        let device = planned.device.and_then(|device| self.setup.devices[device].bdf.parse().ok());
        if let Some(bdf) = device {
            host_facts(&mut scope, bdf);
        }
        let title = result.message.take().unwrap_or_default();
        let told = Problem::new(Code::KnownIssue, path.join("name"), title);
        match known_issue::judge(&all, &scope, (result.verdict, Some(told)), None) {
            Judged::Unseen(reason) => (result.verdict, result.message) = (Verdict::Skipped, Some(reason)),
            Judged::Known(known, _) => {
                result.verdict = Verdict::KnownIssue;
                (result.message, result.link) = (Some(known.reason), known.link);
            }
            Judged::As(verdict, told) => {
                let told = told.expect("there was a problem, and there still is");
                let detail = result.detail.get_or_insert_default();
                told.what.help.iter().for_each(|help| *detail += &format!("\n  = help: {help}"));
                (result.verdict, result.message) = (verdict, Some(told.what.title));
            }
        }
        result
    }
}

fn late(planned: &Planned, timed_out: TimedOut, elapsed: Duration) -> CaseResult {
    let TimedOut { step, told, ours, stuck } = timed_out;
    let mut message = format!("timed out after {:?}", planned.timeout);
    if let Some(step) = &step {
        message.push_str(&format!(" in {step}"));
    }
    if ours {
        message.push_str("; neither kernel nor device was waited for, so that this is no verdict on them");
    }
    if stuck.is_some() {
        message.push_str("; the process cannot be killed: it is stuck in the kernel, and the device is given up");
    }
    let verdict = if ours { Verdict::Error } else { Verdict::Failed };
    let told = told.map_or_else(|| CaseResult::new(planned.id.case, verdict, elapsed), |told| *told);
    CaseResult {
        verdict,
        micros: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        message: Some(message),
        detail: stuck,
        carets: Vec::new(),
        at: step.and_then(|step| step.place),
        ..told
    }
}
