// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that run at the same time, and how long they took.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Barrier, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::prelude::*;
use crate::{
    engine::{
        answers::Answers,
        context::{Context, Frame, Mapped},
        devices::cannot_open,
        fixture::CannotOpen,
        last_step::Doing,
        leaves::Leaves,
        ledger::Ledger,
        objects::Objects,
    },
    event::Measured,
    language::Name,
    plan::PlannedStep,
};

/// A case that measures in many rounds keeps the first of them in its result.
pub(super) const MOST_MEASURED: usize = 100;

/// Steps for a thread, and what it knows beside.
struct Branch<'s> {
    steps: &'s [PlannedStep],
    /// The number of the device that they are on.
    device: usize,
    known: Option<(&'s Name, u64)>,
    /// How failures name it.
    title: String,
}

/// What a thread did: its state, its end, and its time.
type Finished<'a> = (Context<'a>, Result<(), End>, Range<Instant>);

impl Act for Parallel {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let branches = branches(self, step.planned, step)?;
        let case = &mut *step.case;
        if branches.iter().any(|branch| opens(branch.steps)) {
            // Before any thread does, so that all their devices share one.
            let bdf = case.devices.bdf(case.current);
            let made = case.opened.space(case.home, case.planned.backend, bdf, case.tracer);
            made.map_err(|error| cannot_open(CannotOpen::Open(error), step.planned.at.clone()))?;
        }
        let threads = branches.iter().map(|branch| fork(case, branch)).collect::<Result<Vec<_>, End>>()?;
        let finished = run(step, &branches, threads);
        measure(step, &finished);
        let mut end = Ok(());
        let mut ledgers: BTreeMap<usize, Vec<Ledger>> = BTreeMap::new();
        for ((thread, ended, _), branch) in finished.into_iter().zip(&branches) {
            for (home, ledger) in join(step.case, thread, branch) {
                ledgers.entry(home).or_default().push(ledger);
            }
            end = end.and(ended.map_err(|ended| ended.help(format!("in {}", branch.title))));
        }
        for (home, threads) in ledgers {
            let before = step.case.turn_to(home);
            step.case.ledger.join(threads);
            step.case.turn_to(before);
        }
        end
    }
}

fn branches<'s>(parallel: &'s Parallel, planned: &'s PlannedStep, step: &Running) -> Result<Vec<Branch<'s>>, End> {
    let devices = &step.case.devices;
    let branch = |steps: &'s [PlannedStep], title| Branch { steps, device: step.case.current, known: None, title };
    let (key, count, branches): (_, _, Vec<_>) = if !planned.branches.is_empty() {
        let all = planned.branches.iter().enumerate();
        let branches = all.map(|(index, steps)| branch(steps, format!("branch {index}"))).collect();
        ("branches", planned.branches.len() as u64, branches)
    } else if let Some(times) = &parallel.times {
        let times = step.size("times", times)?;
        let one = |number: u64| Branch {
            known: parallel.r#as.as_ref().map(|name| (name, number)),
            ..branch(&planned.steps, format!("number {number} of those that ran at the same time"))
        };
        ("times", times, (0..times.min(MOST_THREADS)).map(one).collect())
    } else {
        let numbers = parallel.on.iter().flat_map(|name| devices.numbers(&name.0));
        let on = |device| Branch { device, ..branch(&planned.steps, format!("the steps on {}", devices.bdf(device))) };
        let branches: Vec<_> = numbers.map(on).collect();
        ("on", branches.len() as u64, branches)
    };
    if (1..=MOST_THREADS).contains(&count) {
        return Ok(branches);
    }
    Err(step.out_of_range(key, format!("{count} at the same time"), format!("expected 1 to {MOST_THREADS}")))
}

