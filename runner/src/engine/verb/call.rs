// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{engine::failure::End, language::verb::Call};

impl Act for Call {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let result = step.case.call(self, step.planned, step.device, step.frame, step.say)?;
        step.save(result);
        Ok(())
    }
}
