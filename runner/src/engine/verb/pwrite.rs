// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi::access;

impl Act for Pwrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Pwrite { on, offset, size, value } = self;
        let offset = step.size("offset", offset)?;
        let mut bytes = vec![0; step.few_bytes(size)?];
        let value = step.size("value", value)?;
        let number = value.to_le_bytes();
        let (first, rest) = number.split_at(bytes.len().min(8));
        if rest.iter().any(|byte| *byte != 0) {
            return Err(step.out_of_range("value", format!("{value:#x} does not fit into {} bytes", bytes.len()), ""));
        }
        bytes[..first.len()].copy_from_slice(first);
        let (file, of_fixture) = step.file(on)?;
        let of_fixture = step.device.filter(|_| of_fixture);
        of_fixture.inspect(|open| _ = open.config_space());
        let got = access::write_at(file, offset, &bytes, step.case.tracer);
        if let Some(open) = of_fixture {
            let config = open.session.device().config().is_ok_and(|config| offset >= config.offset);
            let changed = if got.is_err() || config { Changed::Shown } else { Changed::Registers };
            step.case.device.changes(changed, open);
        }
        step.gave_bytes(got.map(|written| written as u64))
    }
}
