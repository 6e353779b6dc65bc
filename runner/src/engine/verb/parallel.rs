// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Act, Running};
use crate::{engine::failure::End, language::verb::Parallel};

impl Act for Parallel {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        step.case.parallel(self, step.planned, step.frame, step.say)
    }
}
