// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::atomic::{Ordering, fence};

use super::{
    Act, Running,
    content::{CHUNK, chunks},
};
use crate::{
    engine::failure::{End, Problem},
    language::verb::Fill,
    model::code::Code,
};

impl Act for Fill {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Fill { region, offset, size, pattern, value } = self;
        let part = step.part(region, offset, size)?;
        let content = step.content(pattern, value)?;
        let mut bytes = vec![0; CHUNK.min(part.size) as usize];
        for (done, length) in chunks(part.size) {
            let bytes = &mut bytes[..length];
            content.read(done, bytes).and_then(|()| part.memory.write(part.offset + done, bytes)).map_err(|errno| {
                let title = format!("failed to write to region `{region}`: {errno}");
                End::Error(
                    Problem::new(Code::Refused, step.at("region"), title)
                        .label("expected memory that the CPU may write"),
                )
            })?;
        }
        fence(Ordering::SeqCst); // before whatever tells a device to look at it
        Ok(())
    }
}
