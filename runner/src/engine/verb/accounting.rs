// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{
    engine::failure::{End, Problem},
    host::facts,
    language::verb::{Accounting, NoArguments},
    model::code::Code,
};

impl Act for Accounting {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Accounting(NoArguments {}) = self;
        let memory = facts::process_memory().ok_or_else(|| {
            let title = "/proc/self/status has no VmLck and VmPin";
            End::Error(Problem::new(Code::Observer, step.verb_at(), title))
        })?;
        step.save(Value::from_pairs([("locked", memory.locked), ("pinned", memory.pinned)]));
        Ok(())
    }
}
