// SPDX-License-Identifier: MIT OR Apache-2.0
use std::os::fd::AsFd;

use super::prelude::*;

impl Act for PunchHole {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let PunchHole(PartOfRegion { region, offset, size }) = self;
        let (memory, file) = step.memory_in_file(region)?;
        let part = step.part(region, offset, size)?;
        step.done(memory.punch_hole(file.as_fd(), part.offset, part.size))
    }
}
