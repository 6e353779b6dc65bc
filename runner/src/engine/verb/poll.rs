// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a value.

use std::time::{Duration, Instant};

use minijinja::Value;

use super::running::Running;
use crate::language::{self, Dynamic, Size};
use crate::{engine::failure::End, language::verb::Bits, model::Errno, uapi::signal};

/// How long a step waits if it does not say.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// What a step waits for.
pub struct Until<'s> {
    pub is: &'s Dynamic<Size>,
    pub mask: &'s Option<Dynamic<Size>>,
    pub bits: Bits,
    pub timeout: Option<language::Duration>,
}

impl Running<'_, '_, '_> {
    /// Reads until the bits under the mask are the wanted ones, keeps the last value, and compares the outcome, which is ETIMEDOUT if they
    /// did not come in time.
    pub fn poll(&mut self, until: Until, what: &str, read: impl Fn() -> Result<u64, Errno>) -> Result<(), End> {
        let wanted = self.fitting("is", until.is, until.bits)?;
        let mask = until.mask.as_ref().map(|mask| self.fitting("mask", mask, until.bits)).transpose()?;
        let within = until.timeout.unwrap_or(language::Duration(PATIENCE));
        let end = Instant::now() + within.0;
        let waiting = signal::wait();
        let (last, got) = loop {
            match read() {
                Err(errno) => break (None, Err(errno)),
                Ok(value) if value & mask.unwrap_or(u64::MAX) == wanted => break (Some(value), Ok(())),
                Ok(_) if signal::interrupted().is_some() => break (None, Err(Errno(libc::EINTR))),
                Ok(value) if Instant::now() >= end => break (Some(value), Err(Errno(libc::ETIMEDOUT))),
                Ok(_) => std::thread::sleep(Duration::from_micros(100)),
            }
        };
        drop(waiting);
        self.save(last.map_or(Value::UNDEFINED, |value| Value::from_pairs([("value", value)])));
        self.done(got).map_err(|end| match last.filter(|_| got == Err(Errno(libc::ETIMEDOUT))) {
            None => end,
            Some(last) => {
                let verb = self.planned.step.verb.name();
                let under = mask.map_or_else(String::new, |mask| format!(" under the mask {mask:#x}"));
                end.title(format!(
                    "{verb}: {what} was still {last:#x} after {within}, expected {wanted:#x}{under} (ETIMEDOUT)"
                ))
            }
        })
    }
}
