// SPDX-License-Identifier: MIT OR Apache-2.0
//! One case after the other: its conditions, its memory, its steps, the proof that it left nothing behind, and its verdict.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use minijinja::Value;

use super::{
    answers::Answers,
    any,
    context::{Context, Frame, Mapped},
    device::{Changed, DeviceState},
    devices::{Devices, cannot_open, host_facts, no_functions, ranges},
    failure::{End, Problem},
    faults::Faults,
    fixture::{Fixtures, Open, Unclean},
    iova::IovaAllocator,
    judge::{Judgement, Watch},
    known_issue::Issue,
    last_step::Doing,
    leaves,
    ledger::Ledger,
    observers::{Baseline, broken, unchecked},
    procedure,
    regions::{Around, Held, Pool, no_bar},
    verb::sequence,
};
use crate::{
    backend::{self, OpenError, Rules},
    event::{CaseResult, DeviceUsed, Observation},
    host::{bind, bind::BindError, facts, hotplug, pci},
    language::{self, Condition, Fixture, Path, Region, every_step, verb::Verb},
    model::{BackendName, Bdf, Observed, Verdict, code::Code},
    plan::{self, Plan, Planned, PlannedStep},
    uapi::{Call, LockLimit, Tracer},
};

/// Runs the cases of a plan, one at a time, and keeps between them what may be kept: an open device, and huge pages.
pub struct Engine {
    plan: Plan,
    devices: Vec<DeviceUsed>,
    tracer: Tracer,
    // Before the pool in the order of drops: a device lets go of memory before it is unmapped.
    fixtures: Fixtures,
    pool: Pool,
    faults: Faults,
    /// Whether cases are only asked, and not judged.
    ask: bool,
    /// Is called when a case did not pass, before anything of it is taken back.
    keep: Option<fn()>,
    /// The backends that were looked for, with the devices, and why one is missing.
    looked: BTreeMap<(BackendName, Bdf), Option<String>>,
}

impl Engine {
    /// An engine for the plan, on devices that are bound to vfio-pci.
    pub fn new(mut plan: Plan, devices: Vec<DeviceUsed>, only: &[BackendName], ask: bool) -> Engine {
        any::settle(&mut plan, &devices, only);
        let tracer = Tracer::new();
        let (fixtures, pool) = (Fixtures::new(&tracer), Pool::new(&tracer));
        let (faults, looked) = (Faults::new(), BTreeMap::new());
        Engine { plan, devices, fixtures, pool, faults, ask, keep: None, looked, tracer }
    }

    /// From now on `look` is called when a case without a known issue did not pass: its device is open, and what it mapped is mapped.
    pub fn keep(&mut self, look: fn()) {
        self.keep = Some(look);
    }

    /// From now on `live` hears of each call at once.
    pub fn trace(&self, live: fn(&Call)) {
        self.tracer.tell(live);
    }

    /// Runs one case; `say` hears of each step before it begins.
    pub fn run(&mut self, case: u32, say: &mut dyn FnMut(Doing)) -> CaseResult {
        let begin = Instant::now();
        let Engine { plan, devices, tracer, fixtures, pool, faults, ask, keep, looked } = self;
        let planned = &plan.cases[case as usize];
        let (written, path) = plan.case(planned);
        // Before the kernel's log gets a line for it.
        if let Some(why) = missing(planned, devices, looked) {
            return CaseResult { message: Some(why), ..CaseResult::new(case, Verdict::Skipped, begin.elapsed()) };
        }
        let watch = Watch::begin(&planned.id.id().to_string());
        tracer.take();
        fixtures.before.clear();
        pool.before.clear();
        let mut context = Context::new(plan, planned, Arc::default(), tracer);
        context.found.answers = ask.then(Answers::default);
        let keep = keep.filter(|_| Issue::of(plan, planned).is_empty());
        let bench = Bench { given: devices, fixtures, pool, faults, say, keep, baseline: None };
        let end = bench.run(&mut context, written, &path);
        let Context { backend, scope, found, .. } = context;
        let source = &plan.scenarios[planned.scenario].source;
        let known = Issue::of(plan, planned);
        let judgement = Judgement::judge((written, path, source), known, end, (&scope, found), watch, faults, tracer);
        let Judgement { verdict, reason, link, problem, found, kernel_log, overruled, .. } = judgement;
        if overruled {
            fixtures.close();
        }
        let before =
            if found.trace.lines.is_empty() { Vec::new() } else { [&*fixtures.before, &*pool.before].concat() };
        CaseResult {
            before,
            // The result of a skip or a known issue gives the reason, not the problem.
            message: reason.or_else(|| problem.as_ref().map(|problem| problem.what.title.clone())),
            link,
            detail: problem.as_ref().map(|problem| {
                let shows = found.scenario.iter().map(|text| format!("\nthis scenario shows it:\n\n{text}"));
                problem.render(source) + &shows.collect::<String>()
            }),
            carets: problem.as_ref().map(|problem| problem.carets(source)).unwrap_or_default(),
            at: problem.as_ref().map(|problem| problem.place(source)),
            trace: found.trace.lines,
            failed_calls: found.trace.failed,
            kernel_log,
            page_table: found.page_table,
            unchecked: found.unchecked,
            measured: found.measured,
            injected: found.injected,
            checks: found.checks,
            observers: found.observers,
            explored: found.explored,
            scenario: found.scenario,
            answers: found.answers.map(Answers::into_list).unwrap_or_default(),
            true_backend: (backend != planned.backend || !planned.any.is_empty()).then(|| backend.to_string()),
            ..CaseResult::new(case, verdict, begin.elapsed())
        }
    }
}

