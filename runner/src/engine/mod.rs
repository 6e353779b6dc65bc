//! Runs cases on this host: [`run`] is the runner's side, [`worker`] the process that issues the ioctls, [`Engine`] what it does.

mod case;
mod device;
mod failure;
mod fixture;
mod iova;
mod object;
mod regions;
mod run;
pub mod worker;

use std::time::Instant;

pub use run::run;

use crate::{
    event::{CaseResult, DeviceUsed, Verdict},
    host::kmsg::Window,
    plan::Plan,
    uapi::Tracer,
};
use case::Execution;
use failure::End;
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
        let (checks, unchecked, trace) = (execution.checks, execution.unchecked, execution.trace);
        let source = &self.plan.scenarios[planned.scenario].source;
        let (verdict, problem) = match end {
            Ok(()) => (Verdict::Passed, None),
            Err(End::Skipped(reason)) => {
                return CaseResult {
                    message: Some(reason),
                    checks,
                    ..CaseResult::new(case, Verdict::Skipped, begin.elapsed())
                };
            }
            Err(End::Failed(problem)) => (Verdict::Failed, Some(problem)),
            Err(End::Error(problem)) => (Verdict::Error, Some(problem)),
        };
        let records = window.as_mut().and_then(|window| window.records().ok()).unwrap_or_default();
        let kernel_log = records.into_iter().map(|record| record.text).collect();
        CaseResult {
            message: problem.as_ref().map(|problem| problem.title.clone()),
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
