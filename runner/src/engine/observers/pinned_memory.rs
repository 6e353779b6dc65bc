// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that IOMMUFD counts as held by the process (`VmPin`).

use super::locked_memory::{look, wrong};
use super::{Kept, Look, Observer, State};

pub struct PinnedMemory;

impl Observer for PinnedMemory {
    fn name(&self) -> &'static str {
        "pinned_memory"
    }

    fn look(&self, _: &Kept) -> Look {
        look(|memory| memory.pinned).ok_or("/proc/self/status has no VmPin")
    }

    fn wrong(&self, before: &State, now: &State) -> Option<String> {
        wrong("VmPin", before, now)
    }
}