/// Why the case cannot run, if this kernel lacks its backend or has not loaded it. A case that opens its device by itself knows what it needs.
fn missing(
    planned: &Planned,
    devices: &[DeviceUsed],
    looked: &mut BTreeMap<(BackendName, Bdf), Option<String>>,
) -> Option<String> {
    if planned.fixture == Fixture::None {
        return None;
    }
    let bdf: Bdf = devices[planned.device?].bdf.parse().ok()?;
    let look = || backend::look(planned.backend, bdf).err().filter(OpenError::is_missing);
    looked.entry((planned.backend, bdf)).or_insert_with(|| look().map(|error| error.to_string())).clone()
}

/// How long the kernel may take to do what it was told to, once the devices are closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a case takes devices from their driver, or out of the machine.
pub fn moves(case: &language::Case) -> bool {
    let steps = every_step(case.steps.as_deref().unwrap_or_default(), &Path::root());
    steps.iter().any(|placed| matches!(&placed.step.verb, Verb::Sysfs(sysfs) if sysfs.write.is_some()))
}

/// Has a device back on vfio-pci.
pub fn bring_back(device: &DeviceUsed) -> Result<(), BindError> {
    hotplug::bring_back(address(device))
}

fn address(device: &DeviceUsed) -> Bdf {
    device.bdf.parse().expect("the runner names devices by valid addresses")
}

/// What a case runs on.
struct Bench<'e> {
    given: &'e [DeviceUsed],
    fixtures: &'e mut Fixtures,
    pool: &'e mut Pool,
    faults: &'e mut Faults,
    say: &'e mut dyn FnMut(Doing),
    keep: Option<fn()>,
    /// How the process and the host were before the case, once that is known.
    baseline: Option<Baseline>,
}

