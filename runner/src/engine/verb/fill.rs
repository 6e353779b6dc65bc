// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Fill {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Fill { region, offset, size, pattern, value } = self;
        let part = step.part(region, offset, size)?;
        let content = step.content(pattern, value)?;
        step.fill("region", region, &part, &content)
    }
}