/// Runs each branch in a thread of its own. All begin at once.
fn run<'a>(step: &mut Running<'_, '_, 'a>, branches: &[Branch], threads: Vec<Context<'a>>) -> Vec<Finished<'a>> {
    let (barrier, sequence) = (Barrier::new(branches.len()), step.sequence);
    // The step that a thread begins; `None` once it has ended.
    let (sender, words) = mpsc::channel::<(usize, Option<Doing>)>();
    // Without memory for procedures: no thread may call any.
    let Frame { open, held, pack, source, .. } = *step.frame;
    thread::scope(|scope| {
        let mut handles = Vec::new();
        for (number, (mut case, branch)) in threads.into_iter().zip(branches).enumerate() {
            let (sender, barrier) = (sender.clone(), &barrier);
            let mut frame = Frame { open, held, pool: None, pack, source };
            handles.push(scope.spawn(move || {
                barrier.wait();
                let begin = Instant::now();
                let mut say = |what| drop(sender.send((number, Some(what))));
                let end = sequence(&mut case, branch.steps, &mut frame, &mut say);
                let time = begin..Instant::now();
                let _ = sender.send((number, None));
                (case, end, time)
            }));
        }
        drop(sender);
        // If the worker dies, it was in one of these steps.
        let mut now: Vec<Option<Doing>> = vec![None; branches.len()];
        for (number, word) in words {
            now[number] = word;
            (step.say)(Doing::all(now.iter().flatten()));
        }
        let joined = handles.into_iter().map(|handle| handle.join());
        joined.map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// A case for a thread: it knows what this one knows, and holds what it holds.
fn fork<'a>(case: &Context<'a>, branch: &Branch) -> Result<Context<'a>, End> {
    let mut fork = Context::new(case.plan, case.planned, case.devices.clone(), case.tracer);
    (fork.backend, fork.options) = (case.backend, case.options);
    fork.found.answers = case.found.answers.is_some().then(Answers::default);
    // Other threads map meanwhile, so that no thread knows what the page table has to show.
    fork.ledger = case.ledger.fork();
    let space = |space: &Mapped| Mapped {
        ledger: space.ledger.fork(),
        leaves: Leaves::new(space.leaves.paused),
        objects: Objects::default(),
    };
    fork.spaces = case.spaces.iter().map(|(home, mapped)| (*home, space(mapped))).collect();
    fork.home = case.home;
    fork.scope = case.scope.clone();
    fork.iovas = case.iovas.clone();
    fork.opened = case.opened.clone();
    fork.steps_run = case.steps_run;
    fork.device = case.device.clone();
    fork.others = case.others.clone();
    fork.current = case.current;
    for (name, file) in &case.files {
        // The same open file by another number.
        let file = file.try_clone().map_err(|error| {
            let title = format!("failed to give the file `{name}` to a thread: {error}");
            End::Error(Problem::new(Code::Files, branch.steps[0].at.clone(), title))
        })?;
        fork.files.insert(name.clone(), file);
    }
    fork.turn_to(branch.device);
    if branch.device != case.current {
        let open = fork.opened.get(branch.device);
        fork.scope.set("device", case.devices.facts(branch.device, open.as_deref()));
    }
    if let Some((name, number)) = branch.known {
        fork.scope.set(&name.0, Value::from(number));
    }
    Ok(fork)
}

/// Takes over what a thread did, but for what it mapped: that is returned for each address space.
fn join<'a>(case: &mut Context<'a>, mut thread: Context<'a>, branch: &Branch) -> Vec<(usize, Ledger)> {
    thread.turn_to(case.current);
    case.found.checks += thread.found.checks;
    case.found.unchecked.append(&mut thread.found.unchecked);
    if let (Some(answers), Some(of_thread)) = (&mut case.found.answers, thread.found.answers) {
        answers.take_over(of_thread);
    }
    case.steps_run = case.steps_run.max(thread.steps_run);
    case.orders.append(&mut thread.orders);
    let mut ledgers = vec![(thread.home, thread.ledger)];
    case.objects.take_over(thread.objects);
    for (home, Mapped { ledger, objects, .. }) in thread.spaces {
        let before = case.turn_to(home);
        ledgers.push((home, ledger));
        case.objects.take_over(objects);
        case.turn_to(before);
    }
    case.device.take_over(thread.device);
    for (number, state) in thread.others {
        case.others.entry(number).or_default().take_over(state);
    }
    // Later ones take the place of earlier ones, as steps one after the other would.
    for name in saved(branch.steps) {
        if let Some(value) = thread.scope.get(&name.0) {
            case.scope.set(&name.0, value);
        }
    }
    for (name, file) in thread.files {
        case.files.entry(name).or_insert(file);
    }
    ledgers
}

/// Keeps the times, for later steps and in the case's result.
fn measure(step: &mut Running, finished: &[Finished]) {
    let times = || finished.iter().map(|(.., time)| time);
    let (Some(start), Some(end)) = (times().map(|time| time.start).min(), times().map(|time| time.end).max()) else {
        return;
    };
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let each: Vec<u64> = times().map(|time| micros(time.end - time.start)).collect();
    let all = micros(end - start);
    let values = each.iter().copied().collect::<Value>();
    step.save(Value::from_pairs([("micros", Value::from(all)), ("each", values)]));
    if step.case.found.measured.len() < MOST_MEASURED {
        let what = match &step.planned.step.save {
            Some(name) => name.0.clone(),
            None => format!("parallel at {}", step.frame.place(&step.planned.at)),
        };
        step.case.found.measured.push(Measured { what, micros: all, each, rounds: false, bytes: None });
    }
}

/// The names that steps save, and those that they hold.
fn saved(steps: &[PlannedStep]) -> Vec<&Name> {
    fn of(planned: &PlannedStep) -> Vec<&Name> {
        let inside = std::iter::once(&planned.steps).chain(&planned.branches).flat_map(|steps| saved(steps));
        planned.step.save.iter().chain(inside).collect()
    }
    steps.iter().flat_map(of).collect()
}

/// Whether steps open devices.
fn opens(steps: &[PlannedStep]) -> bool {
    steps.iter().any(|planned| matches!(planned.step.verb, Verb::DeviceOpen(_)) || opens(&planned.steps))
}
