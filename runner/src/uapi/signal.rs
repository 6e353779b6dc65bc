// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupt that ends a case which takes too long, and what it interrupted.
//!
//! Its handler does nothing but note it, and does not restart the call that it found: a call that can be interrupted fails with
//! `EINTR`, and the case ends in good order, with its trace. All of it is of this process, whichever thread waits.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::model::Errno;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether somebody was waiting when the interrupt came.
static FOUND_WAITING: AtomicBool = AtomicBool::new(false);
/// How many are waiting now.
static WAITING: AtomicU32 = AtomicU32::new(0);
/// How long was waited, in microseconds.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// What an interrupt found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// The kernel or the device was being waited for.
    pub waiting: bool,
}

/// Catches SIGINT from now on.
pub fn catch() -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only touches atomics, which a signal handler may.
    unsafe { sigaction(Signal::SIGINT, &action) }?;
    Ok(())
}

extern "C" fn note(_: libc::c_int) {
    FOUND_WAITING.store(WAITING.load(SeqCst) > 0, SeqCst);
    INTERRUPTED.store(true, SeqCst);
}

/// The interrupt that came since the last [`forget`].
pub fn interrupted() -> Option<Interrupted> {
    INTERRUPTED.load(SeqCst).then(|| Interrupted { waiting: FOUND_WAITING.load(SeqCst) })
}

/// How long kernel and device were waited for since the last [`forget`].
pub fn waited() -> Duration {
    Duration::from_micros(WAITED.load(SeqCst))
}

/// Begins anew.
pub fn forget() {
    INTERRUPTED.store(false, SeqCst);
    WAITED.store(0, SeqCst);
}

/// Says that the kernel or the device is waited for, until dropped.
#[derive(Debug)]
pub struct Waiting(Instant);

/// The kernel or the device is waited for from now on.
pub fn wait() -> Waiting {
    WAITING.fetch_add(1, SeqCst);
    Waiting(Instant::now())
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITED.fetch_add(self.0.elapsed().as_micros() as u64, SeqCst);
        WAITING.fetch_sub(1, SeqCst);
    }
}
