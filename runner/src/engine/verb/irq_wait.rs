// SPDX-License-Identifier: MIT OR Apache-2.0
use std::os::fd::AsFd;

use super::{poll::PATIENCE, prelude::*};
use crate::uapi::irq;

impl Act for IrqWait {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let IrqWait { index, vector, timeout } = self;
        let (index, vector) = (step.interrupt(index)?, step.vector(vector)?);
        let kind = index.as_str();
        let Some(event) = step.case.device.events.get(&(index, vector)) else {
            let title = format!("vector {vector} of {kind} is not enabled");
            return Err(step.error(Code::NotEnabled, "", title, "expected an `irq_enable` of it before"));
        };
        let within = timeout.unwrap_or(Duration(PATIENCE));
        let (count, got) = match irq::wait(event.as_fd(), within.0, step.case.tracer) {
            Ok(Some(count)) => (Some(count), Ok(None)),
            Ok(None) => (Some(0), Err(Errno(libc::ETIMEDOUT))),
            Err(errno) => (None, Err(errno)),
        };
        step.save(count.map_or(Value::UNDEFINED, |count| Value::from_pairs([("count", count)])));
        step.compare(got).map_err(|end| match got {
            Ok(_) => end.title(format!("irq_wait: an interrupt came on {kind} vector {vector}, expected none")),
            Err(Errno(libc::ETIMEDOUT)) => {
                end.title(format!("irq_wait: no interrupt on {kind} vector {vector} within {within} (ETIMEDOUT)"))
            }
            Err(_) => end,
        })
    }
}
