// SPDX-License-Identifier: MIT OR Apache-2.0
//! A child that replaces itself by this binary anew (execve): it has the same open files, and none of the memory. What it has to know goes
//! with it in a file; there it makes the engine anew around the files that it inherited, and carries out the steps.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::unistd::getppid;
use serde::Deserialize;
use serde_json::json;

use super::{super::prelude::*, Report, carry_out};
use crate::{
    backend::{Inherited, Session},
    engine::{
        answers::Answers,
        context::{Context, Frame, Mapped},
        devices::{Devices, cannot_open},
        fixture::{CannotOpen, Fixtures, Open},
        iova::IovaAllocator,
        last_step::LastStep,
        leaves::{self, Leaves},
        ledger::Ledger,
        objects::Objects,
        regions::{Around, Held, Pool},
        verb::sequence,
        worker::{self, ToWorker},
    },
    language::{BackendOptions, Path, Region},
    model::BackendName,
    plan::{self, PlannedStep},
    uapi::{
        self, Call, Tracer,
        process::{self, GivesUp, Passage},
    },
};

/// What the new process has to know. Files go by their numbers.
#[derive(Deserialize)]
struct Resume {
    /// What the worker was told first.
    setup: String,
    /// The number of the case in the worker's plan, and where the step is written.
    case: usize,
    step: Path,
    gives_up: GivesUp,
    report: RawFd,
    passage: RawFd,
    last: RawFd,
    session: Option<Inherited>,
    /// The files of the case and of its regions, by their names.
    files: BTreeMap<String, RawFd>,
    regions: BTreeMap<String, RawFd>,
    backend: BackendName,
    skip_pagesize: bool,
    scope: Vec<(String, Value)>,
    steps_run: u64,
    ledger: Ledger,
    leaves: Leaves,
    objects: Objects,
    spaces: BTreeMap<usize, Mapped>,
}

/// Replaces this process. Returns only if that fails.
pub(super) fn replace(step: &Running, gives_up: &GivesUp, passage: &Passage, to: BorrowedFd, last: &LastStep) -> End {
    let failed = |why: String| step.error(Code::Child, "exec", why, "");
    let Some(setup) = worker::setup() else { return failed("only a worker can replace itself".into()) };
    if step.frame.pack.is_some() {
        return failed("the steps of a procedure cannot be found again".into());
    }
    let case = &*step.case;
    let index = case.plan.cases.iter().position(|planned| std::ptr::eq(planned, case.planned));
    let told = serde_json::from_str(setup);
    let (Ok(ToWorker::Setup { setup, last_step, trace, ask, .. }), Some(index)) = (told, index) else {
        return failed("what the worker was told cannot be understood".into());
    };
    // No more of it than the new process needs, which plans once more.
    let number_of_case = u32::try_from(index).expect("cases are numbered so");
    let (setup, numbers) = setup.narrowed(case.plan, &[number_of_case]);
    // The process that waits for it lets people look.
    let setup = serde_json::to_string(&ToWorker::Setup { setup, last_step, trace, ask, keep: false });
    let session = step.frame.open.map(|open| &open.session);
    let number = |(name, file): (&String, BorrowedFd)| (name.clone(), file.as_raw_fd());
    let files = || case.files.iter().map(|(name, file)| (name, file.as_fd()));
    let held = step.frame.held.iter();
    let regions = || held.clone().filter_map(|held| Some((&held.name, held.file.as_ref()?.as_fd())));
    let defined = case.scope.names().filter_map(|name| Some((name, case.scope.get(name)?)));
    let defined: Vec<_> = defined.filter(|(_, value)| !value.is_undefined()).collect();
    let resume = json!({
        "setup": setup.expect("these types always have a JSON form"),
        "case": numbers[index],
        "step": step.planned.at,
        "gives_up": gives_up,
        "report": to.as_raw_fd(),
        "passage": passage.far().as_raw_fd(),
        "last": last.number(),
        "session": session.map(Session::to_inherit),
        "files": files().map(number).collect::<BTreeMap<_, _>>(),
        "regions": regions().map(number).collect::<BTreeMap<_, _>>(),
        "backend": case.backend,
        "skip_pagesize": case.options.skip_pagesize,
        "scope": defined,
        "steps_run": case.steps_run,
        "ledger": case.ledger,
        "leaves": case.leaves,
        "objects": case.objects,
        "spaces": case.spaces,
    });
    let written = uapi::memfd("resume", 0, None, case.tracer).and_then(|file| {
        let mut file = File::from(file);
        let written = file.write_all(resume.to_string().as_bytes()).and_then(|()| file.rewind());
        written.map(|()| OwnedFd::from(file)).map_err(|error| Errno::of(&error))
    });
    let state = match written {
        Ok(state) => state,
        Err(errno) => return failed(format!("failed to write down what to go on with: {errno}")),
    };
    let mut keep = vec![state.as_fd(), to, passage.far()];
    keep.extend(files().chain(regions()).map(|(_, file)| file));
    keep.extend(session.iter().flat_map(|session| session.files()));
    let number = state.as_raw_fd().to_string();
    let errno = process::replace(&["worker", "--resume", &number], &keep, case.tracer);
    failed(format!("failed to replace the process: {errno}"))
}

