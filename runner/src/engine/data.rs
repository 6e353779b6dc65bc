//! The steps on the content of memory.

use std::{
    sync::atomic::{Ordering, fence},
    time::{Duration, Instant},
};

use minijinja::Value;

use super::{
    case::{Execution, Got},
    checks::amount,
    device::PATIENCE,
    failure::{End, Problem},
    regions::Held,
};
use crate::{
    language::{self, Bits, Dynamic, Name, Path, Size, Template},
    model::{Errno, code::Code},
    plan::PlannedStep,
    uapi::{Mapping, signal},
};

/// How much memory is looked at in one go, in bytes.
const CHUNK: u64 = 64 << 10;
/// How many bytes of a difference are shown.
const SHOWN: usize = 8;

/// Part of a region.
struct Part<'h> {
    name: &'h str,
    memory: &'h Mapping,
    offset: u64,
    size: u64,
}

/// What memory is filled with, or has to hold.
enum Content<'h> {
    /// The bytes of a text's pattern.
    Pattern(u64),
    /// The same byte everywhere.
    Byte(u8),
    /// What another region holds.
    Region(Part<'h>),
}

impl Content<'_> {
    /// The bytes from `at` on.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Errno> {
        match self {
            Content::Pattern(seed) => pattern(*seed, at, into),
            Content::Byte(byte) => into.fill(*byte),
            Content::Region(part) => return part.memory.read(part.offset + at, into),
        }
        Ok(())
    }
}

