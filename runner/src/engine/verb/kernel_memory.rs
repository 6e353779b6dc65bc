// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::host::facts;

impl Act for KernelMemory {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let KernelMemory(NoArguments {}) = self;
        if !facts::is_lab_guest() {
            return Err(End::Skipped(
                "`kernel_memory` is for the lab, where nobody else makes the kernel hold memory".to_owned(),
            ));
        }
        let memory = facts::kernel_memory();
        let memory = memory
            .ok_or_else(|| step.error(Code::Observer, "", "/proc/meminfo does not say what the kernel holds", ""))?;
        step.save(Value::from_pairs([("objects", memory.objects), ("page_tables", memory.page_tables)]));
        Ok(())
    }
}
