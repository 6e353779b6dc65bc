// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that run at the same time, and how long they took.

use std::{
    ops::Range,
    sync::{Barrier, mpsc},
    thread,
    time::{Duration, Instant},
};

use minijinja::Value;

use super::{
    case::{Execution, Frame},
    failure::{End, Problem},
    last_step::Doing,
    verb::sequence,
};
use crate::model::code::Code;
use crate::{
    event::Measured,
    language::{
        Name, Path,
        verb::{MOST_THREADS, Parallel, Verb},
    },
    plan::PlannedStep,
};

/// A case that measures in many rounds keeps the first of them in its result.
const MOST_MEASURED: usize = 100;
/// Why what is mapped is no longer known.
const UNFOLLOWED: &str = "what `parallel` maps is not followed";

/// Steps for a thread, and what it knows beside.
struct Branch<'s> {
    steps: &'s [PlannedStep],
    /// The number of the device that they are on.
    device: usize,
    known: Option<(&'s Name, u64)>,
    /// How failures name it.
    title: String,
}

/// What a thread says: that a step begins, or that it has none left.
type Word = (usize, Option<Doing>);

impl<'a> Execution<'a> {
    /// Runs the steps that a `parallel` holds.
    pub fn parallel(
        &mut self,
        parallel: &Parallel,
        planned: &PlannedStep,
        frame: &mut Frame<'_, 'a>,
        say: &mut dyn FnMut(Doing),
    ) -> Result<(), End> {
        let branches = self.branches(parallel, planned)?;
        if branches.iter().any(|branch| opens(branch.steps)) {
            // Before any thread does, so that all their devices share one.
            self.make_space(&planned.at)?;
        }
        let mut threads: Vec<Execution<'a>> = Vec::new();
        for branch in &branches {
            threads.push(self.fork(branch)?);
        }
        let barrier = Barrier::new(branches.len());
        let (sender, words) = mpsc::channel::<Word>();
        // Without memory for procedures: the check lets no thread call any.
        let Frame { open, held, iovas, pack, source, .. } = *frame;
        let finished: Vec<(Execution<'a>, Result<(), End>, Range<Instant>)> = thread::scope(|scope| {
            let handles: Vec<_> = threads
                .into_iter()
                .zip(&branches)
                .enumerate()
                .map(|(number, (mut execution, branch))| {
                    let (sender, barrier) = (sender.clone(), &barrier);
                    let mut frame = Frame { open, held, iovas, pool: None, pack, source };
                    scope.spawn(move || {
                        barrier.wait();
                        let begin = Instant::now();
                        let mut say = |what| drop(sender.send((number, Some(what))));
                        let end = sequence(&mut execution, branch.steps, &mut frame, &mut say);
                        let time = begin..Instant::now();
                        let _ = sender.send((number, None));
                        (execution, end, time)
                    })
                })
                .collect();
            drop(sender);
            // If this ends here, it was one of these steps.
            let mut now: Vec<Option<Doing>> = vec![None; branches.len()];
            for (number, word) in words {
                now[number] = word;
                say(Doing::all(now.iter().flatten()));
            }
            let joined = handles.into_iter().map(|handle| handle.join());
            joined.map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        self.measure(planned, frame, &finished);
        let mut end = Ok(());
        for ((execution, ended, _), branch) in finished.into_iter().zip(&branches) {
            self.join(execution, branch);
            end = end.and(ended.map_err(|ended| ended.help(format!("in {}", branch.title))));
        }
        end
    }

    fn branches<'s>(&self, parallel: &'s Parallel, planned: &'s PlannedStep) -> Result<Vec<Branch<'s>>, End> {
        let at = planned.at.join("parallel");
        let branch =
            |steps: &'s [PlannedStep], title: String| Branch { steps, device: self.current, known: None, title };
        if !planned.branches.is_empty() {
            let all = planned.branches.iter().enumerate();
            let branches: Vec<_> = all.map(|(index, steps)| branch(steps, format!("branch {index}"))).collect();
            return few(branches.len() as u64, at.join("branches")).map(|()| branches);
        }
        if let Some(times) = &parallel.times {
            let at = at.join("times");
            let times = self.size(times, &at)?;
            few(times, at)?;
            let one = |number: u64| Branch {
                known: parallel.r#as.as_ref().map(|name| (name, number)),
                ..branch(&planned.steps, format!("number {number} of those that ran at the same time"))
            };
            return Ok((0..times).map(one).collect());
        }
        let mut branches = Vec::new();
        for name in &parallel.on {
            for device in self.devices.numbers(&name.0) {
                let title = format!("the steps on {}", self.devices.bdf(device));
                branches.push(Branch { device, ..branch(&planned.steps, title) });
            }
        }
        few(branches.len() as u64, at.join("on")).map(|()| branches)
    }

    /// An execution for a thread: it knows what this one knows, and holds what it holds.
    fn fork(&mut self, branch: &Branch) -> Result<Execution<'a>, End> {
        let mut fork = Execution::new(self.plan, self.planned, self.given, self.tracer);
        (fork.backend, fork.options) = (self.backend, self.options);
        // Others map meanwhile: what is in the page table is no thread's alone.
        fork.mappings.lose(UNFOLLOWED.into());
        fork.scope = self.scope.clone();
        fork.devices = self.devices.clone();
        fork.opened = self.opened.clone();
        fork.steps_run = self.steps_run;
        fork.device = self.device.clone();
        fork.others = self.others.clone();
        fork.current = self.current;
        for (name, file) in &self.files {
            // The same open file by another number.
            let file = file.try_clone().map_err(|error| {
                let title = format!("failed to give the file `{name}` to a thread: {error}");
                End::Error(Problem::new(Code::Files, branch.steps[0].at.clone(), title))
            })?;
            fork.files.insert(name.clone(), file);
        }
        fork.turn_to(branch.device);
        if branch.device != self.current {
            let open = fork.opened.get(branch.device);
            fork.scope.set("device", self.devices.facts(branch.device, open.as_deref()));
        }
        if let Some((name, number)) = branch.known {
            fork.scope.set(&name.0, Value::from(number));
        }
        Ok(fork)
    }

