// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::access;

impl Act for FileRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let FileRead { on, region, offset, size } = self;
        let part = step.part_for_a_file(region, offset, size)?;
        let got = access::read_into(step.opened("on", on)?, part.memory, part.offset, part.size, step.case.tracer);
        step.gave_bytes(got)
    }
}
