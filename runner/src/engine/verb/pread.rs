// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::access;

impl Act for Pread {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Pread { on, offset, size } = self;
        let offset = step.size("offset", offset)?;
        let mut bytes = vec![0; step.few_bytes(size)?];
        let got = access::read_at(step.file(on)?.0, offset, &mut bytes, step.case.tracer);
        step.save(got.map_or(Value::UNDEFINED, |read| {
            let mut first = [0; 8];
            let length = read.min(8);
            first[..length].copy_from_slice(&bytes[..length]);
            Value::from_pairs([("bytes", Value::from(read)), ("value", Value::from(u64::from_le_bytes(first)))])
        }));
        step.compare(got.map(|read| Some(read as u64)))
    }
}
