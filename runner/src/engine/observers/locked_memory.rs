// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that TYPE1 counts as held by the process (`VmLck`).

use super::{Look, Observer, Shared, State};
use crate::host::facts::ProcessMemory;
use crate::language::Size;

pub struct LockedMemory;

impl Observer for LockedMemory {
    fn name(&self) -> &'static str {
        "locked_memory"
    }

    fn look(&self, shared: &Shared) -> Look {
        look(shared, |memory| memory.locked).ok_or("/proc/self/status has no VmLck")
    }

    fn wrong(&self, before: &State, now: &State) -> Option<String> {
        wrong("VmLck", before, now)
    }
}

/// What the kernel counts of the process, in bytes.
pub(super) fn look(shared: &Shared, field: fn(ProcessMemory) -> u64) -> Option<State> {
    shared.memory.map(|memory| State::from([(0, field(memory))]))
}

pub(super) fn wrong(field: &str, before: &State, now: &State) -> Option<String> {
    (before != now)
        .then(|| format!("{field} of the process is {}, and was {} before the case", Size(now[&0]), Size(before[&0])))
}