    /// Takes over what a thread did.
    fn join(&mut self, mut thread: Execution<'a>, branch: &Branch) {
        thread.turn_to(self.current);
        self.checks += thread.checks;
        self.steps_run = self.steps_run.max(thread.steps_run);
        self.unchecked.append(&mut thread.unchecked);
        if thread.mappings.any() {
            self.mappings.touched();
            self.mappings.lose(UNFOLLOWED.into());
        }
        self.objects.take_over(thread.objects);
        self.device.take_over(thread.device);
        for (number, held) in thread.others {
            self.others.entry(number).or_default().take_over(held);
        }
        // Later ones take the place of earlier ones, as steps one after the other would.
        for name in saved(branch.steps) {
            if let Some(value) = thread.scope.get(&name.0) {
                self.scope.set(&name.0, value);
            }
        }
        for (name, file) in thread.files {
            self.files.entry(name).or_insert(file);
        }
    }

    /// Keeps the times, for later steps and in the case's result.
    fn measure(
        &mut self,
        planned: &PlannedStep,
        frame: &Frame,
        finished: &[(Execution, Result<(), End>, Range<Instant>)],
    ) {
        let each: Vec<Duration> = finished.iter().map(|(_, _, time)| time.end - time.start).collect();
        let (Some(start), Some(end)) =
            (finished.iter().map(|(.., time)| time.start).min(), finished.iter().map(|(.., time)| time.end).max())
        else {
            return;
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let each: Vec<u64> = each.into_iter().map(micros).collect();
        let all = micros(end - start);
        if let Some(name) = &planned.step.save {
            let each = each.iter().copied().collect::<Value>();
            self.scope.set(&name.0, Value::from_pairs([("micros", Value::from(all)), ("each", each)]));
        }
        if self.measured.len() < MOST_MEASURED {
            let what = match &planned.step.save {
                Some(name) => name.0.clone(),
                None => format!("parallel at {}", frame.place(&planned.at)),
            };
            self.measured.push(Measured { what, micros: all, each });
        }
    }
}

/// The names that steps save, and those that they hold.
fn saved(steps: &[PlannedStep]) -> Vec<&Name> {
    steps
        .iter()
        .flat_map(|planned| {
            let inside = std::iter::once(&planned.steps).chain(&planned.branches).flat_map(|steps| saved(steps));
            planned.step.save.iter().chain(inside).collect::<Vec<_>>()
        })
        .collect()
}

fn few(count: u64, at: Path) -> Result<(), End> {
    if (1..=MOST_THREADS).contains(&count) {
        return Ok(());
    }
    let problem = Problem::new(Code::OutOfRange, at, format!("{count} at the same time"));
    Err(End::Error(problem.label(format!("expected 1 to {MOST_THREADS}"))))
}

/// Whether steps open devices.
fn opens(steps: &[PlannedStep]) -> bool {
    steps.iter().any(|planned| matches!(planned.step.verb, Verb::DeviceOpen(_)) || opens(&planned.steps))
}
