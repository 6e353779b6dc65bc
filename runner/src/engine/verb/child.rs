// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps in a forked process. It has the engine's memory and files as they are, carries out its steps as this process would, and reports
//! what they came to. What it learnt is taken over, and what it holds ends with it.

mod replaced;

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd},
};

use nix::unistd::{Pid, getpid};
use serde::{Deserialize, Serialize};

pub use replaced::resume;

use super::prelude::*;
use crate::{
    engine::{
        answers::Answers,
        context::{Context, Findings, Mapped},
        last_step::{Doing, LastStep},
        leaves::{self, Leaves},
        ledger::Ledger,
        objects::Objects,
    },
    event::{Injected, Measured, Unchecked},
    language::Name,
    plan::PlannedStep,
    uapi::{
        Call,
        process::{Ended, GivesUp, NotForked, Passage, fork},
    },
};

/// What a forked process says at its end.
#[derive(Serialize, Deserialize)]
struct Report {
    end: Result<(), End>,
    checks: u32,
    measured: Vec<Measured>,
    injected: Vec<Injected>,
    unchecked: Vec<Unchecked>,
    answers: Option<Answers>,
    calls: Vec<Call>,
    /// What its steps saved; `None` where a call failed.
    saved: Vec<(String, Option<Value>)>,
    steps_run: u64,
    ledger: Ledger,
    leaves: Leaves,
    objects: Objects,
    /// The other address spaces.
    spaces: BTreeMap<usize, Mapped>,
    /// The numbers of the devices that it changed.
    changed: Vec<usize>,
    /// The regions whose memory it changed.
    regions: Vec<String>,
    /// The files that it passed, by their names.
    passed: Vec<String>,
}

impl Act for Child {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let gives_up = self.gives_up(step)?;
        if let Some(lacks) = gives_up.lacks() {
            return Err(End::Skipped(format!(
                "the child process is to give up {lacks}, which this process does not have"
            )));
        }
        let failed = |what: String| step.error(Code::Child, "", what, "");
        let last = LastStep::new().map_err(|error| failed(format!("failed to make a file: {error}")))?;
        let passage = Passage::new().map_err(|errno| failed(format!("failed to make a socket: {errno}")))?;
        let (parent, tracer) = (getpid(), step.case.tracer);
        let forked = fork(tracer, |to| {
            let mut report = Report::of(step, |step| match self.exec {
                true => Err(replaced::replace(step, &gives_up, &passage, to, &last)),
                false => carry_out(step, &gives_up, parent, &last),
            });
            report.pass(&self.gives, step, &passage);
            serde_json::to_vec(&report).expect("these types always have a JSON form")
        });
        let forked = forked.map_err(|why| {
            let failed = |why| step.error(Code::Child, "", format!("failed to fork: {why}"), "");
            match why {
                NotForked::Threads(threads) => failed(format!("this process has {threads} threads")),
                NotForked::Call(errno) => failed(errno.to_string()),
            }
        })?;
        let (bytes, ended) = forked.wait();
        match (ended, serde_json::from_slice::<Report>(&bytes)) {
            (Ended::Done, Ok(report)) => report.take_over(step, &passage),
            (Ended::Exit(101), _) => panic!("a child process panicked"), // which it has told
            (ended, _) => Err(step.error(Code::Child, "", died(ended, last.last()), "expected it to end by itself")),
        }
    }
}

fn died(ended: Ended, last: Option<Doing>) -> String {
    let place = last.map(|step| format!(" in {step}")).unwrap_or_default();
    match ended {
        Ended::Signal(signal) => format!("the child process died{place}: killed by {signal}"),
        Ended::Exit(code) => format!("the child process died{place}: exit code {code}"),
        Ended::Done => format!("the child process ended{place} without a report"),
    }
}

impl Child {
    fn gives_up(&self, step: &Running) -> Result<GivesUp, End> {
        let Child { user, user_namespace, without, memlock, address_space, open_files, exec: _, gives: _, steps: _ } =
            self;
        Ok(GivesUp {
            memlock: step.optional("memlock", memlock)?,
            address_space: step.optional("address_space", address_space)?,
            open_files: step.optional("open_files", open_files)?,
            user: user.as_ref().map(|user| step.small("user", user)).transpose()?,
            user_namespace: *user_namespace,
            without: without.iter().map(|name| name.0).collect(),
        })
    }
}

/// Carries out the steps, in the process that was forked for them.
fn carry_out(step: &mut Running, gives_up: &GivesUp, parent: Pid, last: &LastStep) -> Result<(), End> {
    let given_up = gives_up.apply(parent, step.case.tracer);
    given_up.map_err(|(call, errno)| cannot_give_up(step, call, errno))?;
    let Running { case, planned, frame, say, sequence, .. } = step;
    let mut say = |doing: Doing| {
        last.say(&doing);
        say(doing);
    };
    let end = sequence(case, &planned.steps, frame, &mut say);
    end.map_err(|end| end.help("this is a step of a child process".into()))
}

