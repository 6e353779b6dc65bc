// SPDX-License-Identifier: MIT OR Apache-2.0
//! One case: its conditions, its memory, its steps, and the proof that it left nothing behind.

use std::{collections::BTreeMap, os::fd::OwnedFd, sync::Arc};

use minijinja::Value;

use super::{
    call::{Kept, Prepared},
    device::{self, Changed},
    devices::{Devices, Opened, cannot_open, no_functions},
    failure::{End, Problem},
    faults::Faults,
    fixture::{Fixtures, Open, Unclean},
    iova::IovaAllocator,
    last_step::Doing,
    mappings::Mappings,
    objects::Objects,
    observers::{Baseline, broken, unchecked},
    regions::{Around, Held, Pool, no_bar},
    verb::sequence,
};
use crate::{
    backend::{self, Rules},
    event::{DeviceUsed, Measured, Observation, Unchecked},
    host::facts,
    language::{self, BackendOptions, Condition, Dynamic, LoadedPack, MOST_STEPS, Path, Scope, Size, Source, Target},
    model::{BackendName, Bdf, Errno, Observed, code::Code},
    plan::{self, Plan, Planned, PlannedStep},
    uapi::{LockLimit, Trace, Tracer, system},
};

/// A case while it runs.
pub struct Execution<'a> {
    pub plan: &'a Plan,
    pub planned: &'a Planned,
    pub given: &'a [DeviceUsed],
    /// Its devices.
    pub devices: Arc<Devices>,
    /// The number of the one that the step is on.
    pub current: usize,
    /// Those that it opened itself.
    pub opened: Arc<Opened>,
    /// The backend whose outcomes are expected: the one that answers, which is not the one that was asked for where IOMMUFD
    /// plays VFIO's container.
    pub backend: BackendName,
    /// What the scenario sets for it.
    pub options: BackendOptions,
    /// What its expressions know by now.
    pub scope: Scope,
    /// How many checks were made.
    pub checks: u32,
    /// How long steps took that ran at the same time.
    pub measured: Vec<Measured>,
    /// Checks that were asked for and not made.
    pub unchecked: Vec<Unchecked>,
    /// The calls that led to the problem, if there is one.
    pub trace: Trace,
    pub tracer: &'a Tracer,
    /// How many steps it has run.
    pub steps_run: u64,
    /// What it holds of the device that the step is on.
    pub device: device::Held,
    /// What it holds of the others, by their numbers.
    pub others: BTreeMap<usize, device::Held>,
    /// The files that it opened.
    pub files: BTreeMap<String, OwnedFd>,
    /// What it made and moved on the open device's IOMMUFD.
    pub objects: Objects,
    /// The memory of procedures that it called.
    pub kept: Kept,
    /// These procedures.
    pub procedures: Prepared<'a>,
    /// What it has mapped on the open device.
    pub mappings: Mappings,
    /// What watched it, and what each saw.
    pub observers: Vec<Observation>,
    /// How it was before, once that can be told.
    baseline: Option<Baseline>,
    /// What the kernel has logged of faults.
    pub faults: Option<&'a mut Faults>,
}

/// Adds what expressions know of the host that has this device.
pub fn host_facts(scope: &mut Scope, bdf: Bdf) {
    scope.set("page_size", Value::from(system::page_size()));
    scope.set("kernel", Value::from(facts::kernel()));
    scope.set("iommu", Value::from(facts::iommu(bdf).to_string()));
}

/// What steps run in.
pub struct Frame<'f, 'a> {
    /// The device, where it is open.
    pub open: Option<&'f Open>,
    /// The regions that the steps know.
    pub held: &'f [Held],
    /// The IOVAs that are not taken.
    pub iovas: &'f IovaAllocator,
    /// Where memory comes from, where the device is open.
    pub pool: Option<&'f mut Pool>,
    /// The pack of the procedure that the steps are of.
    pub pack: Option<&'a LoadedPack>,
    /// The file that the steps are written in.
    pub source: &'f Source,
}

impl Frame<'_, '_> {
    /// Where in the file something is written: `file:line`.
    pub fn place(&self, at: &Path) -> String {
        format!("{}:{}", self.source.name, self.source.locate(at, Target::Value).line)
    }
}

/// What a call gave: the bytes that it reports, where it reports some.
pub type Got = Result<Option<u64>, Errno>;

