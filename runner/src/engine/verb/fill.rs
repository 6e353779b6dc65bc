// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::atomic::{Ordering, fence};

use super::{content::chunks, prelude::*};

impl Act for Fill {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Fill { region, offset, size, pattern, value } = self;
        let part = step.part(region, offset, size)?;
        let content = step.content(pattern, value)?;
        step.writes(region);
        let mut bytes = Vec::new();
        for (done, length) in chunks(part.size) {
            bytes.resize(length, 0);
            let written = content.read(done, &mut bytes).and_then(|()| part.write(done, &bytes));
            part.explain(written.map_err(|errno| {
                let title = format!("failed to write to region `{region}`: {errno}");
                step.error(Code::Refused, "region", title, part.expected("write"))
            }))?;
        }
        fence(Ordering::SeqCst); // before whatever tells a device to look at it
        Ok(())
    }
}
