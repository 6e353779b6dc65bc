// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a value.

use std::{
    thread,
    time::{Duration, Instant},
};

use minijinja::Value;

use super::running::Running;
use crate::language::{self, Dynamic, Size};
use crate::{engine::failure::End, language::verb::Bits, model::Errno, uapi::signal};

/// How long a step waits if it does not say.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The shortest and the longest pause between two looks.
const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(20);

/// How long to pause before the next look at a value that has been awaited for so long, with so much time left: a sixteenth of the wait, so
/// that a device that answers at once is seen at once, and one that takes 100 ms costs thirty looks and not a thousand.
fn pause(waited: Duration, left: Duration) -> Duration {
    (waited / 16).clamp(SHORTEST, LONGEST).min(left)
}

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
        let begin = Instant::now();
        let waiting = signal::wait();
        let (last, got) = loop {
            let waited = begin.elapsed();
            match read() {
                Err(errno) => break (None, Err(errno)),
                Ok(value) if value & mask.unwrap_or(u64::MAX) == wanted => break (Some(value), Ok(())),
                Ok(_) if signal::interrupted().is_some() => break (None, Err(Errno(libc::EINTR))),
                Ok(value) if waited >= within.0 => break (Some(value), Err(Errno(libc::ETIMEDOUT))),
                Ok(_) => thread::sleep(pause(waited, within.0.saturating_sub(waited))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_wait_and_end_with_it() {
        let ms = Duration::from_millis;
        assert_eq!(pause(Duration::ZERO, ms(1000)), SHORTEST);
        assert_eq!(pause(ms(80), ms(1000)), ms(5));
        assert_eq!(pause(ms(900), ms(1000)), LONGEST);
        assert_eq!(pause(ms(900), ms(3)), ms(3));
    }
}
