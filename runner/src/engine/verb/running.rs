// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step while it is carried out: its keys as numbers, its device, its result and its outcome.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use minijinja::Value;

use crate::{
    engine::{
        case::{Execution, Frame, Got},
        device::width,
        devices::not_open,
        failure::{End, Problem},
        fixture::Open,
        last_step::Doing,
        regions::Held,
    },
    host::page_table::Leaf,
    language::{
        Dynamic, Name, Path, Size, Template,
        verb::{Bits, Index},
    },
    model::{Errno, code::Code},
    plan::PlannedStep,
    uapi::{Mapping, VfToken},
};

/// The most bytes that one `pread` or `pwrite` moves.
const MOST_BYTES: u64 = 1 << 20;

/// A step while it is carried out.
pub struct Running<'s, 'f, 'a> {
    /// The case.
    pub case: &'s mut Execution<'a>,
    /// The step.
    pub planned: &'s PlannedStep,
    /// What surrounds the step.
    pub frame: &'s mut Frame<'f, 'a>,
    /// Hears of each step before it begins.
    pub say: &'s mut dyn FnMut(Doing),
    /// The device that the step is on, if it is open.
    pub device: Option<&'s Open>,
}

/// A register in a BAR that is mapped.
pub struct Register {
    /// The BAR.
    pub bar: Arc<Mapping>,
    /// The BAR's number.
    pub index: u32,
    /// The offset in it, in bytes.
    pub offset: u64,
}

