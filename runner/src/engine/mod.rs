// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs cases on this host.
//!
//! ```text
//! the runner: run()                          a worker process: worker::main
//!
//! plan ──▶ schedule ──case──▶ process ══JSON lines══▶ Engine ──▶ backend, uapi
//!                                │                       │
//! events ◀───────────────────────┘ ◀══════results════════┘
//! ```
//!
//! [`run()`] hands cases to a worker, and takes its results. It interrupts a worker whose case is late, starts another after a crash, and
//! gives a device up that a case left stuck in the kernel. [`Engine`] lives in the worker: it opens the devices, runs the steps of a case,
//! has the observers look before and after, and proves that the case left nothing behind.
//!
//! To begin, read `Engine::run`; what a verb does is in `verb/`.

mod call;
mod case;
mod checks;
mod device;
mod devices;
mod failure;
mod faults;
mod fixture;
mod iova;
mod known_issue;
mod last_step;
mod log;
mod mappings;
mod objects;
mod observers;
mod parallel;
mod process;
mod regions;
mod run;
pub mod schedule;
mod verb;
pub mod worker;

use std::time::Instant;

pub use run::{Left, run};
pub use schedule::Schedule;

use crate::{
    event::{CaseResult, DeviceUsed, Unchecked},
    host::{facts, kmsg::Window},
    language::Logged,
    model::{Observed, Verdict, code::Code},
    plan::Plan,
    uapi::{Call, Tracer},
};
use case::Execution;
use failure::{End, Problem};
use faults::Faults;
use fixture::Fixtures;
use last_step::Doing;
use regions::Pool;

/// Runs the cases of a plan, one at a time, and keeps between them what may be kept: an open device, and huge pages.
pub struct Engine {
    plan: Plan,
    devices: Vec<DeviceUsed>,
    tracer: Tracer,
    // Before the pool in the order of drops: a device lets go of memory before it is unmapped.
    fixtures: Fixtures,
    pool: Pool,
    faults: Faults,
}

impl Engine {
    /// An engine for the plan, on devices that are bound to vfio-pci.
    pub fn new(plan: Plan, devices: Vec<DeviceUsed>) -> Engine {
        let tracer = Tracer::new();
        let (fixtures, pool) = (Fixtures::new(&tracer), Pool::new(&tracer));
        Engine { plan, devices, fixtures, pool, faults: Faults::new(), tracer }
    }

    /// From now on each call is also told at once.
    pub fn trace(&self, live: fn(&Call)) {
        self.tracer.tell(live);
    }

