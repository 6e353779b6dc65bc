// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::{
    engine::{device::width, regions::prot},
    uapi::{Mapping, Placement},
};

impl Act for Mmap {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Mmap { on, offset, size, protection, private, bits } = self;
        let (offset, size) = (step.size("offset", offset)?, step.size("size", size)?);
        let (prot, tracer) = (prot(*protection), step.case.tracer);
        let file = step.file(on)?.0;
        let made = if *private {
            Mapping::private(file, offset, size, prot, tracer)
        } else {
            Mapping::device(file, offset, size, prot, Placement::default(), tracer)
        };
        let got = made.and_then(|mapping| bits.map(|bits| mapping.mmio_read(0, width(bits))).transpose());
        let value = Value::from(got.ok().flatten());
        step.save(Value::from_pairs([("mapped", Value::from(got.is_ok())), ("value", value)]));
        step.compare(got.map(|_| None))
    }
}
