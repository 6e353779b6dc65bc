// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this process may lock: the limit, and the right not to be held to it.

use caps::{CapSet, Capability::CAP_IPC_LOCK};
use nix::sys::resource::{Resource::RLIMIT_MEMLOCK, getrlimit, rlim_t, setrlimit};

use super::{Tracer, trace::zero};
use crate::model::Errno;

/// A lower limit on locked memory, held to: as it was when dropped.
#[derive(Debug)]
pub struct LockLimit {
    soft: rlim_t,
    hard: rlim_t,
    /// Whether the thread had the right to lock more (`CAP_IPC_LOCK`), which it lays down meanwhile.
    privileged: bool,
    tracer: Tracer,
}

impl LockLimit {
    /// Lets this process lock `bytes` and no more: `RLIMIT_MEMLOCK`, and `CAP_IPC_LOCK` laid down by the calling thread.
    pub fn set(bytes: u64, tracer: &Tracer) -> Result<LockLimit, Errno> {
        let (soft, hard) = getrlimit(RLIMIT_MEMLOCK)?;
        let privileged = caps::has_cap(None, CapSet::Effective, CAP_IPC_LOCK).map_err(|_| Errno::last())?;
        let before = LockLimit { soft, hard, privileged, tracer: tracer.clone() };
        before.apply(bytes, false)?;
        Ok(before)
    }

    fn apply(&self, soft: rlim_t, privileged: bool) -> Result<(), Errno> {
        let run = || Ok(setrlimit(RLIMIT_MEMLOCK, soft, self.hard)?);
        self.tracer.call("setrlimit", format!("RLIMIT_MEMLOCK, {soft:#x}"), run, zero)?;
        if !self.privileged {
            return Ok(());
        }
        let change = if privileged { caps::raise } else { caps::drop };
        let run = || change(None, CapSet::Effective, CAP_IPC_LOCK).map_err(|_| Errno::last());
        self.tracer.call("capset", format!("effective{}CAP_IPC_LOCK", if privileged { '+' } else { '-' }), run, zero)
    }
}

impl Drop for LockLimit {
    fn drop(&mut self) {
        // What was there before is allowed; the trace shows it.
        let _ = self.apply(self.soft, self.privileged);
    }
}

/// How many bytes this process may lock; `None` if as many as it likes.
pub fn lockable() -> Option<u64> {
    let is_free = caps::has_cap(None, CapSet::Effective, CAP_IPC_LOCK).unwrap_or(false);
    let (soft, _) = getrlimit(RLIMIT_MEMLOCK).ok().filter(|_| !is_free)?;
    (soft != nix::libc::RLIM_INFINITY).then_some(soft)
}

/// How many bytes this process may allow itself to lock; `None` if as many as it likes.
pub fn lockable_at_most() -> Option<u64> {
    let (_, hard) = getrlimit(RLIMIT_MEMLOCK).ok()?;
    (hard != nix::libc::RLIM_INFINITY).then_some(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_to_and_taken_back() {
        let now =
            || (getrlimit(RLIMIT_MEMLOCK).unwrap().0, caps::has_cap(None, CapSet::Effective, CAP_IPC_LOCK).unwrap());
        let before = now();
        let limit = LockLimit::set(4096, &Tracer::new()).unwrap();
        assert_eq!(now(), (4096, false));
        drop(limit);
        assert_eq!(now(), before);
    }
}
