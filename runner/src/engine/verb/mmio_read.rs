// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{
    engine::{device::width, failure::End},
    language::verb::MmioRead,
};

impl Act for MmioRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MmioRead { bar, offset, bits } = self;
        let register = step.register(bar, offset, *bits)?;
        let got = register.bar.mmio_read(register.offset, width(*bits));
        step.gave(got, |value| Value::from_pairs([("value", value)]))
    }
}
