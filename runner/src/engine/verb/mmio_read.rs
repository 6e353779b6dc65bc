// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for MmioRead {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let MmioRead { bar, offset, bits } = self;
        let got = step.register(bar, offset, *bits)?.read();
        step.gave_value(got)
    }
}