    /// Runs one case; `step` hears of each step before it begins.
    pub fn run(&mut self, case: u32, step: &mut dyn FnMut(Doing)) -> CaseResult {
        let begin = Instant::now();
        let planned = &self.plan.cases[case as usize];
        // Without access to the log (not root) there is no window on it, and no lines.
        let mut window = Window::open(&planned.id.id().to_string()).ok();
        let taint = facts::taint();
        self.tracer.take();
        self.fixtures.before.clear();
        self.pool.before.clear();
        let mut execution = Execution::new(&self.plan, planned, &self.devices, &self.tracer);
        execution.faults = Some(&mut self.faults);
        let end = execution.run(&mut self.fixtures, &mut self.pool, step);
        let (mut checks, mut unchecked, mut trace) = (execution.checks, execution.unchecked, execution.trace);
        let (mut observers, scope) = (execution.observers, execution.scope);
        let true_backend = (execution.backend != planned.backend).then(|| execution.backend.to_string());
        let measured = execution.measured;
        let source = &self.plan.scenarios[planned.scenario].source;
        let (written, path) = self.plan.case(planned);
        let mut skipped = None;
        let (mut verdict, mut problem) = match end {
            Ok(()) => (Verdict::Passed, None),
            Err(End::Skipped(reason)) => {
                skipped = Some(reason);
                (Verdict::Skipped, None)
            }
            Err(End::Failed(problem)) => (Verdict::Failed, Some(problem)),
            Err(End::Error(problem)) => (Verdict::Error, Some(problem)),
        };
        let records = window.as_mut().and_then(|window| window.records().ok()).unwrap_or_default();
        let mut kernel_log: Vec<String> = records.into_iter().map(|record| record.text).collect();
        let expects_fault = written.kernel_log.expect == Some(Logged::IommuFault);
        if expects_fault && verdict == Verdict::Passed {
            if let Some(window) = &mut window {
                self.faults.await_one(window, &mut kernel_log);
            }
            let at = path.join("kernel_log").join("expect");
            match self.faults.missing(window.as_ref(), &kernel_log, at) {
                None => checks += 1,
                Some(Ok(missing)) => {
                    checks += 1;
                    (verdict, problem) = (Verdict::Failed, Some(missing));
                    trace = self.tracer.take();
                    self.fixtures.close();
                }
                Some(Err(unknown)) => unchecked.push(unknown),
            }
        }
        self.faults.remember(&kernel_log);
        let alarming: Vec<String> =
            kernel_log.iter().filter(|line| !(expects_fault && log::is_fault(line))).cloned().collect();
        let lost = window.as_ref().map(Window::lost);
        let log = log::observe(lost, &alarming, &written.kernel_log.allow);
        let taint = observers::taint::observe(taint, facts::taint(), &kernel_log, &written.kernel_log.allow);
        // The log says what the taint is about.
        for seen in [log, taint] {
            if seen.state == Observed::Broken && matches!(verdict, Verdict::Passed | Verdict::Skipped) {
                verdict = Verdict::Failed;
                let title = seen.detail.clone().unwrap_or_default();
                let told = Problem::new(Code::KernelLog, path.join("name"), title).label("while this case ran");
                let told = match kernel_log.iter().any(|line| log::is_fault(line)) {
                    true => told.help(
                        "where the case wants the IOMMU to refuse, `kernel_log: { expect: iommu_fault }` on it says so",
                    ),
                    false => told,
                };
                problem = Some(told.help(
                    "where it is known and right, `kernel_log: { allow: [TEXT] }` on the case allows lines with that text",
                ));
                trace = self.tracer.take();
                self.fixtures.close();
            }
            observers.push(seen);
        }
        if verdict == Verdict::Passed && checks == 0 {
            match unchecked.first() {
                Some(Unchecked { what, reason, .. }) => {
                    verdict = Verdict::Skipped;
                    skipped = Some(format!("nothing of it can be checked here: {what}: {reason}"));
                }
                None => {
                    verdict = Verdict::Error;
                    let problem_of =
                        Problem::new(Code::AssertsNothing, path.join("name"), "the case has asserted nothing");
                    problem = Some(problem_of.label("expected at least one call or check that can fail"));
                }
            }
        }
        if let Some(known) = &written.known_issue {
            match known_issue::judge(known, &path, &scope, verdict, problem) {
                known_issue::Judged::As(judged, told) => (verdict, problem) = (judged, told),
                known_issue::Judged::Known(reason, told) => {
                    verdict = Verdict::KnownIssue;
                    skipped = Some(reason);
                    problem = Some(told);
                }
            }
        }
        let message = problem.as_ref().map(|problem| problem.title.clone());
        let mut before = Vec::new();
        if !trace.lines.is_empty() {
            before.append(&mut self.fixtures.before);
            before.append(&mut self.pool.before);
        }
        CaseResult {
            before,
            // Of a skip or a known issue the reason is said rather than what came of it.
            message: skipped.or(message),
            detail: problem.as_ref().map(|problem| problem.render(source)),
            carets: problem.as_ref().map(|problem| problem.carets(source)).unwrap_or_default(),
            at: problem.as_ref().map(|problem| problem.place(source)),
            trace: trace.lines,
            failed_calls: trace.failed,
            kernel_log,
            unchecked,
            measured,
            checks,
            observers,
            true_backend,
            ..CaseResult::new(case, verdict, begin.elapsed())
        }
    }
}
