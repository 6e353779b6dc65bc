// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for DeviceClose {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let DeviceClose(NoArguments {}) = self;
        step.case.device.let_go();
        match step.case.opened.close(step.case.current) {
            Some(_) => step.compare(Ok(None)),
            None => Err(step.not_open()),
        }
    }
}