impl Bench<'_> {
    /// Runs a case. The device is closed after one that did not pass, so that the next one gets a new one.
    fn run(mut self, context: &mut Context, case: &language::Case, path: &Path) -> Result<(), End> {
        let (planned, name) = (context.planned, &context.planned.id.name);
        let (has_functions, moves) = (planned.functions() > 0, moves(case));
        if has_functions {
            self.fixtures.close();
            (self.say)(format!("making virtual functions for {name}").into());
        }
        context.devices = Arc::new(Devices::of(planned, self.given, self.fixtures, path)?);
        // What vfio-pci does not have before a case, it need not have after it.
        let is_bound = |device: &usize| pci::driver(address(&self.given[*device])).as_deref() == Some(bind::VFIO);
        let moved: Vec<usize> = planned.given().filter(|device| moves && is_bound(device)).collect();
        let mut end = match planned.fixture {
            Fixture::None => self.alone(context, case, path),
            Fixture::Shared | Fixture::Fresh => self.in_fixture(context, case, path),
        };
        if context.found.trace.lines.is_empty() && matches!(end, Err(End::Failed(_) | End::Error(_))) {
            context.found.trace = context.tracer.take();
        }
        context.files.clear();
        // Dropped here: a device is closed only once none of its memory is mapped.
        let mut changed = std::mem::take(&mut context.device).changed > Changed::No;
        changed |= std::mem::take(&mut context.others).into_values().any(|state| state.changed > Changed::No);
        context.opened.clear();
        let left = self.observe(context, path);
        // The first failure is reported.
        if matches!(end, Ok(()) | Err(End::Skipped(_))) && left.is_err() {
            end = left;
            if context.found.trace.lines.is_empty() {
                context.found.trace = context.tracer.take();
            }
        }
        let went_wrong = !matches!(end, Ok(()) | Err(End::Skipped(_)));
        if planned.fixture == Fixture::Fresh || changed || has_functions || went_wrong || moves {
            self.fixtures.close();
        }
        if has_functions && went_wrong {
            (self.say)(format!("removing the virtual functions of {name}").into());
            let gone = self.fixtures.remove_functions();
            end = end.and(gone.map_err(|error| no_functions(&error, path)));
        }
        if moves {
            let back = self.bring_back(context, &moved, path);
            end = if matches!(end, Ok(()) | Err(End::Skipped(_))) { back.and(end) } else { end };
        }
        end
    }

    /// Has devices of a case back on vfio-pci. Nobody has them open by now.
    fn bring_back(&mut self, context: &mut Context, moved: &[usize], path: &Path) -> Result<(), End> {
        (self.say)(format!("bringing back the devices of {}", context.planned.id.name).into());
        let cannot = |why: String| End::Error(Problem::new(Code::Hotplug, path.join("name"), why));
        let mut end = Ok(());
        for mut given in std::mem::take(&mut context.orders) {
            if given.ordered.wait(PATIENCE, || false).is_none() {
                let why = format!("the kernel still waits for another process to close the device: {}", given.ordered);
                end = end.and(Err(cannot(why)));
            }
        }
        // They would wait for it, too.
        end?;
        // Each of them, also behind one that does not come.
        let back: Vec<_> = moved.iter().map(|device| bring_back(&self.given[*device])).collect();
        back.into_iter().collect::<Result<(), _>>().map_err(|error| cannot(error.to_string()))
    }

    /// Compares the process and the host with how they were before.
    fn observe(&mut self, context: &mut Context, path: &Path) -> Result<(), End> {
        let Some(baseline) = self.baseline.take() else { return Ok(()) };
        let (seen, now) = baseline.compare(&self.pool.kept());
        context.found.observers.extend(seen);
        self.fixtures.after = Some(now);
        let broken = context.found.observers.iter().find(|seen| seen.state == Observed::Broken);
        broken.map_or(Ok(()), |Observation { observer, detail, .. }| {
            let problem = Problem::new(Code::Observer, path.join("name"), detail.clone().unwrap_or_default());
            Err(End::Failed(problem.label(format!("`{observer}` has to be after this case as it was before"))))
        })
    }

    fn in_fixture(&mut self, context: &mut Context, case: &language::Case, path: &Path) -> Result<(), End> {
        let Bench { fixtures, pool, faults, say, keep, baseline, .. } = self;
        let (planned, name) = (context.planned, path.join("name"));
        // A condition on the kernel is checked first: opening may be what that kernel cannot do. If another backend may
        // answer, only opening shows which.
        if Rules::of(context.backend).played_by.is_none() {
            context.scope.set("kernel", Value::from(facts::kernel()));
            context.scope.set("arch", Value::from(facts::arch()));
            requirements(context, case, path, Known::Already)?;
        }
        say(format!("opening the device for {}", planned.id.name).into());
        let members = context.devices.members();
        let open = fixtures.get(&members, planned.backend, planned.fixture == Fixture::Fresh);
        let (open, before) = open.map_err(|error| cannot_open(error, name.clone()))?;
        becomes(context, open.session.true_name(), case)?;
        *baseline = Some(before.unwrap_or_else(|| Baseline::take(&pool.kept())));
        learn(context, case, Some(open));
        context.iovas = IovaAllocator::new(open.iovas());
        let (regions, steps) = plan::planned(case, path, context.backend, &context.scope);
        let needs_bar =
            |region: &Region| region.memory.is_bar() && !matches!(region.bar, Some(language::Bar::Index(_)));
        for (_, region, _) in regions.iter().filter(|(_, region, _)| needs_bar(region)) {
            let number = region.device.as_ref().map_or(0, |name| context.devices.number(&name.0));
            open.device(number).largest_bar.as_ref().ok_or_else(no_bar)?;
        }
        requirements(context, case, path, Known::All)?;
        can_call(context, &steps)?;
        if case.kernel_log.expect.is_some() {
            faults.wait((planned.scenario, planned.case, planned.device), say);
        }
        let mut held = Vec::new();
        let end = run_steps(context, case, path, (&regions, &steps), Some(open), pool, &mut held, say)
            .and_then(|()| context.leaves.compare(&context.ledger, open, &name, true, context.tracer))
            .and_then(|()| {
                let mut spaces = context.spaces.iter_mut();
                spaces.try_for_each(|(home, Mapped { ledger, leaves, .. })| {
                    leaves.compare(ledger, open.device(*home), &name, true, context.tracer)
                })
            });
        held.extend(std::mem::take(&mut context.procedures.memory).into_values());
        if end.is_err() {
            context.found.trace = context.tracer.take();
        }
        if let Err(End::Failed(_) | End::Error(_)) = end {
            context.found.page_table = leaves::shown(&context.ledger, open);
            keep.iter().for_each(|look| look());
        }
        if end.is_ok() && context.device.restore(open) {
            context.device.changed = Changed::No;
        }
        // Every case that ran is checked, also one that failed. The first failure is reported.
        say(format!("unmapping what is left of {}", planned.id.name).into());
        let own = std::mem::take(&mut context.objects).take_back(open, 0, context.tracer);
        let mut observed = std::mem::take(&mut context.leaves).observation(&context.ledger, open);
        let gone = std::mem::take(&mut context.spaces).into_iter().try_fold(own, |gone, (home, space)| {
            let seen = space.leaves.observation(&space.ledger, open.device(home));
            // The worst is told.
            if observed.state == Observed::Held || seen.state == Observed::Broken {
                observed = seen;
            }
            Ok(gone.and_then(|gone| Ok(space.objects.take_back(open, home, context.tracer)? || gone)))
        });
        let gone: Result<bool, Unclean> = gone.and_then(|gone| gone);
        let clean = gone.and_then(|gone| if gone { open.no_leaves().map(|()| Vec::new()) } else { open.clean() });
        let observers = &mut context.found.observers;
        match &clean {
            Ok(seen) => {
                observers.extend(seen.iter().cloned().chain([observed]));
                pool.put_back(held);
            }
            // Not even a skip may leave it to the next case, or memory that a device may still reach.
            Err(unclean) => {
                context.device.changed = Changed::More;
                observers.push(observed);
                let (Unclean::Left(name, what) | Unclean::Unknown(name, what)) = unclean;
                observers.retain(|seen| seen.observer != *name);
                let seen = if matches!(unclean, Unclean::Left(..)) { broken } else { unchecked };
                observers.push(seen(name, what.clone()));
            }
        }
        end?;
        clean.map(drop).map_err(|unclean| match unclean {
            Unclean::Left(_, left) => End::Failed(
                Problem::new(Code::LeftBehind, name, format!("the case left something behind: {left}"))
                    .label("after this case")
                    .help("everything was unmapped after its last step, and should have been gone"),
            ),
            Unclean::Unknown(_, why) => {
                let title = format!("failed to look whether the case left something behind: {why}");
                End::Error(Problem::new(Code::Observer, name, title).label("after this case"))
            }
        })
    }

    /// Runs a case that opens the device by itself.
    fn alone(&mut self, context: &mut Context, case: &language::Case, path: &Path) -> Result<(), End> {
        self.fixtures.close();
        self.baseline = Some(Baseline::take(&self.pool.kept()));
        if let Some(truth) = backend::disguised(context.planned.backend, context.tracer) {
            becomes(context, truth, case)?;
        }
        learn(context, case, None);
        requirements(context, case, path, Known::All)?;
        let (regions, steps) = plan::planned(case, path, context.backend, &context.scope);
        let mut held = Vec::new();
        let end = run_steps(context, case, path, (&regions, &steps), None, self.pool, &mut held, self.say);
        if end.is_err() {
            context.found.trace = context.tracer.take();
        }
        if let Err(End::Failed(_) | End::Error(_)) = end {
            self.keep.iter().for_each(|look| look());
        }
        held.extend(std::mem::take(&mut context.procedures.memory).into_values());
        // Before the memory is kept for later cases: closing takes it from the device.
        context.files.clear();
        context.device.let_go();
        context.others.values_mut().for_each(DeviceState::let_go);
        context.opened.clear();
        self.pool.put_back(held);
        end
    }
}

