// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;
use crate::uapi;

impl Act for Madvise {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Madvise { region, offset, size, advice } = self;
        let part = step.there(region, step.part(region, offset, size)?)?;
        let advice = match advice {
            Advice::Dontneed => uapi::Advice::DONTNEED,
            Advice::Hugepage => uapi::Advice::HUGEPAGE,
            Advice::Nohugepage => uapi::Advice::NOHUGEPAGE,
            Advice::Collapse => uapi::Advice::COLLAPSE,
            Advice::Remove => uapi::Advice::REMOVE,
            Advice::Pageout => uapi::Advice::PAGEOUT,
            Advice::Cold => uapi::Advice::COLD,
            Advice::Willneed => uapi::Advice::WILLNEED,
            Advice::PopulateRead => uapi::Advice::POPULATE_READ,
            Advice::PopulateWrite => uapi::Advice::POPULATE_WRITE,
        };
        step.done(part.memory.advise(part.offset, part.size, advice))
    }
}
