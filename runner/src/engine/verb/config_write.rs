// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::engine::device::width;

impl Act for ConfigWrite {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigWrite { offset, bits, value } = self;
        let offset = step.size("offset", offset)?;
        let value = step.fitting("value", value, *bits)?;
        let device = step.changes(Changed::Shown)?.session.device();
        step.done(device.config().and_then(|region| device.write(&region, offset, width(*bits), value)))
    }
}
