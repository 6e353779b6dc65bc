// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::atomic::{Ordering, fence};

use super::{
    Act, Running,
    content::{CHUNK, Content, Part, chunks},
};
use crate::{
    engine::failure::{End, Problem},
    language::verb::Compare,
    model::code::Code,
};

/// How many bytes of a difference are shown.
const SHOWN: usize = 8;

impl Act for Compare {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Compare { region, offset, size, with, with_offset, pattern, value } = self;
        let part = step.part(region, offset, size)?;
        let content = match with {
            Some(name) => {
                let offset = step.optional("with_offset", with_offset)?.unwrap_or(part.offset);
                Content::Region(Part::new(name, &step.memory(name).mapping, offset, Some(part.size), step.at("with"))?)
            }
            None => step.content(pattern, value)?,
        };
        step.case.checks += 1;
        fence(Ordering::SeqCst); // after whatever told that a device is done with it
        let length = CHUNK.min(part.size) as usize;
        let (mut got, mut expected) = (vec![0; length], vec![0; length]);
        let unreadable = |errno, name| {
            let title = format!("failed to read from region `{name}`: {errno}");
            End::Error(
                Problem::new(Code::Refused, step.verb_at(), title).label("expected memory that the CPU may read"),
            )
        };
        for (done, length) in chunks(part.size) {
            let (got, expected) = (&mut got[..length], &mut expected[..length]);
            part.memory.read(part.offset + done, got).map_err(|errno| unreadable(errno, region))?;
            let other = with.as_ref().unwrap_or(region);
            content.read(done, expected).map_err(|errno| unreadable(errno, other))?;
            let Some(first) = got.iter().zip(expected.iter()).position(|(got, expected)| got != expected) else {
                continue;
            };
            let shown = |bytes: &[u8]| {
                let few = bytes[first..].iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
                few.collect::<Vec<_>>().join(" ")
            };
            let title = format!(
                "region `{region}` differs at offset {:#x}: got {}, expected {}",
                part.offset + done + first as u64,
                shown(got),
                shown(expected)
            );
            let what = match (&content, with) {
                (Content::Region(other), Some(with)) => {
                    format!("expected what region `{with}` holds from {:#x} on", other.offset)
                }
                (Content::Byte(byte), _) => format!("expected {byte:#04x} in every byte"),
                _ => "expected the pattern".to_owned(),
            };
            return Err(End::Failed(Problem::new(Code::Content, step.verb_at(), title).label(what)));
        }
        Ok(())
    }
}
