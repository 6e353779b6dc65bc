// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::host::facts::{self, ProcessMemory};

impl Act for Accounting {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Accounting(NoArguments {}) = self;
        let memory = facts::process_memory();
        let memory = memory.ok_or_else(|| {
            step.error(Code::Observer, "", "/proc/self/status does not say what the process holds", "")
        })?;
        let ProcessMemory { locked, pinned, resident, anonymous, shared } = memory;
        let fields = [
            ("locked", locked),
            ("pinned", pinned),
            ("resident", resident),
            ("anonymous", anonymous),
            ("shared", shared),
        ];
        // A count that went below zero is shown as such.
        step.save(Value::from_pairs(fields.map(|(name, bytes)| (name, bytes.cast_signed()))));
        Ok(())
    }
}
