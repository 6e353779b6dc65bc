// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::atomic::{Ordering, fence};

use super::{content::Part, prelude::*};
use crate::uapi::access::can_submit;

/// The bytes of a descriptor.
const BYTES: u64 = 64;

impl Act for MmioSubmit {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MmioSubmit { bar, offset, region, from } = self;
        if !can_submit() {
            return Err(End::Skipped("this processor cannot write 64 bytes in one piece (MOVDIR64B)".to_owned()));
        }
        let (offset, index) = (step.size("offset", offset)?, step.small("bar", bar)?);
        let from = step.optional("from", from)?.unwrap_or(0);
        let part = Part::new(region, &step.memory(region).mapping, from, Some(BYTES), step.at("region"))?;
        let (open, at) = (step.open()?, step.at("bar"));
        let bar = step.case.device.bar(index, open, at)?;
        let mut bytes = [0; BYTES as usize];
        part.explain(part.read(0, &mut bytes).map_err(|errno| {
            let title = format!("failed to read from region `{region}`: {errno}");
            step.error(Code::Refused, "region", title, part.expected("read"))
        }))?;
        step.changes(Changed::Registers)?;
        fence(Ordering::SeqCst); // what the descriptor points to is in memory
        step.done(bar.mmio_submit(offset, &bytes))
    }
}
