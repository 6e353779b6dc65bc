// SPDX-License-Identifier: MIT OR Apache-2.0
use std::sync::atomic::{Ordering, fence};

use super::{
    content::{Content, Part, chunks},
    prelude::*,
};

/// The number of bytes of a difference that a message shows.
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
        step.case.found.checks += 1;
        fence(Ordering::SeqCst); // after whatever told that a device is done with it
        let unreadable = |errno, name, part: &Part| {
            let title = format!("failed to read from region `{name}`: {errno}");
            step.error(Code::Refused, "", title, part.expected("read"))
        };
        let (mut got, mut expected) = (Vec::new(), Vec::new());
        for (done, length) in chunks(part.size) {
            got.resize(length, 0);
            expected.resize(length, 0);
            let read = part.read(done, &mut got);
            part.explain(read.map_err(|errno| unreadable(errno, region, &part)))?;
            let (other, name) = match &content {
                Content::Region(other) => (other, with.as_ref().unwrap_or(region)),
                Content::Pattern(_) | Content::Byte(_) => (&part, region),
            };
            let read = content.read(done, &mut expected);
            other.explain(read.map_err(|errno| unreadable(errno, name, other)))?;
            let Some(first) = got.iter().zip(&expected).position(|(got, expected)| got != expected) else {
                continue;
            };
            let shown = |bytes: &[u8]| {
                let few = bytes[first..].iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
                few.collect::<Vec<_>>().join(" ")
            };
            let title = format!(
                "region `{region}` differs at offset {:#x}: got {}, expected {}",
                part.offset + done + first as u64,
                shown(&got),
                shown(&expected)
            );
            let what = match (&content, with) {
                (Content::Region(other), Some(with)) => {
                    format!("expected what region `{with}` holds from {:#x} on", other.offset)
                }
                (Content::Byte(byte), _) => format!("expected {byte:#04x} in every byte"),
                _ => "expected the pattern".to_owned(),
            };
            return Err(End::Failed(Problem::new(Code::Content, step.at(""), title).label(what)));
        }
        Ok(())
    }
}