impl Execution<'_> {
    /// Runs a step on the content of memory; `None` for a step of another kind.
    pub fn data_step(&mut self, planned: &PlannedStep, held: &[Held]) -> Option<Result<(), End>> {
        let PlannedStep { step, at, .. } = planned;
        let at = at.join(step.verbs()[0]);
        if let Some(fill) = &step.fill {
            Some(self.fill(fill, &at, held))
        } else if let Some(compare) = &step.compare {
            Some(self.compare_memory(compare, &at, held))
        } else if let Some(language::MemoryRead { region, offset, bits }) = step.memory_read.as_deref() {
            Some(self.memory_read(region, offset, *bits, planned, held))
        } else if let Some(write) = &step.memory_write {
            Some(self.memory_write(write, planned, held))
        } else {
            step.memory_poll.as_ref().map(|poll| self.memory_poll(poll, planned, held))
        }
    }

    fn fill(&self, fill: &language::Fill, at: &Path, held: &[Held]) -> Result<(), End> {
        let part = self.part((&fill.region, &fill.offset, &fill.size), at, held)?;
        let content = self.content(fill.pattern.as_ref(), fill.value.as_ref(), at)?;
        let mut bytes = vec![0; CHUNK.min(part.size) as usize];
        for (done, length) in chunks(part.size) {
            let bytes = &mut bytes[..length];
            content.read(done, bytes).and_then(|()| part.memory.write(part.offset + done, bytes)).map_err(|errno| {
                let title = format!("failed to write to region `{}`: {errno}", part.name);
                End::Error(
                    Problem::new(Code::Refused, at.join("region"), title)
                        .label("expected memory that the CPU may write"),
                )
            })?;
        }
        fence(Ordering::SeqCst); // before whatever tells a device to look at it
        Ok(())
    }

    fn compare_memory(&mut self, compare: &language::Compare, at: &Path, held: &[Held]) -> Result<(), End> {
        let part = self.part((&compare.region, &compare.offset, &compare.size), at, held)?;
        let content = match &compare.with {
            Some(name) => {
                let offset = match &compare.with_offset {
                    Some(offset) => self.size(offset, &at.join("with_offset"))?,
                    None => part.offset,
                };
                let (memory, key) = (memory(name, held), at.join("with"));
                Content::Region(Part::new(&name.0, memory, offset, Some(part.size), &key)?)
            }
            None => self.content(compare.pattern.as_ref(), compare.value.as_ref(), at)?,
        };
        self.checks += 1;
        fence(Ordering::SeqCst); // after whatever told that a device is done with it
        let length = CHUNK.min(part.size) as usize;
        let (mut got, mut expected) = (vec![0; length], vec![0; length]);
        for (done, length) in chunks(part.size) {
            let (got, expected) = (&mut got[..length], &mut expected[..length]);
            let unreadable = |errno, name: &str| {
                let title = format!("failed to read from region `{name}`: {errno}");
                let problem = Problem::new(Code::Refused, at.clone(), title);
                End::Error(problem.label("expected memory that the CPU may read"))
            };
            part.memory.read(part.offset + done, got).map_err(|errno| unreadable(errno, part.name))?;
            let other = compare.with.as_ref().map_or(part.name, |name| &name.0);
            content.read(done, expected).map_err(|errno| unreadable(errno, other))?;
            let Some(first) = got.iter().zip(expected.iter()).position(|(got, expected)| got != expected) else {
                continue;
            };
            let shown = |bytes: &[u8]| {
                let few = bytes[first..].iter().take(SHOWN).map(|byte| format!("{byte:02x}"));
                few.collect::<Vec<_>>().join(" ")
            };
            let title = format!(
                "region `{}` differs at offset {:#x}: got {}, expected {}",
                part.name,
                part.offset + done + first as u64,
                shown(got),
                shown(expected)
            );
            let what = match (&content, &compare.with) {
                (Content::Region(other), Some(with)) => {
                    format!("expected what region `{with}` holds from {:#x} on", other.offset)
                }
                (Content::Byte(byte), _) => format!("expected {byte:#04x} in every byte"),
                _ => "expected the pattern".to_owned(),
            };
            return Err(End::Failed(Problem::new(Code::Content, at.clone(), title).label(what)));
        }
        Ok(())
    }

    fn memory_read(
        &mut self,
        region: &Name,
        offset: &Dynamic<Size>,
        bits: Bits,
        planned: &PlannedStep,
        held: &[Held],
    ) -> Result<(), End> {
        let at = planned.at.join("memory_read");
        let part = self.number_in_memory(region, offset, bits, &at, held)?;
        let got = part.number();
        self.keep_number(planned, got, "memory_read")
    }

    fn memory_write(&mut self, write: &language::MemoryWrite, planned: &PlannedStep, held: &[Held]) -> Result<(), End> {
        let at = planned.at.join("memory_write");
        let value = self.fitting(&write.value, write.bits, &at.join("value"))?;
        let part = self.number_in_memory(&write.region, &write.offset, write.bits, &at, held)?;
        let got = part.memory.write(part.offset, &value.to_le_bytes()[..part.size as usize]);
        fence(Ordering::SeqCst);
        self.compare("memory_write", planned, got.map(|()| None) as Got)
    }

    fn memory_poll(&mut self, poll: &language::MemoryPoll, planned: &PlannedStep, held: &[Held]) -> Result<(), End> {
        let at = planned.at.join("memory_poll");
        let wanted = self.fitting(&poll.is, poll.bits, &at.join("is"))?;
        let mask = match &poll.mask {
            Some(mask) => self.fitting(mask, poll.bits, &at.join("mask"))?,
            None => u64::MAX,
        };
        let part = self.number_in_memory(&poll.region, &poll.offset, poll.bits, &at, held)?;
        let until = Instant::now() + poll.timeout.map_or(PATIENCE, |timeout| timeout.0);
        let _waiting = signal::wait();
        let got = loop {
            match part.number() {
                Ok(value) if value & mask != wanted && Instant::now() < until && signal::interrupted().is_none() => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                got => break got,
            }
        };
        let is_late = got.is_ok_and(|value| value & mask != wanted);
        self.save(planned, || got.map_or(Value::UNDEFINED, |value| Value::from_pairs([("value", value)])));
        let last = got.unwrap_or_default();
        let got = if is_late { Err(Errno(libc::ETIMEDOUT)) } else { got };
        self.compare("memory_poll", planned, got.map(|_| None) as Got).map_err(|end| match end {
            End::Failed(problem) if is_late => {
                let within = poll.timeout.unwrap_or(language::Duration(PATIENCE));
                let (region, offset) = (part.name, part.offset);
                End::Failed(problem.title(format!(
                    "memory_poll: region `{region}` still held {last:#x} at {offset:#x} after {within}, expected {wanted:#x} (ETIMEDOUT)"
                )))
            }
            end => end,
        })
    }

    fn keep_number(&mut self, planned: &PlannedStep, got: Result<u64, Errno>, verb: &str) -> Result<(), End> {
        self.save(planned, || got.map_or(Value::UNDEFINED, |value| Value::from_pairs([("value", value)])));
        self.compare(verb, planned, got.map(|_| None) as Got)
    }

    fn number_in_memory<'h>(
        &self,
        region: &'h Name,
        offset: &Dynamic<Size>,
        bits: Bits,
        at: &Path,
        held: &'h [Held],
    ) -> Result<Part<'h>, End> {
        let offset = self.size(offset, &at.join("offset"))?;
        Part::new(&region.0, memory(region, held), offset, Some(u64::from(bits.0) / 8), at)
    }

    fn part<'h>(
        &self,
        (region, offset, size): (&'h Name, &Option<Dynamic<Size>>, &Option<Dynamic<Size>>),
        at: &Path,
        held: &'h [Held],
    ) -> Result<Part<'h>, End> {
        let offset = self.optional(offset, &at.join("offset"))?.unwrap_or(0);
        let size = self.optional(size, &at.join("size"))?;
        Part::new(&region.0, memory(region, held), offset, size, at)
    }

    fn content<'h>(
        &self,
        text: Option<&Template>,
        value: Option<&Dynamic<Size>>,
        at: &Path,
    ) -> Result<Content<'h>, End> {
        if let Some(value) = value {
            let at = at.join("value");
            let byte = self.size(value, &at)?;
            return u8::try_from(byte).map(Content::Byte).map_err(|_| {
                let problem = Problem::new(Code::OutOfRange, at, format!("{byte:#x} does not fit a byte"));
                End::Error(problem.label("expected at most 0xff"))
            });
        }
        let text = text.expect("the check wants a pattern or a value");
        let text =
            text.render(&self.scope).map_err(|error| End::Error(Problem::expression(at.join("pattern"), &error)))?;
        Ok(Content::Pattern(seed(&text)))
    }
}

