// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Finally {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        step.run(&step.planned.steps)
    }
}
