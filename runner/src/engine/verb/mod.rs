// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the verbs do, one file each. What the language knows of a verb is in `language/verb/`, in a file of the same name.

mod accounting;
mod allow_iovas;
mod asked;
mod attach;
mod call;
mod check;
mod child;
mod close;
mod compare;
mod config_poll;
mod config_read;
mod config_write;
mod content;
mod copy;
mod destroy;
mod detach;
mod device_close;
mod device_info;
mod device_open;
mod dirty_bitmap;
mod dirty_tracking;
mod event_signal;
mod event_wait;
mod explore;
mod fail_nth;
mod fault_answer;
mod fault_read;
mod feature;
mod features;
mod fill;
mod finally;
mod given;
mod gone;
mod hot_reset;
mod hw_info;
mod hwpt;
mod info;
mod ioas;
mod ioctl;
mod ioeventfd;
mod iova_ranges;
mod irq_disable;
mod irq_enable;
mod irq_info;
mod irq_mask;
mod irq_trigger;
mod irq_unmask;
mod irq_wait;
mod kernel_memory;
mod lab_fault;
mod madvise;
mod map;
mod map_file;
mod measure;
mod memory_poll;
mod memory_read;
mod memory_write;
mod mlock;
mod mmap;
mod mmio_poll;
mod mmio_read;
mod mmio_submit;
mod mmio_write;
mod mprotect;
mod mremap;
mod munlock;
mod munmap;
mod open;
mod option;
mod pagesize;
mod parallel;
mod poll;
mod power;
mod pread;
mod prelude;
mod punch_hole;
mod pwrite;
mod reach;
mod read;
mod region_info;
mod register;
mod repeat;
mod reset;
mod running;
mod space;
mod sysfs;
mod truncate;
mod unmap;
mod unmap_all;
mod vf_token;
mod write;

pub use child::resume;
pub use sysfs::Given;

use std::time::{Duration, Instant};

use minijinja::{Value, value::ValueKind};

use super::{
    context::{Context, Frame},
    failure::{End, Problem},
    last_step::Doing,
};
use crate::{
    language::{Limit, MOST_STEPS, Path, verb::*},
    model::code::Code,
    plan::PlannedStep,
    uapi::{self, signal},
};
use running::{Act, Running};

/// Makes the way from a verb to what it does.
macro_rules! dispatch {
    ($($name:ident => $module:ident::$Verb:ident,)*) => {
        fn of(verb: &Verb) -> &dyn Act {
            match verb { $(Verb::$Verb(verb) => &**verb,)* }
        }
    };
}
verbs!(dispatch);

/// Carries out steps one after the other, those of a `finally` last.
pub fn sequence<'a>(
    case: &mut Context<'a>,
    steps: &[PlannedStep],
    frame: &mut Frame<'_, 'a>,
    say: &mut dyn FnMut(Doing),
) -> Result<(), End> {
    let is_last = |planned: &&PlannedStep| matches!(planned.step.verb, Verb::Finally(_));
    let mut others = steps.iter().filter(|planned| !is_last(planned));
    let end = others.try_for_each(|planned| one(case, planned, frame, say));
    // The first failure is reported.
    steps.iter().filter(is_last).fold(end, |end, planned| {
        let done = one(case, planned, frame, say);
        end.and(done)
    })
}

/// How long a step took: its calls to the kernel. All of it, if it makes none or holds steps.
fn took(planned: &PlannedStep, all: Duration, calls: Duration) -> Duration {
    let holds_steps = !planned.steps.is_empty() || !planned.branches.is_empty();
    let is_whole = holds_steps || !planned.step.verb.procedures().is_empty() || calls.is_zero();
    if is_whole { all } else { calls }
}

impl Context<'_> {
    /// Keeps how long a step took in its result. A call that failed has none.
    fn took(&mut self, planned: &PlannedStep, took: Duration) {
        let Some(name) = &planned.step.save else { return };
        let micros = Value::from(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let saves = planned.step.verb.about().saves;
        let result = self.scope.get(&name.0).filter(|_| saves != Saves::Nothing);
        let with = match result {
            None => Value::from_pairs([("micros", micros)]),
            Some(result) if result.kind() == ValueKind::Map => {
                let keys = result.try_iter().into_iter().flatten();
                let known = keys.map(|key| (key.to_string(), result.get_item(&key).unwrap_or_default()));
                Value::from_pairs([("micros".to_owned(), micros)].into_iter().chain(known))
            }
            Some(_) => return,
        };
        self.scope.set(&name.0, with);
    }

    /// Holds the time that a step took against its `within`.
    fn within(&mut self, planned: &PlannedStep, took: Duration) -> Result<(), End> {
        let Some(limit) = &planned.step.within else { return Ok(()) };
        let at = planned.at.join("within");
        let expected = limit.resolve(&self.scope);
        let Limit(expected) = expected.map_err(|error| End::Error(Problem::expression(at.clone(), &error)))?;
        self.found.checks += 1;
        if took <= expected.0 {
            return Ok(());
        }
        let micros = |time: Duration| crate::language::Duration(Duration::from_micros(time.as_micros() as u64));
        let title =
            format!("{} took {}, expected at most {}", planned.step.verb.name(), micros(took), micros(expected.0));
        Err(End::Failed(Problem::new(Code::TooSlow, at, title).label(format!("it took {}", micros(took)))))
    }
}

fn one<'a>(
    case: &mut Context<'a>,
    planned: &PlannedStep,
    frame: &mut Frame<'_, 'a>,
    say: &mut dyn FnMut(Doing),
) -> Result<(), End> {
    let (verb, at) = (&planned.step.verb, &planned.at);
    say(Doing { what: verb.name().to_owned(), place: Some(frame.place(at)), scenario: None });
    if signal::interrupted().is_some() {
        // The runner knows why, and reports it.
        return Err(End::Error(Problem::new(Code::Interrupted, at.clone(), "the case was interrupted")));
    }
    // A case comes to an end, whatever its expressions say.
    case.steps_run += 1;
    if case.steps_run > MOST_STEPS {
        let title = format!("the case has run {MOST_STEPS} steps, which is the most that one may");
        return Err(End::Error(Problem::new(Code::TooManySteps, at.clone(), title)));
    }
    let number = planned.step.device.as_ref().map(|name| case.devices.number(&name.0));
    let before = case.turn_to(number.unwrap_or(case.current));
    // What the case opened itself, or what was open for it.
    let opened = case.opened.get(case.current);
    let device = frame.open.map(|open| open.device(case.current)).or(opened.as_deref());
    let asks = case.asks(frame).then(|| case.found.mark());
    let (begin, spent) = (Instant::now(), uapi::spent());
    let done = of(verb).act(&mut Running { case, planned, frame, device, say, sequence });
    let took = took(planned, begin.elapsed(), uapi::spent() - spent);
    if done.is_ok() {
        case.took(planned, took);
    }
    let done = done.and_then(|()| case.within(planned, took));
    let settled = match asks {
        None => done,
        Some(mark) => case.settle(planned, frame, done, mark),
    };
    let followed = settled.and_then(|()| follow(case, verb, frame, at));
    case.turn_to(before);
    followed
}

/// Compares the page table with what a step has mapped.
fn follow(case: &mut Context, verb: &Verb, frame: &Frame, at: &Path) -> Result<(), End> {
    if !verb.about().is_followed {
        case.ledger.lose(format!("what `{}` maps is not followed", verb.name()));
    }
    let Some(open) = frame.open else { return Ok(()) };
    let compared = case.leaves.compare(&case.ledger, open.device(case.home), at, false, case.tracer);
    case.goes_on(compared)
}
