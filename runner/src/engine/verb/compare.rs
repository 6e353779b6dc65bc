// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{
    content::{Content, Part},
    prelude::*,
};

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
        let what = || match (&content, with) {
            (Content::Region(other), Some(with)) => {
                format!("expected what region `{with}` holds from {:#x} on", other.offset)
            }
            (Content::Byte(byte), _) => format!("expected {byte:#04x} in every byte"),
            _ => "expected the pattern".to_owned(),
        };
        let mut expected = Vec::new();
        step.each_chunk(region, &part, |done, got| {
            expected.resize(got.len(), 0);
            let (other, name) = match &content {
                Content::Region(other) => (other, with.as_ref().unwrap_or(region)),
                Content::Pattern(_) | Content::Byte(_) => (&part, region),
            };
            let read = content.read(done, &mut expected);
            other.explain(read.map_err(|errno| step.unreadable(errno, name, other)))?;
            step.differs((region, &part), done, got, &expected, what)
        })
    }
}
