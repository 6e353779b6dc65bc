// SPDX-License-Identifier: MIT OR Apache-2.0
use std::os::fd::AsFd;

use super::prelude::*;

impl Act for Truncate {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Truncate { region, size } = self;
        let size = step.size("size", size)?;
        let (memory, file) = step.memory_in_file(region)?;
        step.done(memory.truncate(file.as_fd(), size))
    }
}