/// Makes the regions of a case, and carries out its steps.
#[allow(clippy::too_many_arguments)]
fn run_steps(
    context: &mut Context,
    case: &language::Case,
    path: &Path,
    (regions, steps): (&[(String, Region, Path)], &[PlannedStep]),
    open: Option<&Open>,
    pool: &mut Pool,
    held: &mut Vec<Held>,
    say: &mut dyn FnMut(Doing),
) -> Result<(), End> {
    for (name, region, at) in regions {
        let around = Around { scope: &context.scope, devices: &context.devices, open, held };
        let made = pool.make(name, region, at, &around)?;
        context.scope.set(name, made.facts());
        held.push(made);
    }
    let at = path.join("limits").join("memlock");
    // Until the last step is done.
    let _limit = match &case.limits.memlock {
        None => None,
        Some(bytes) => Some(LockLimit::set(context.size(bytes, &at)?, context.tracer).map_err(|errno| {
            End::Error(Problem::new(Code::Limit, at, format!("failed to limit the memory to lock: {errno}")))
        })?),
    };
    let source = &context.plan.scenarios[context.planned.scenario].source;
    sequence(context, steps, &mut Frame { open, held, pool: Some(pool), pack: None, source }, say)?;
    context.found.answers.as_mut().map_or(Ok(()), Answers::end)
}

