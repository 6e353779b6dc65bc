// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running, poll::PATIENCE};
use crate::{
    engine::failure::{End, Problem},
    language::{Duration, verb::IrqWait},
    model::{Errno, code::Code},
};

impl Act for IrqWait {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqWait { index, vector, timeout } = self;
        let kind = step.interrupt(index)?;
        let vector = vector.as_ref().map_or(Ok(0), |vector| step.small("vector", vector))?;
        let Some(event) = step.case.device.events.get(&(kind, vector)) else {
            let problem = Problem::new(
                Code::NotEnabled,
                step.verb_at(),
                format!("vector {vector} of {} is not enabled", kind.as_str()),
            );
            return Err(End::Error(problem.label("expected an `irq_enable` of it before")));
        };
        let within = timeout.unwrap_or(Duration(PATIENCE));
        let (count, got) = match event.wait(within.0) {
            Ok(Some(count)) => (Some(count), Ok(None)),
            Ok(None) => (Some(0), Err(Errno(libc::ETIMEDOUT))),
            Err(errno) => (None, Err(errno)),
        };
        step.save(count.map_or(Value::UNDEFINED, |count| Value::from_pairs([("count", count)])));
        let kind = kind.as_str();
        step.compare(got).map_err(|end| match got {
            Ok(_) => end.title(format!("irq_wait: an interrupt came on {kind} vector {vector}, expected none")),
            Err(Errno(libc::ETIMEDOUT)) => {
                end.title(format!("irq_wait: no interrupt on {kind} vector {vector} within {within} (ETIMEDOUT)"))
            }
            Err(_) => end,
        })
    }
}
