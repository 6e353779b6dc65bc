// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::host::facts;

impl Act for Accounting {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Accounting(NoArguments {}) = self;
        let memory = facts::process_memory()
            .ok_or_else(|| step.error(Code::Observer, "", "/proc/self/status has no VmLck and VmPin", ""))?;
        step.save(Value::from_pairs([("locked", memory.locked), ("pinned", memory.pinned)]));
        Ok(())
    }
}