/// The reason to skip a case that calls what no pack has for its device.
fn can_call(context: &Context, steps: &[PlannedStep]) -> Result<(), End> {
    steps.iter().try_for_each(|step| {
        for name in step.step.verb.procedures() {
            let number = step.step.device.as_ref().map_or(0, |device| context.devices.number(&device.0));
            let device = context.devices.kind(number);
            let at = step.at.join(step.step.verb.name());
            procedure::find(context.plan, context.planned, name, None, device, &at)?;
        }
        can_call(context, &step.steps)
    })
}

/// Takes the backend that answers for the one that was asked for. Skips a case that is not for it.
fn becomes(context: &mut Context, truth: BackendName, case: &language::Case) -> Result<(), End> {
    if truth == context.backend {
        return Ok(());
    }
    let scenario = &context.plan.scenarios[context.planned.scenario].scenario;
    let options = scenario.backends.list.iter().find(|(name, _)| *name == truth).map(|(_, options)| *options);
    let Some(options) = options.filter(|_| case.runs_on(truth)) else {
        return Err(End::Skipped(format!(
            "IOMMUFD plays /dev/vfio/vfio on this kernel (CONFIG_IOMMUFD_VFIO_CONTAINER): this would be {truth}, which the case is not \
             for"
        )));
    };
    (context.backend, context.options, context.ledger) = (truth, options, Ledger::new(truth));
    let (line, values) = (&context.plan.command_line, &context.planned.combination);
    if let Ok(scope) = plan::static_scope(scenario, case, line, truth, values) {
        context.scope = scope;
    }
    Ok(())
}

/// Adds what expressions know of the devices: all if they are open, otherwise what sysfs says.
fn learn(context: &mut Context, case: &language::Case, open: Option<&Open>) {
    for (name, facts) in context.devices.all_facts(case, open) {
        context.scope.set(&name, facts);
    }
    if let Some(open) = open {
        let bar = open.largest_bar.as_ref();
        let bar = bar.map(|bar| Value::from_pairs([("index", u64::from(bar.index)), ("size", bar.size)]));
        context.scope.set("bar", Value::from(bar));
        context.scope.set("iova_ranges", ranges(&open.iova_ranges));
    }
    host_facts(&mut context.scope, context.devices.bdf(0));
    // Variables that need these.
    let scenario = &context.plan.scenarios[context.planned.scenario].scenario;
    plan::late_variables(&mut context.scope, scenario, case);
}

/// Which conditions are checked.
#[derive(PartialEq)]
enum Known {
    /// Those whose names are all known by now.
    Already,
    All,
}

fn requirements(context: &Context, case: &language::Case, path: &Path, known: Known) -> Result<(), End> {
    let scenario = &context.plan.scenarios[context.planned.scenario].scenario;
    let at = |path: &Path, index: usize| path.join("requires").join(index);
    let of_scenario = scenario.requires.iter().enumerate().map(|(index, r)| (at(&Path::root(), index), r));
    let of_case = case.requires.iter().enumerate().map(|(index, r)| (at(path, index), r));
    for (at, requirement) in of_scenario.chain(of_case) {
        let Some(Condition { that, because, .. }) = requirement.condition.as_deref() else { continue };
        let wrong = |key: &str, error| End::Error(Problem::expression(at.join(key), &error));
        let names = that.undeclared().unwrap_or_default();
        if known == Known::Already && names.iter().any(|name| context.scope.get(&name.name).is_none()) {
            continue;
        }
        if !that.resolve(&context.scope).map_err(|error| wrong("that", error))? {
            let because = because.render(&context.scope).map_err(|error| wrong("because", error))?;
            return Err(End::Skipped(because + &context.plan.such_a_machine(context.planned, requirement)));
        }
    }
    Ok(())
}
