// SPDX-License-Identifier: MIT OR Apache-2.0
use std::time::{Duration, Instant};

use super::{parallel::MOST_MEASURED, prelude::*};
use crate::{event::Measured, uapi};

const MOST_ROUNDS: u64 = 1000;

impl Act for Measure {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Measure { steps: _, undo: _, times, bytes } = self;
        let (times, bytes) = (step.optional("times", times)?.unwrap_or(10), step.optional("bytes", bytes)?);
        if !(1..=MOST_ROUNDS).contains(&times) {
            let title = format!("{times} rounds cannot be measured");
            return Err(step.out_of_range("times", title, format!("expected 1 to {MOST_ROUNDS}")));
        }
        let planned = step.planned;
        let undo: &[_] = planned.branches.first().map_or(&[], Vec::as_slice);
        let mut each = Vec::new();
        for round in 1..=times {
            let (begin, spent) = (Instant::now(), uapi::spent());
            let in_round = |end: End| end.help(format!("in round {round} of {times}"));
            step.run(&planned.steps).map_err(in_round)?;
            let (all, calls) = (begin.elapsed(), uapi::spent() - spent);
            each.push(micros(if calls.is_zero() { all } else { calls }));
            step.run(undo).map_err(in_round)?;
        }
        let measured = Measured::each(what(step), each, bytes);
        let sorted = measured.sorted();
        let values = measured.each.iter().copied().collect::<Value>();
        step.save(Value::from_pairs([
            ("median", Value::from(measured.median())),
            ("least", Value::from(sorted[0])),
            ("most", Value::from(sorted[sorted.len() - 1])),
            ("each", values),
        ]));
        if step.case.found.measured.len() < MOST_MEASURED {
            step.case.found.measured.push(measured);
        }
        Ok(())
    }
}

/// What the step is called in reports: as its result, or by its place.
fn what(step: &Running) -> String {
    match &step.planned.step.save {
        Some(name) => name.0.clone(),
        None => format!("measure at {}", step.frame.place(&step.planned.at)),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
