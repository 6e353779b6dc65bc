// SPDX-License-Identifier: MIT OR Apache-2.0
//! The content of memory: parts of regions, and what they are filled with or have to hold.

use std::{
    os::fd::OwnedFd,
    sync::atomic::{Ordering, fence},
};

use super::running::Running;
use crate::{
    engine::{
        failure::{End, Problem},
        words::amount,
    },
    language::{
        Dynamic, Name, Path, Size, Template,
        verb::{Bits, PartOfRegion},
    },
    model::{Errno, code::Code},
    uapi::Mapping,
};

/// The bytes of memory that are looked at in one go.
const CHUNK: usize = 64 << 10;

/// The number of bytes of a difference that a message shows.
const SHOWN: usize = 8;

/// Part of a region.
pub struct Part<'h> {
    pub memory: &'h Mapping,
    /// Where the part begins, in bytes.
    pub offset: u64,
    pub size: u64,
}

/// What memory is filled with, or has to hold.
pub enum Content<'h> {
    /// The bytes of a text's pattern.
    Pattern(u64),
    /// The same byte everywhere.
    Byte(u8),
    /// What another region holds.
    Region(Part<'h>),
}

impl Content<'_> {
    /// The bytes from `at` on.
    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Errno> {
        match self {
            Content::Pattern(seed) => pattern(*seed, at, into),
            Content::Byte(byte) => into.fill(*byte),
            Content::Region(part) => return part.read(at, into),
        }
        Ok(())
    }
}

impl<'f> Running<'_, 'f, '_> {
    /// The part of a region that a step is about.
    pub fn part(
        &self,
        region: &Name,
        offset: &Option<Dynamic<Size>>,
        size: &Option<Dynamic<Size>>,
    ) -> Result<Part<'f>, End> {
        let (offset, size) = (self.optional("offset", offset)?.unwrap_or(0), self.optional("size", size)?);
        Part::new(region, &self.memory(region).mapping, offset, size, self.at(""))
    }

    /// The part of a region that the kernel reads or writes for a file. It may be empty, or memory that is not there.
    pub fn part_for_a_file(
        &self,
        region: &Name,
        offset: &Option<Dynamic<Size>>,
        size: &Option<Dynamic<Size>>,
    ) -> Result<Part<'f>, End> {
        let memory: &Mapping = &self.memory(region).mapping;
        if memory.is_device() {
            let title = format!("region `{region}` is a device's, which takes accesses of certain widths only");
            return Err(self.error(Code::Refused, "region", title, "expected memory"));
        }
        match (self.optional("offset", offset)?.unwrap_or(0), self.optional("size", size)?) {
            (offset, Some(0)) if offset <= memory.len() => Ok(Part { memory, offset, size: 0 }),
            (offset, size) => Part::new(region, memory, offset, size, self.at("")),
        }
    }

    /// The part of a region that a step changes, which has to be there.
    pub fn part_to_change(&self, of: &PartOfRegion) -> Result<Part<'f>, End> {
        let PartOfRegion { region, offset, size } = of;
        self.there(region, self.part(region, offset, size)?)
    }

    /// The part of a region, if it is there. Where it is not, only a reservation of ours is, of which the kernel has nothing to say.
    pub fn there(&self, region: &Name, part: Part<'f>) -> Result<Part<'f>, End> {
        if part.memory.is_there(part.offset, part.size) {
            return Ok(part);
        }
        let title = match part.memory.done_to(part.offset, part.size) {
            Some(done) => format!("{done} took memory of region `{region}` away"),
            None => format!("region `{region}` is a reservation without memory"),
        };
        Err(self.error(Code::Refused, "region", title, "expected a part with memory"))
    }

    /// The memory of a region, and the file that it is in.
    pub fn memory_in_file(&self, region: &Name) -> Result<(&'f Mapping, &'f OwnedFd), End> {
        let held = self.memory(region);
        // The check knows the memory of a case's regions, but not of those that a procedure is given.
        let file = held.file.as_deref().filter(|_| !held.mapping.is_device()).ok_or_else(|| {
            let title = format!("region `{region}` has no file to change");
            self.error(Code::NoFile, "region", title, "expected `memory: memfd` or `file`")
        })?;
        Ok((&held.mapping, file))
    }

    /// The place of a number in a region.
    pub fn number_in(&self, region: &Name, offset: &Dynamic<Size>, bits: Bits) -> Result<Part<'f>, End> {
        let (offset, size) = (self.size("offset", offset)?, u64::from(bits.0) / 8);
        Part::new(region, &self.memory(region).mapping, offset, Some(size), self.at(""))
    }

    /// What a step says that the content is.
    pub fn content(&self, text: &Option<Template>, value: &Option<Dynamic<Size>>) -> Result<Content<'f>, End> {
        if let Some(byte) = self.optional("value", value)? {
            return u8::try_from(byte).map(Content::Byte).map_err(|_| {
                self.out_of_range("value", format!("{byte:#x} does not fit a byte"), "expected at most 0xff")
            });
        }
        let text = text.as_ref().expect("the check wants a pattern or a value");
        Ok(Content::Pattern(seed(&self.text("pattern", text)?)))
    }

    /// Fills part of the region that a key names.
    pub fn fill(&mut self, key: &str, region: &Name, part: &Part, content: &Content) -> Result<(), End> {
        self.writes(region);
        let mut bytes = Vec::new();
        for (done, length) in chunks(part.size) {
            bytes.resize(length, 0);
            let written = content.read(done, &mut bytes).and_then(|()| part.write(done, &bytes));
            part.explain(written.map_err(|errno| {
                let title = format!("failed to write to region `{region}`: {errno}");
                self.error(Code::Refused, key, title, part.expected("write"))
            }))?;
        }
        fence(Ordering::SeqCst); // before whatever tells a device to look at it
        Ok(())
    }

    /// Reads part of a region, chunk by chunk: where each begins, and its bytes.
    pub fn each_chunk(
        &self,
        region: &Name,
        part: &Part,
        mut look: impl FnMut(u64, &[u8]) -> Result<(), End>,
    ) -> Result<(), End> {
        fence(Ordering::SeqCst); // after whatever told that a device is done with it
        let mut got = Vec::new();
        for (done, length) in chunks(part.size) {
            got.resize(length, 0);
            let read = part.read(done, &mut got);
            part.explain(read.map_err(|errno| self.unreadable(errno, region, part)))?;
            look(done, &got)?;
        }
        Ok(())
    }

    pub fn unreadable(&self, errno: Errno, region: &Name, part: &Part) -> End {
        let title = format!("failed to read from region `{region}`: {errno}");
        self.error(Code::Refused, "", title, part.expected("read"))
    }

    /// A difference between what part of a region holds and what it has to hold, if these bytes of it differ; `what` says what is expected.
    pub fn differs(
        &self,
        (region, part): (&Name, &Part),
        done: u64,
        got: &[u8],
        expected: &[u8],
        what: impl FnOnce() -> String,
    ) -> Result<(), End> {
        let Some(first) = got.iter().zip(expected).position(|(got, expected)| got != expected) else {
            return Ok(());
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
        Err(End::Failed(Problem::new(Code::Content, self.at(""), title).label(what())))
    }
}

