// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{
    engine::{device::width, failure::End},
    language::verb::ConfigRead,
};

impl Act for ConfigRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let ConfigRead { offset, bits } = self;
        let offset = step.size("offset", offset)?;
        let device = step.open()?.session.device();
        let got = device.config().and_then(|region| device.read(&region, offset, width(*bits)));
        step.gave(got, |value| Value::from_pairs([("value", value)]))
    }
}
