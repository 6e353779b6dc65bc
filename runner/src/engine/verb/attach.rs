// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Attach {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Attach { to } = self;
        let (_, to) = step.ioas("to", to)?;
        step.moved();
        step.gave_id(step.vfio()?.attach(to))
    }
}
