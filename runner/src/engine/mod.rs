//! Runs cases on this host: [`run`] is the runner's side, [`worker`] the process that issues the ioctls, [`Engine`] what it does.

mod call;
mod case;
mod checks;
mod control;
mod data;
mod device;
mod failure;
mod fault;
mod fixture;
mod iommufd;
mod iova;
mod log;
mod object;
mod process;
mod regions;
mod run;
pub mod schedule;
pub mod worker;

use std::time::Instant;

pub use run::{Left, run};
pub use schedule::Schedule;

use crate::{
    event::{CaseResult, DeviceUsed, Unchecked, Verdict},
    host::kmsg::Window,
    plan::Plan,
    uapi::Tracer,
};
use case::Execution;
use failure::{End, Problem};
use fixture::Fixtures;
use regions::Pool;

/// Runs the cases of a plan, one at a time, and keeps between them what may be kept: an open device, and huge pages.
pub struct Engine {
    plan: Plan,
    devices: Vec<DeviceUsed>,
    tracer: Tracer,
    // Before the pool in the order of drops: a device lets go of memory before it is unmapped.
    fixtures: Fixtures,
    pool: Pool,
}

impl Engine {
    /// An engine for the plan, on devices that are bound to vfio-pci.
    pub fn new(plan: Plan, devices: Vec<DeviceUsed>) -> Engine {
        let tracer = Tracer::new();
        Engine { plan, devices, fixtures: Fixtures::new(&tracer), pool: Pool::new(&tracer), tracer }
    }

    /// Runs one case; `step` hears of each step before it begins.
    pub fn run(&mut self, case: u32, step: &mut dyn FnMut(String)) -> CaseResult {
        let begin = Instant::now();
        let planned = &self.plan.cases[case as usize];
        let device = &self.devices[planned.device.expect("the runner keeps cases without a device")];
        // Without access to the log (not root) there is no window on it, and no lines.
        let mut window = Window::open(&planned.id.id()).ok();
        self.tracer.take();
        let mut execution = Execution::new(&self.plan, planned, device, &self.tracer);
        let end = execution.run(&mut self.fixtures, &mut self.pool, step);
        let (checks, mut unchecked, mut trace) = (execution.checks, execution.unchecked, execution.trace);
        let source = &self.plan.scenarios[planned.scenario].source;
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
        let kernel_log: Vec<String> = records.into_iter().map(|record| record.text).collect();
        if window.is_none() {
            let reason = "/dev/kmsg cannot be read, which takes root".to_owned();
            unchecked.push(Unchecked { what: "kernel log".into(), reason, by_choice: false });
        }
        let (written, path) = self.plan.case(planned);
        if matches!(verdict, Verdict::Passed | Verdict::Skipped)
            && let Some(line) = log::first_alarm(&kernel_log, &written.kernel_log.allow)
        {
            verdict = Verdict::Failed;
            let alarm = Problem::new("kernel-log", path.join("name"), format!("the kernel logged: {line}"));
            problem = Some(alarm.label("while this case ran").help(
                "where it is known and right, `kernel_log: { allow: [TEXT] }` on the case allows lines with that text",
            ));
            trace = self.tracer.take();
            self.fixtures.close();
        }
        CaseResult {
            message: problem.as_ref().map(|problem| problem.title.clone()).or(skipped),
            detail: problem.as_ref().map(|problem| problem.render(source)),
            at: problem.as_ref().map(|problem| problem.place(source)),
            trace,
            kernel_log,
            unchecked,
            checks,
            ..CaseResult::new(case, verdict, begin.elapsed())
        }
    }
}
