// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a value.

use std::time::{Duration, Instant};

use crate::{language, model::Errno, uapi::signal};

/// How long a step waits if it does not say.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How the waiting ended.
pub struct Polled {
    /// The last value that was read; `None` if the last read failed, or the case was interrupted.
    pub last: Option<u64>,
    /// Whether the value came; ETIMEDOUT if it did not come in time.
    pub got: Result<(), Errno>,
    expected: String,
}

impl Polled {
    /// If the value did not come in time, what was there instead.
    pub fn late(&self) -> Option<String> {
        let last = self.last.filter(|_| self.got == Err(Errno(libc::ETIMEDOUT)))?;
        Some(format!("{last:#x} {}", self.expected))
    }
}

/// Reads until the bits under the mask are those of `wanted`.
pub fn poll(
    timeout: Option<language::Duration>,
    mask: Option<u64>,
    wanted: u64,
    read: impl Fn() -> Result<u64, Errno>,
) -> Polled {
    let within = timeout.unwrap_or(language::Duration(PATIENCE));
    let until = Instant::now() + within.0;
    let _waiting = signal::wait();
    let (last, got) = loop {
        match read() {
            Err(errno) => break (None, Err(errno)),
            Ok(value) if value & mask.unwrap_or(u64::MAX) == wanted => break (Some(value), Ok(())),
            Ok(_) if signal::interrupted().is_some() => break (None, Err(Errno(libc::EINTR))),
            Ok(value) if Instant::now() >= until => break (Some(value), Err(Errno(libc::ETIMEDOUT))),
            Ok(_) => std::thread::sleep(Duration::from_micros(100)),
        }
    };
    let under = mask.map_or_else(String::new, |mask| format!(" under the mask {mask:#x}"));
    Polled { last, got, expected: format!("after {within}, expected {wanted:#x}{under}") }
}