impl<'s, 'f> Running<'s, 'f, '_> {
    /// The path of the verb.
    pub fn verb_at(&self) -> Path {
        self.planned.at.join(self.planned.step.verb.name())
    }

    /// The path of a key of the verb.
    pub fn at(&self, key: &str) -> Path {
        self.verb_at().join(key)
    }

    /// The device, which has to be open.
    pub fn open(&self) -> Result<&'s Open, End> {
        self.device.ok_or_else(|| self.not_open())
    }

    /// Why a step on a device that is not open does nothing.
    pub fn not_open(&self) -> End {
        not_open(self.planned.at.clone())
    }

    /// The memory of a region.
    pub fn memory(&self, region: &Name) -> &'f Held {
        let held: &'f [Held] = self.frame.held;
        held.iter().find(|held| held.name == region.0).expect("the check knows the regions")
    }

    /// The value of a key.
    pub fn size(&self, key: &str, value: &Dynamic<Size>) -> Result<u64, End> {
        match value {
            Dynamic::Is(size) => Ok(size.0),
            Dynamic::Expression(_) => self.case.size(value, &self.at(key)),
        }
    }

    /// The value of a key, if it is there.
    pub fn optional(&self, key: &str, value: &Option<Dynamic<Size>>) -> Result<Option<u64>, End> {
        value.as_ref().map(|value| self.size(key, value)).transpose()
    }

    /// A number that the kernel takes in 32 bits.
    pub fn small(&self, key: &str, value: &Dynamic<Size>) -> Result<u32, End> {
        let value = self.size(key, value)?;
        u32::try_from(value).map_err(|_| {
            End::Error(Problem::new(Code::OutOfRange, self.at(key), format!("{value} does not fit 32 bits")))
        })
    }

    /// A value that fits a register.
    pub fn fitting(&self, key: &str, value: &Dynamic<Size>, bits: Bits) -> Result<u64, End> {
        let (value, most) = (self.size(key, value)?, width(bits).max());
        if value <= most {
            return Ok(value);
        }
        let title = format!("{value:#x} does not fit a register of {} bits", bits.0);
        Err(End::Error(
            Problem::new(Code::OutOfRange, self.at(key), title).label(format!("expected at most {most:#x}")),
        ))
    }

    /// A length in bytes, of at least one.
    pub fn some_bytes(&self, size: &Dynamic<Size>) -> Result<u64, End> {
        match self.size("size", size)? {
            0 => {
                let problem = Problem::new(Code::OutOfRange, self.at("size"), "a range of 0 bytes checks nothing");
                Err(End::Error(problem.label("expected at least one byte")))
            }
            size => Ok(size),
        }
    }

    /// How many bytes are moved at once: no more than there is memory for.
    pub fn few_bytes(&self, size: &Dynamic<Size>) -> Result<usize, End> {
        match self.size("size", size)? {
            size if size <= MOST_BYTES => Ok(size as usize),
            size => {
                let title = format!("{} are too many at once", crate::engine::checks::amount(size));
                Err(End::Error(Problem::new(Code::OutOfRange, self.at("size"), title).label("expected at most 1MiB")))
            }
        }
    }

    /// A text with the values of its expressions.
    pub fn text(&self, key: &str, text: &Template) -> Result<String, End> {
        text.render(&self.case.scope).map_err(|error| End::Error(Problem::expression(self.at(key), &error)))
    }

    /// A kind of interrupt.
    pub fn interrupt(&self, index: &Dynamic<Index>) -> Result<Index, End> {
        index.resolve(&self.case.scope).map_err(|error| End::Error(Problem::expression(self.at("index"), &error)))
    }

    /// A VF token; `None` if the text is empty.
    pub fn token(&self, token: &Template) -> Result<Option<VfToken>, End> {
        let text = self.text("token", token)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|()| self.no_token(&text))
    }

    /// Why a text is not a VF token.
    pub fn no_token(&self, text: &str) -> End {
        let problem = Problem::new(Code::Token, self.at("token"), format!("`{text}` is not a VF token"));
        End::Error(problem.label("expected a UUID such as 52ac9bff-3a88-4fbd-901a-0d767c3b6c97"))
    }

    /// A file by the name that the step has for it, and whether it is one of the open device's.
    pub fn file(&self, name: &Name) -> Result<(BorrowedFd<'_>, bool), End> {
        if let Some(file) = self.case.files.get(&name.0) {
            return Ok((file.as_fd(), false));
        }
        let session = self.device.map(|open| &open.session);
        let of_session = match name.0.as_str() {
            "device" => session.map(|session| session.device().fd()),
            "iommu" => session.and_then(|session| match session.ioas() {
                Some(ioas) => Some(ioas.fd()),
                None => session.container().map(|container| container.fd()),
            }),
            _ => None,
        };
        of_session.map(|fd| (fd, true)).ok_or_else(|| self.no_file("on", name))
    }

    /// Why there is no file of a name.
    pub fn no_file(&self, key: &str, name: &Name) -> End {
        let problem = Problem::new(Code::NotOpen, self.at(key), format!("no file is open as `{name}`"));
        End::Error(problem.label("expected `device`, `iommu`, or the name that an `open` was saved under"))
    }

    /// A register in a BAR. One that the BAR does not have is the scenario's mistake rather than the kernel's.
    pub fn register(&mut self, bar: &Dynamic<Size>, offset: &Dynamic<Size>, bits: Bits) -> Result<Register, End> {
        let (offset, index) = (self.size("offset", offset)?, self.small("bar", bar)?);
        let (open, at) = (self.open()?, self.at("bar"));
        let bar = self.case.device.bar(index, open, at)?;
        let (bytes, size) = (u64::from(bits.0) / 8, bar.len());
        if offset.is_multiple_of(bytes) && offset.checked_add(bytes).is_some_and(|end| end <= size) {
            return Ok(Register { bar, index, offset });
        }
        let title = format!("BAR {index} has no register of {} bits at {offset:#x}", bits.0);
        let label = format!("expected a multiple of {bytes} below {size:#x}");
        Err(End::Error(Problem::new(Code::OutOfRange, self.at("offset"), title).label(label)))
    }

    /// The leaves of the page table behind a range; `None` and a note in the result if nothing shows them.
    pub fn leaves(&mut self, iova: u64, size: u64) -> Result<Option<Vec<Leaf>>, End> {
        let open = self.open()?;
        self.case.leaves(self.planned.step.verb.name(), iova, size, open, &self.planned.outcome_at)
    }

    /// Keeps the result under the name that the step has for it.
    pub fn save(&mut self, value: Value) {
        if let Some(name) = &self.planned.step.save {
            self.case.scope.set(&name.0, value);
        }
    }

    /// Compares the outcome of a call with the expected one.
    pub fn compare(&mut self, got: Got) -> Result<(), End> {
        self.compare_as(self.planned.step.verb.name(), got)
    }

    /// The same for a call that messages call by another name than the verb's.
    pub fn compare_as(&mut self, name: &str, got: Got) -> Result<(), End> {
        self.case.compare(name, self.planned, got)
    }

    /// Compares the outcome of a call that has no result.
    pub fn done(&mut self, got: Result<(), Errno>) -> Result<(), End> {
        self.compare(got.map(|()| None))
    }

    /// Keeps the result of a call, and compares its outcome. A call that failed has no result, and neither has an earlier one under the
    /// same name.
    pub fn gave<T>(&mut self, got: Result<T, Errno>, value: impl FnOnce(T) -> Value) -> Result<(), End> {
        let errno = got.as_ref().err().copied();
        self.save(got.map_or(Value::UNDEFINED, value));
        self.compare(errno.map_or(Ok(None), Err))
    }

    /// Keeps how many bytes a call reported, and compares its outcome.
    pub fn gave_bytes(&mut self, got: Result<u64, Errno>) -> Result<(), End> {
        self.save(Value::from_pairs([("bytes", Value::from(got.ok()))]));
        self.compare(got.map(Some))
    }

    /// What an unmap reports has to be what it unmapped.
    pub fn reported(&mut self, reported: Result<(), String>) -> Result<(), End> {
        self.case.reported(reported, self.planned)
    }
}
