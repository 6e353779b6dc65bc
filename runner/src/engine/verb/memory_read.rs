// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running};
use crate::{engine::failure::End, language::verb::MemoryRead};

impl Act for MemoryRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MemoryRead { region, offset, bits } = self;
        let got = step.number_in(region, offset, *bits)?.number();
        step.gave(got, |value| Value::from_pairs([("value", value)]))
    }
}
