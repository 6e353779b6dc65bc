// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Reset {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Reset(NoArguments {}) = self;
        let open = step.changes(Changed::Shown)?;
        step.done(open.session.device().reset())
    }
}