impl<'a> Execution<'a> {
    /// The case, about to run.
    pub fn new(plan: &'a Plan, planned: &'a Planned, given: &'a [DeviceUsed], tracer: &'a Tracer) -> Execution<'a> {
        let scope = planned.scope.clone();
        Execution {
            plan,
            planned,
            given,
            devices: Arc::new(Devices::none()),
            current: 0,
            opened: Arc::default(),
            backend: planned.backend,
            options: planned.options,
            scope,
            checks: 0,
            measured: Vec::new(),
            unchecked: Vec::new(),
            trace: Trace::default(),
            tracer,
            steps_run: 0,
            device: device::Held::default(),
            others: BTreeMap::new(),
            files: BTreeMap::new(),
            objects: Objects::default(),
            kept: Kept::new(),
            procedures: Prepared::new(),
            mappings: Mappings::default(),
            observers: Vec::new(),
            baseline: None,
            faults: None,
        }
    }

    /// Runs it. The device is closed after a case that did not pass, so that the next one gets a new one.
    pub fn run(&mut self, fixtures: &mut Fixtures, pool: &mut Pool, step: &mut dyn FnMut(Doing)) -> Result<(), End> {
        let (case, path) = self.plan.case(self.planned);
        let fresh = self.planned.fixture == language::Fixture::Fresh;
        let has_functions = self.planned.functions() > 0;
        if has_functions {
            fixtures.close();
            step(format!("making virtual functions for {}", self.planned.id.name).into());
        }
        self.devices = Arc::new(Devices::of(self.planned, self.given, fixtures, &path)?);
        let end = match self.planned.fixture {
            language::Fixture::None => {
                fixtures.close();
                self.baseline = Some(Baseline::take(&pool.kept()));
                self.alone(case, &path, pool, step)
            }
            language::Fixture::Shared | language::Fixture::Fresh => self.in_fixture(case, &path, fixtures, pool, step),
        };
        if self.trace.lines.is_empty() && matches!(end, Err(End::Failed(_) | End::Error(_))) {
            self.trace = self.tracer.take();
        }
        self.files.clear();
        // Taken and dropped here: a device is closed only once nothing of it is mapped.
        let mut changed = std::mem::take(&mut self.device).changed > Changed::No;
        changed |= std::mem::take(&mut self.others).into_values().any(|held| held.changed > Changed::No);
        self.opened.clear();
        let mut end = self.observe(end, &path, fixtures, pool);
        let went_wrong = !matches!(end, Ok(()) | Err(End::Skipped(_)));
        if fresh || changed || has_functions || went_wrong {
            fixtures.close();
        }
        if has_functions && went_wrong {
            step(format!("removing the virtual functions of {}", self.planned.id.name).into());
            let gone = fixtures.remove_functions();
            end = end.and(gone.map_err(|error| no_functions(&error, &path)));
        }
        end
    }

    /// Holds the process and the host against how they were before. The first thing that went wrong is what is told.
    fn observe(&mut self, end: Result<(), End>, path: &Path, fixtures: &mut Fixtures, pool: &Pool) -> Result<(), End> {
        let Some(baseline) = self.baseline.take() else { return end };
        let (seen, now) = baseline.compare(&pool.kept());
        self.observers.extend(seen);
        fixtures.after = Some(now);
        let first = self.observers.iter().find(|seen| seen.state == Observed::Broken);
        match (first, &end) {
            (Some(Observation { observer, detail, .. }), Ok(()) | Err(End::Skipped(_))) => {
                let title = detail.clone().unwrap_or_default();
                let problem = Problem::new(Code::Observer, path.join("name"), title);
                if self.trace.lines.is_empty() {
                    self.trace = self.tracer.take();
                }
                Err(End::Failed(problem.label(format!("`{observer}` has to be after this case as it was before"))))
            }
            _ => end,
        }
    }

    fn in_fixture(
        &mut self,
        case: &language::Case,
        path: &Path,
        fixtures: &mut Fixtures,
        pool: &mut Pool,
        step: &mut dyn FnMut(Doing),
    ) -> Result<(), End> {
        let name = path.join("name");
        let fresh = self.planned.fixture == language::Fixture::Fresh;
        // What is known of the kernel may spare it the opening, which may be just what that kernel cannot do. Where another backend may
        // answer, only the opening shows which.
        if Rules::of(self.backend).played_by.is_none() {
            self.scope.set("kernel", Value::from(facts::kernel()));
            self.requirements(case, path, Known::Already)?;
        }
        step(format!("opening the device for {}", self.planned.id.name).into());
        let members = self.devices.members();
        let open = fixtures.get(&members, self.planned.backend, fresh);
        let (open, before) = open.map_err(|error| cannot_open(error, name.clone()))?;
        self.becomes(open.session.true_name(), case)?;
        self.baseline = Some(before.unwrap_or_else(|| Baseline::take(&pool.kept())));
        self.learn(Some(open));
        let (regions, steps) = plan::planned(case, path, self.backend);
        let needs_bar = regions
            .iter()
            .any(|(_, region, _)| region.memory.is_bar() && !matches!(region.bar, Some(language::Bar::Index(_))));
        if needs_bar && open.largest_bar.is_none() {
            return Err(no_bar());
        }
        self.requirements(case, path, Known::All)?;
        self.can_call(&steps)?;
        if case.kernel_log.expect.is_some()
            && let Some(faults) = &mut self.faults
        {
            faults.wait((self.planned.scenario, self.planned.case, self.planned.device), step);
        }

        let mut held = Vec::new();
        let end = self
            .regions_and_steps(&regions, &steps, Some(open), pool, &mut held, step)
            .and_then(|()| self.look_at_leaves(open, &name, true));
        held.extend(std::mem::take(&mut self.kept).into_values());
        if end.is_err() {
            self.trace = self.tracer.take();
        }
        if end.is_ok() && self.device.restore(open) {
            self.device.changed = Changed::No;
        }
        // Proved after every case that ran, whatever it gave: the first thing that went wrong is what is told.
        step(format!("unmapping what is left of {}", self.planned.id.name).into());
        let clean = self.take_back(open);
        match &clean {
            Ok(seen) => {
                self.observers.extend(seen.iter().cloned());
                pool.put_back(held);
            }
            // A skip tells nothing of it; the next case is not to find it, and not to get memory that a device may still reach.
            Err(_) => self.device.changed = Changed::More,
        }
        self.tell_leaves(open);
        if let Err(Unclean::Left(observer, what)) = &clean {
            self.observers.retain(|seen| seen.observer != *observer);
            self.observers.push(broken(observer, what.clone()));
        }
        end?;
        clean.map(drop).map_err(|unclean| match unclean {
            Unclean::Left(_, left) => End::Failed(
                Problem::new(Code::LeftBehind, name, format!("the case left something behind: {left}"))
                    .label("after this case")
                    .help("everything was unmapped after its last step, and should have been gone"),
            ),
            Unclean::Unknown(observer, why) => {
                self.observers.push(unchecked(observer, why.clone()));
                let title = format!("failed to look whether the case left something behind: {why}");
                End::Error(Problem::new(Code::Observer, name, title).label("after this case"))
            }
        })
    }

    /// A case that opens the device by itself.
    fn alone(
        &mut self,
        case: &language::Case,
        path: &Path,
        pool: &mut Pool,
        step: &mut dyn FnMut(Doing),
    ) -> Result<(), End> {
        if let Some(truth) = backend::disguised(self.planned.backend, self.tracer) {
            self.becomes(truth, case)?;
        }
        self.learn(None);
        self.requirements(case, path, Known::All)?;
        let (regions, steps) = plan::planned(case, path, self.backend);
        let mut held = Vec::new();
        let end = self.regions_and_steps(&regions, &steps, None, pool, &mut held, step);
        if end.is_err() {
            self.trace = self.tracer.take();
        }
        held.extend(std::mem::take(&mut self.kept).into_values());
        // Before the memory: what a device may reach of it is given back by closing.
        self.files.clear();
        self.device.let_go();
        self.others.values_mut().for_each(device::Held::let_go);
        self.opened.clear();
        pool.put_back(held);
        end
    }

    fn regions_and_steps(
        &mut self,
        regions: &[(String, language::Region, Path)],
        steps: &[PlannedStep],
        open: Option<&Open>,
        pool: &mut Pool,
        held: &mut Vec<Held>,
        step: &mut dyn FnMut(Doing),
    ) -> Result<(), End> {
        for (name, region, at) in regions {
            let device = open.map(|open| open.session.device());
            let largest = open.and_then(|open| open.largest_bar.as_ref());
            let made = pool.make(name, region, at, &Around { scope: &self.scope, device, largest, held })?;
            self.scope.set(name, made.facts());
            held.push(made);
        }
        self.steps(steps, open, held, Some(pool), step)
    }

    fn steps(
        &mut self,
        steps: &[PlannedStep],
        open: Option<&Open>,
        held: &[Held],
        pool: Option<&mut Pool>,
        step: &mut dyn FnMut(Doing),
    ) -> Result<(), End> {
        let iovas = IovaAllocator::new(open.map(|open| open.iova_ranges.clone()).unwrap_or_default());
        let source = &self.plan.scenarios[self.planned.scenario].source;
        let mut frame = Frame { open, held, iovas: &iovas, pool, pack: None, source };
        let (case, path) = self.plan.case(self.planned);
        let at = path.join("limits").join("memlock");
        // Held to until the last step is done.
        let _limit = match self.optional(&case.limits.memlock, &at)? {
            None => None,
            Some(bytes) => Some(LockLimit::set(bytes, self.tracer).map_err(|errno| {
                End::Error(Problem::new(Code::Limit, at, format!("failed to limit the memory to lock: {errno}")))
            })?),
        };
        sequence(self, steps, &mut frame, step)
    }

    /// Takes the backend that answers for the one that was asked for; where the case says nothing of it, it cannot apply here.
    fn becomes(&mut self, truth: BackendName, case: &language::Case) -> Result<(), End> {
        if truth == self.backend {
            return Ok(());
        }
        let scenario = &self.plan.scenarios[self.planned.scenario].scenario;
        let options = scenario.backends.0.iter().find(|(name, _)| *name == truth).map(|(_, options)| *options);
        let meant = case.backends.as_ref().is_none_or(|patterns| patterns.iter().any(|p| p.matches(truth)));
        let Some(options) = options.filter(|_| meant) else {
            return Err(End::Skipped(format!(
                "IOMMUFD plays /dev/vfio/vfio on this kernel (CONFIG_IOMMUFD_VFIO_CONTAINER): this would be {truth}, which the \
                 case is not for"
            )));
        };
        (self.backend, self.options) = (truth, options);
        let (line, values) = (&self.plan.command_line, &self.planned.combination);
        if let Ok(scope) = language::static_scope(scenario, case, line, truth, values) {
            self.scope = scope;
        }
        Ok(())
    }

    /// Counts a step: a case comes to an end, whatever its expressions say.
    pub fn count_step(&mut self, at: &Path) -> Result<(), End> {
        self.steps_run += 1;
        match self.steps_run > MOST_STEPS {
            true => {
                let title = format!("the case has run {MOST_STEPS} steps, which is the most that one may");
                Err(End::Error(Problem::new(Code::TooManySteps, at.clone(), title)))
            }
            false => Ok(()),
        }
    }

    /// Has steps be on the device of this number; gives the number of the one that they were on.
    pub fn turn_to(&mut self, number: usize) -> usize {
        let before = std::mem::replace(&mut self.current, number);
        if before != number {
            let held = self.others.remove(&number).unwrap_or_default();
            self.others.insert(before, std::mem::replace(&mut self.device, held));
        }
        before
    }

    /// What expressions know once the device is open; of one that is not, what the kernel says without.
    fn learn(&mut self, open: Option<&Open>) {
        let (case, _) = self.plan.case(self.planned);
        for (name, facts) in self.devices.all_facts(case, open) {
            self.scope.set(&name, facts);
        }
        if let Some(open) = open {
            let bar = open.largest_bar.as_ref();
            let bar = bar.map(|bar| Value::from_pairs([("index", u64::from(bar.index)), ("size", bar.size)]));
            self.scope.set("bar", Value::from(bar));
            self.scope.set("iova_ranges", ranges(&open.iova_ranges));
        }
        host_facts(&mut self.scope, self.devices.bdf(0));
        // The variables that needed these.
        let scenario = &self.plan.scenarios[self.planned.scenario].scenario;
        let (case, _) = self.plan.case(self.planned);
        language::late_variables(&mut self.scope, scenario, case);
    }

    fn requirements(&mut self, case: &language::Case, path: &Path, known: Known) -> Result<(), End> {
        let scenario = &self.plan.scenarios[self.planned.scenario].scenario;
        let of_scenario =
            scenario.requires.iter().enumerate().map(|(index, r)| (Path::root().join("requires").join(index), r));
        let of_case = case.requires.iter().enumerate().map(|(index, r)| (path.join("requires").join(index), r));
        for (at, requirement) in of_scenario.chain(of_case) {
            let Some(Condition { that, because }) = requirement.condition.as_deref() else { continue };
            let wrong = |key: &str, error| End::Error(Problem::expression(at.join(key), &error));
            let names = that.undeclared().unwrap_or_default();
            if known == Known::Already && names.iter().any(|name| self.scope.get(&name.name).is_none()) {
                continue;
            }
            if !that.resolve(&self.scope).map_err(|error| wrong("that", error))? {
                let because = because.render(&self.scope).map_err(|error| wrong("because", error))?;
                return Err(End::Skipped(because));
            }
        }
        Ok(())
    }

    pub fn size(&self, value: &Dynamic<Size>, at: &Path) -> Result<u64, End> {
        value
            .resolve(&self.scope)
            .map(|size| size.0)
            .map_err(|error| End::Error(Problem::expression(at.clone(), &error)))
    }

    pub fn optional(&self, value: &Option<Dynamic<Size>>, at: &Path) -> Result<Option<u64>, End> {
        value.as_ref().map(|value| self.size(value, at)).transpose()
    }
}

/// Which conditions are looked at.
#[derive(PartialEq)]
enum Known {
    /// Those on what is known by now.
    Already,
    /// Each of them.
    All,
}

/// Ranges of IOVAs, as expressions know them.
pub fn ranges(ranges: &[crate::backend::IovaRange]) -> Value {
    ranges.iter().map(|range| Value::from_pairs([("start", range.start), ("last", range.last)])).collect()
}
