// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Detach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Detach(NoArguments {}) = self;
        step.own()?;
        step.moved();
        step.done(step.vfio()?.detach())
    }
}