impl<'h> Part<'h> {
    fn new(name: &'h str, memory: &'h Mapping, offset: u64, size: Option<u64>, at: &Path) -> Result<Part<'h>, End> {
        let rest = memory.len().saturating_sub(offset);
        let size = size.unwrap_or(rest);
        if size > 0 && size <= rest {
            return Ok(Part { name, memory, offset, size });
        }
        let title = match size {
            0 => format!("no bytes of region `{name}` are meant"),
            _ => format!("region `{name}` does not hold {} from offset {offset:#x} on", amount(size)),
        };
        let label = format!("expected at least one byte within its {}", amount(memory.len()));
        Err(End::Error(Problem::new(Code::OutOfRange, at.clone(), title).label(label)))
    }

    /// Its at most eight bytes as a number.
    fn number(&self) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        fence(Ordering::SeqCst);
        self.memory.read(self.offset, &mut bytes[..self.size as usize])?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn memory<'h>(name: &Name, held: &'h [Held]) -> &'h Mapping {
    &held.iter().find(|held| held.name == name.0).expect("the check knows the regions").mapping
}

/// Where each chunk of so many bytes begins, and how long it is.
fn chunks(size: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..size).step_by(CHUNK as usize).map(move |at| (at, CHUNK.min(size - at) as usize))
}

/// A number for a text: FNV-1a.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The bytes of a pattern from `at` on: eight by eight the numbers that splitmix64 gives from the seed on.
fn pattern(seed: u64, at: u64, into: &mut [u8]) {
    for (index, byte) in into.iter_mut().enumerate() {
        let at = at + index as u64;
        let mut mixed = seed.wrapping_add((at / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *byte = (mixed ^ (mixed >> 31)).to_le_bytes()[(at % 8) as usize];
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
        for size in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let mut next = 0;
            for (at, length) in chunks(size) {
                assert_eq!(at, next);
                next = at + length as u64;
            }
            assert_eq!(next, size);
        }
    }
}
