// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that IOMMUFD counts as held by the process (`VmPin`).

use super::locked_memory::{look, wrong};
use super::{Look, Observer, Shared, State};

pub struct PinnedMemory;

impl Observer for PinnedMemory {
    fn name(&self) -> &'static str {
        "pinned_memory"
    }

    fn look(&self, shared: &Shared) -> Look {
        look(shared, |memory| memory.pinned).ok_or("/proc/self/status has no VmPin")
    }

    fn wrong(&self, before: &State, now: &State) -> Option<String> {
        wrong("VmPin", before, now)
    }
}
