// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{
    engine::{device::width, regions::prot},
    uapi::{Mapping, Placement},
};

/// What one page table of the CPU covers, with pages of 4 KiB. A mapping at a multiple of it needs a new one, so that there is an allocation to fail.
const HUGE: u64 = 2 << 20;

impl Act for Mmap {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Mmap { on, offset, size, protection, private, bits, unmap_first } = self;
        let (offset, size) = (step.size("offset", offset)?, step.size("size", size)?);
        let first = step.optional("unmap_first", unmap_first)?;
        let (prot, tracer) = (prot(*protection), step.case.tracer);
        let file = step.file(on)?.0;
        let made = if *private {
            Mapping::private(file, offset, size, prot, tracer)
        } else {
            Mapping::device(file, offset, size, prot, Placement::aligned(HUGE), tracer)
        };
        let got = made.and_then(|mapping| {
            let value = bits.map(|bits| mapping.mmio_read(0, width(bits))).transpose()?;
            first.map_or(Ok(()), |first| mapping.unmap(0, first))?;
            Ok(value)
        });
        let value = Value::from(got.ok().flatten());
        step.save(Value::from_pairs([("mapped", Value::from(got.is_ok())), ("value", value)]));
        step.compare(got.map(|_| None))
    }
}
