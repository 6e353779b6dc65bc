// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{event::Injected, host::facts, uapi::inject};

/// More allocations than any request makes: the kernel's own tests stop at a thousand, too.
const MOST_POINTS: u32 = 1000;
/// The number of steps whose faults the result of a case has.
const MOST_INJECTED: usize = 100;

impl Act for FailNth {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let faults = injection().map_err(End::Skipped)?;
        let planned = step.planned;
        let [undo, still] = planned.branches.as_slice() else { unreachable!("the plan has both lists") };
        let first = step.optional("first", &self.first)?.map_or(1, |first| u32::try_from(first).unwrap_or(u32::MAX));
        let (mut points, mut failed) = (0, 0);
        loop {
            if points == MOST_POINTS {
                let title = format!("the step still makes allocations after {MOST_POINTS} of them have failed");
                return Err(step.error(Code::TooManySteps, "", title, "expected a step of one request"));
            }
            let number = first.saturating_add(points);
            faults.arm(number);
            step.case.found.errno = None;
            let end = step.run(&planned.steps);
            let has_failed = faults.disarm();
            let errno = step.case.found.errno.take();
            if !has_failed {
                // No allocation failed, so the step has to do what it says.
                end?;
                break;
            }
            points += 1;
            let in_round = |end: End| end.help(format!("when allocation {number} of the step had failed"));
            match (errno, end) {
                (Some(_), Ok(())) => {}
                // An errno other than the expected one is the fault's.
                (Some(_), Err(End::Failed(problem))) if problem.what.code == Code::Outcome => {}
                (None, Ok(())) => {
                    step.run(undo).map_err(in_round)?;
                    continue;
                }
                (_, Err(end)) => return Err(in_round(end)),
            }
            failed += 1;
            step.run(still).map_err(in_round)?;
        }
        step.save(Value::from_pairs([("points", points), ("failed", failed)]));
        if step.case.found.injected.len() < MOST_INJECTED {
            let what = planned.steps.first().map_or_else(String::new, |step| step.step.verb.name().to_owned());
            let what = format!("{what} at {}", step.frame.place(&planned.at));
            step.case.found.injected.push(Injected { what, points, failed });
        }
        Ok(())
    }
}

/// The kernel's fault injection.
///
/// # Errors
/// This kernel or this machine has none; the text says why.
pub fn injection() -> Result<inject::FailNth, String> {
    if facts::is_lab_guest() {
        inject::FailNth::new()
    } else {
        // Other parts of the kernel may not survive it: ACPI's interpreter does not.
        Err("`fail_nth` takes memory from the kernel, and is for the lab's guest only".to_owned())
    }
}