/// Goes on in the new process, with what is in the file of this number. Fails only if that cannot be understood.
pub fn resume(number: RawFd) -> Result<(), String> {
    let failed = |errno: Errno| format!("failed to take over a file: {errno}");
    let parent = getppid();
    let file = File::from(process::inherited(number).map_err(failed)?);
    let resume: Resume =
        serde_json::from_reader(file).map_err(|error| format!("failed to understand what to go on with: {error}"))?;
    let told = serde_json::from_str(&resume.setup);
    let Ok(ToWorker::Setup { setup, last_step, trace, ask, .. }) = told else { return Err("there is no setup".into()) };
    worker::begin(&resume.setup)?;
    let mut plan = setup.plan()?;
    let planned = plan.cases.get_mut(resume.case).ok_or("there is no such case")?;
    if !planned.any.is_empty() {
        planned.backend = resume.backend;
    }
    let planned = &plan.cases[resume.case];
    let (written, path) = plan.case(planned);
    let (regions, steps) = plan::planned(written, &path, resume.backend, &planned.scope);
    let step = find(&steps, &resume.step).ok_or("there is no such step")?;
    let Verb::Child(child) = &step.step.verb else { return Err("the step is no `child`".into()) };
    let tracer = Tracer::new();
    let (runners, last) = (LastStep::of_runner(last_step), LastStep::of_runner(resume.last));
    let (Ok(runners), Ok(last)) = (runners, last) else { return Err("failed to open what the runner left".into()) };
    if trace {
        tracer.tell(worker::called);
    }
    let to = process::inherited(resume.report).map_err(failed)?;
    let passage = Passage::inherited(resume.passage).map_err(failed)?;
    let devices = Devices::of(planned, &setup.devices, &mut Fixtures::new(&tracer), &path);
    let devices = devices.map_err(|end| format!("the devices are not there: {end:?}"))?;
    let mut context = Context::new(&plan, planned, devices.into(), &tracer);
    let Resume { session, files, regions: in_files, backend, skip_pagesize, scope, .. } = resume;
    (context.backend, context.options) = (backend, BackendOptions { skip_pagesize });
    scope.into_iter().for_each(|(name, value)| context.scope.set(name, value));
    (context.steps_run, context.ledger) = (resume.steps_run, resume.ledger);
    (context.leaves, context.objects, context.spaces) = (resume.leaves, resume.objects, resume.spaces);
    context.found.answers = ask.then(Answers::default);
    let inherited = |files: BTreeMap<String, RawFd>| {
        let taken = files.into_iter().map(|(name, number)| Ok((name, process::inherited(number)?)));
        taken.collect::<Result<BTreeMap<_, _>, Errno>>().map_err(failed)
    };
    context.files = inherited(files)?;
    let mut pool = Pool::new(&tracer);
    pool.inherited = inherited(in_files)?;
    let session = session.map(|session| session.session(&tracer)).transpose().map_err(failed)?;
    let (mut open, mut held) = (None, Vec::new());
    let made = look(session, &tracer, &path, &mut open).and_then(|()| {
        if let Some(open) = &open {
            context.iovas = IovaAllocator::new(open.iova_ranges.clone());
            for (iova, mapped) in context.ledger.mappings(leaves::own(open)).iter() {
                context.iovas.reserve(iova, (mapped.last - iova).saturating_add(1));
            }
        }
        make(&mut context, &regions, open.as_ref(), &mut pool, &mut held)
    });
    let source = &plan.scenarios[planned.scenario].source;
    let mut frame = Frame { open: open.as_ref(), held: &held, pool: Some(&mut pool), pack: None, source };
    let mut say = |doing| runners.say(&doing);
    let device = open.as_ref();
    let mut running = Running { case: &mut context, planned: step, frame: &mut frame, device, say: &mut say, sequence };
    let run = |step: &mut Running| {
        let (fields, result) = ("\"/proc/self/exe\"".into(), "0".into());
        step.case.tracer.keep(Call { name: "execve".into(), fields, result, failed: false });
        made.and_then(|()| carry_out(step, &resume.gives_up, parent, &last))
    };
    let mut report = Report::of(&mut running, run);
    report.pass(&child.gives, &running, &passage);
    process::report(to, &serde_json::to_vec(&report).expect("these types always have a JSON form"))
}

/// Asks the open device again what a process has to know of it.
fn look(session: Option<Session>, tracer: &Tracer, at: &Path, open: &mut Option<Open>) -> Result<(), End> {
    let Some(session) = session else { return Ok(()) };
    *open = Some(Open::new(session, 0, tracer).map_err(|error: CannotOpen| cannot_open(error, at.join("name")))?);
    Ok(())
}

/// Makes the regions of the case anew, those in files from their files.
fn make(
    context: &mut Context,
    regions: &[(String, Region, Path)],
    open: Option<&Open>,
    pool: &mut Pool,
    held: &mut Vec<Held>,
) -> Result<(), End> {
    for (name, region, at) in regions {
        let made =
            pool.make(name, region, at, &Around { scope: &context.scope, open, held, devices: &context.devices })?;
        context.scope.set(name, made.facts());
        held.push(made);
    }
    Ok(())
}

/// The step that is written at a place, wherever it stands.
fn find<'s>(steps: &'s [PlannedStep], at: &Path) -> Option<&'s PlannedStep> {
    steps.iter().find_map(|step| {
        let inside = || std::iter::once(&step.steps).chain(&step.branches).find_map(|steps| find(steps, at));
        if step.at == *at { Some(step) } else { inside() }
    })
}