impl Report {
    /// What the steps came to that `run` carries out, in the process that was forked for them.
    fn of(step: &mut Running, run: impl FnOnce(&mut Running) -> Result<(), End>) -> Report {
        let mark = step.case.tracer.mark();
        let answers = step.case.found.answers.is_some().then(Answers::default);
        step.case.found = Findings { answers, ..Findings::default() };
        // They are the other process' to wait for.
        step.case.orders.clear();
        for state in std::iter::once(&mut step.case.device).chain(step.case.others.values_mut()) {
            state.changed = Changed::No;
        }
        // This process may not be allowed to read the page table: the other one does, once this one has ended.
        step.case.leaves.paused = true;
        step.case.spaces.values_mut().for_each(|space| space.leaves.paused = true);
        let end = run(step);
        let held = step.frame.held.iter().filter(|held| !held.mapping.is_unchanged());
        let regions = held.map(|held| held.name.clone()).collect();
        let Context { found, scope, .. } = &mut *step.case;
        let Findings { checks, measured, injected, unchecked, answers, .. } = std::mem::take(found);
        let value = |name: &str| scope.get(name).filter(|value| !value.is_undefined()).cloned();
        let saved = saved(&step.planned.steps).into_iter().map(|name| (name.clone(), value(name))).collect();
        let case = &mut *step.case;
        let own = (case.current, case.device.changed);
        let others = case.others.iter().map(|(number, state)| (*number, state.changed));
        let changed = std::iter::once(own).chain(others).filter(|(_, changed)| *changed > Changed::No);
        Report {
            end,
            checks,
            measured,
            injected,
            unchecked,
            answers,
            calls: case.tracer.since(mark),
            saved,
            steps_run: case.steps_run,
            changed: changed.map(|(number, _)| number).collect(),
            ledger: std::mem::replace(&mut case.ledger, Ledger::new(case.backend)),
            leaves: std::mem::take(&mut case.leaves),
            objects: std::mem::take(&mut case.objects),
            spaces: std::mem::take(&mut case.spaces),
            regions,
            passed: Vec::new(),
        }
    }

    /// Passes the files of these names that are open.
    fn pass(&mut self, names: &[Name], step: &Running, passage: &Passage) {
        let mark = step.case.tracer.mark();
        for name in names {
            let Some(file) = step.case.files.get(&name.0) else { continue };
            match passage.pass(file.as_fd(), step.case.tracer) {
                Ok(()) => self.passed.push(name.0.clone()),
                Err(errno) if self.end.is_ok() => {
                    let title = format!("failed to pass the file `{name}`: {errno}");
                    self.end = Err(step.error(Code::Files, "gives", title, ""));
                }
                Err(_) => {}
            }
        }
        self.calls.extend(step.case.tracer.since(mark));
    }

    /// Takes over what the steps came to, once their process has ended.
    fn take_over(self, step: &mut Running, passage: &Passage) -> Result<(), End> {
        let Report { end, checks, measured, injected, unchecked, answers, .. } = self;
        let Report { calls, saved, steps_run, ledger, leaves, objects, spaces, changed, regions, passed, .. } = self;
        let case = &mut *step.case;
        for call in calls {
            case.tracer.keep(Call { name: format!("child: {}", call.name).into(), ..call });
        }
        case.found.checks += checks;
        case.found.measured.extend(measured);
        case.found.injected.extend(injected);
        case.found.unchecked.extend(unchecked);
        if let (Some(all), Some(answers)) = (&mut case.found.answers, answers) {
            all.take_over(answers);
        }
        for (name, value) in saved {
            case.scope.set(name, value.unwrap_or(Value::UNDEFINED));
        }
        if let Some(open) = step.frame.open {
            for (iova, mapped) in ledger.mappings(leaves::own(open)).iter() {
                case.iovas.reserve(iova, (mapped.last - iova).saturating_add(1));
            }
        }
        // Unless this is a child, too.
        let paused = case.leaves.paused;
        (case.steps_run, case.ledger, case.leaves, case.objects) = (steps_run, ledger, leaves, objects);
        case.leaves.paused = paused;
        case.spaces = spaces;
        case.spaces.values_mut().for_each(|space| space.leaves.paused = paused);
        for number in changed {
            // How it was before is known only to the process that changed it.
            let state = if number == case.current { &mut case.device } else { case.others.entry(number).or_default() };
            state.changed = Changed::More;
        }
        // Other memory is the child's own.
        for held in step.frame.held.iter().filter(|held| held.is_in_file() && regions.contains(&held.name)) {
            held.mapping.changed_by_child();
        }
        for name in passed {
            let file = passage.take(step.case.tracer).map_err(|errno| {
                step.error(Code::Files, "gives", format!("failed to take the file `{name}`: {errno}"), "")
            })?;
            step.case.scope.set(&name, Value::from_pairs([("fd", file.as_raw_fd())]));
            step.case.files.insert(name, file);
        }
        end
    }
}

/// Why a process cannot give up what it is to give up.
fn cannot_give_up(step: &Running, call: &'static str, errno: Errno) -> End {
    if call == "unshare" && matches!(errno, Errno(libc::EINVAL | libc::ENOSPC | libc::EPERM)) {
        return End::Skipped(format!("needs user namespaces (CONFIG_USER_NS), and unshare gave {errno}"));
    }
    if matches!(call, "setgroups" | "setresgid" | "setresuid")
        && let Some(end) = End::only_root_may("become another user", errno)
    {
        return end;
    }
    let key = match call {
        "setgroups" | "setresgid" | "setresuid" => "user",
        "unshare" | "write" => "user_namespace",
        "capset" => "without",
        _ => "",
    };
    step.error(Code::Limit, key, format!("{call} gave {errno}"), "the child process has to give this up")
}

/// The names that steps save.
fn saved(steps: &[PlannedStep]) -> Vec<&String> {
    let mut names = Vec::new();
    for planned in steps {
        names.extend(planned.step.save.iter().map(|name| &name.0));
        let inside = std::iter::once(&planned.steps).chain(&planned.branches);
        inside.for_each(|steps| names.extend(saved(steps)));
    }
    names
}
