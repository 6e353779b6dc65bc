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
mod lab_fault;
mod madvise;
mod map;
mod map_file;
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
mod region_info;
mod register;
mod repeat;
mod reset;
mod running;
mod space;
mod truncate;
mod unmap;
mod unmap_all;
mod vf_token;

use super::{
    context::{Context, Frame},
    failure::{End, Problem},
    last_step::Doing,
};
use crate::{
    language::{MOST_STEPS, verb::*},
    model::code::Code,
    plan::PlannedStep,
    uapi::signal,
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

fn one<'a>(
    case: &mut Context<'a>,
    planned: &PlannedStep,
    frame: &mut Frame<'_, 'a>,
    say: &mut dyn FnMut(Doing),
) -> Result<(), End> {
    let (verb, at) = (&planned.step.verb, &planned.at);
    say(Doing { what: verb.name().to_owned(), place: Some(frame.place(at)) });
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
    let done = of(verb).act(&mut Running { case, planned, frame, device, say, sequence });
    case.turn_to(before);
    match asks {
        None => done?,
        Some(mark) => case.settle(planned, frame, done, mark)?,
    }
    if !verb.about().is_followed {
        case.ledger.lose(format!("what `{}` maps is not followed", verb.name()));
    }
    if let Some(open) = frame.open {
        let compared = case.leaves.compare(&case.ledger, open, at, false, case.tracer);
        case.goes_on(compared)?;
    }
    Ok(())
}