impl<'h> Part<'h> {
    /// The part of a region that begins at `offset`; the rest of the region if it has no size.
    pub fn new(name: &Name, memory: &'h Mapping, offset: u64, size: Option<u64>, at: Path) -> Result<Part<'h>, End> {
        let rest = memory.len().saturating_sub(offset);
        let size = size.unwrap_or(rest);
        if size > 0 && size <= rest {
            return Ok(Part { memory, offset, size });
        }
        let title = match size {
            0 => format!("no bytes of region `{name}` are meant"),
            _ => format!("region `{name}` does not hold {} from offset {offset:#x} on", amount(size)),
        };
        let label = format!("expected at least one byte within its {}", amount(memory.len()));
        Err(End::Error(Problem::new(Code::OutOfRange, at, title).label(label)))
    }

    /// Names what was done to the memory, if an access to it did not end as expected.
    pub fn explain(&self, end: Result<(), End>) -> Result<(), End> {
        end.map_err(|end| match self.memory.done_to(self.offset, self.size) {
            Some(done) => end.help(format!("{done} came before")),
            None => end,
        })
    }

    /// Copies out of it, from `at` bytes on. Registers are read in accesses of 32 bits, and `EINVAL` is for an offset or a size that is no
    /// multiple of 4.
    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Errno> {
        match self.memory.is_device() {
            true => self.memory.mmio_copy_out(self.offset + at, into),
            false => self.memory.read(self.offset + at, into),
        }
    }

    /// Copies into it, as [`Part::read`] copies out.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        match self.memory.is_device() {
            true => self.memory.mmio_copy_in(self.offset + at, bytes),
            false => self.memory.write(self.offset + at, bytes),
        }
    }

    /// What is expected of it where it could not be read or written.
    pub fn expected(&self, doing: &str) -> String {
        match self.memory.is_device() {
            true => "expected a device that answers, and an `offset` and a `size` that are multiples of 4".to_owned(),
            false => format!("expected memory that the CPU may {doing}"),
        }
    }

    /// Its at most eight bytes as a number.
    pub fn number(&self) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        let length = usize::try_from(self.size).map_or(8, |size| size.min(8));
        fence(Ordering::SeqCst);
        self.memory.read(self.offset, &mut bytes[..length])?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Where each chunk of `size` bytes begins, and how long it is.
pub fn chunks(size: u64) -> impl Iterator<Item = (u64, usize)> {
    let length = move |at| usize::try_from(size - at).map_or(CHUNK, |rest| rest.min(CHUNK));
    (0..size).step_by(CHUNK).map(move |at| (at, length(at)))
}

/// A number for a text: FNV-1a.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The bytes of a pattern from `at` on: the numbers of splitmix64 from the seed on, eight bytes each.
fn pattern(seed: u64, at: u64, into: &mut [u8]) {
    for (at, byte) in (at..).zip(into) {
        let mut mixed = seed.wrapping_add((at / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = ((mixed ^ (mixed >> 31)) >> (at % 8 * 8)).to_le_bytes()[0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_same_from_wherever_it_is_read() {
        let mut whole = vec![0; 1000];
        pattern(seed("sent"), 0, &mut whole);
        for at in [1, 7, 8, 9, 500] {
            let mut part = vec![0; 100];
            pattern(seed("sent"), at, &mut part);
            assert_eq!(part, whole[at as usize..at as usize + 100]);
        }
    }

    #[test]
    fn content_that_was_moved_or_is_anothers_is_noticed() {
        let mut sent = vec![0; 4096];
        pattern(seed("sent"), 0, &mut sent);
        let mut other = vec![0; 4096];
        pattern(seed("sent "), 0, &mut other);
        let alike = sent.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(alike < 64, "{alike} of 4096 bytes are alike");
        let mut words: Vec<&[u8]> = sent.chunks(8).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 512);
    }

    #[test]
    fn chunks_cover_every_byte_once() {
        for size in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5].map(|size| size as u64) {
            let mut next = 0;
            for (at, length) in chunks(size) {
                assert_eq!(at, next);
                next = at + length as u64;
            }
            assert_eq!(next, size);
        }
    }
}
