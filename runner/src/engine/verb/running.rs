// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step while it is carried out: its device, the values of its keys, its result and its outcome.

use std::os::fd::{AsFd, BorrowedFd};

use minijinja::Value;

use crate::{
    backend::{Device, while_locked},
    engine::{
        context::{Context, Frame},
        device::{Changed, width},
        failure::{End, Problem},
        fixture::Open,
        last_step::Doing,
        leaves,
        regions::Held,
        words::{amount, readable},
    },
    event::Unchecked,
    host::page_table::Leaf,
    language::{
        Dynamic, Name, Outcome, Path, Size, Template,
        verb::{Bits, Index},
    },
    model::{Errno, code::Code},
    plan::PlannedStep,
    uapi::{
        VfToken,
        request::{Decoded, find},
        signal,
    },
};

/// The most bytes that one `pread` or `pwrite` moves.
const MOST_BYTES: u64 = 1 << 20;

/// Carries out a step of a verb.
pub trait Act {
    /// Does what the step says, keeps its result, and compares its outcome with the expected one.
    fn act(&self, step: &mut Running) -> Result<(), End>;
}

/// What a call returned: the bytes that it reports, if it reports any.
pub type Got = Result<Option<u64>, Errno>;

/// What the kernel said to a request that only reads.
pub type Asked = Result<Vec<(&'static str, Decoded)>, Errno>;

/// Carries out steps one after the other.
pub type Sequence =
    for<'a> fn(&mut Context<'a>, &[PlannedStep], &mut Frame<'_, 'a>, &mut dyn FnMut(Doing)) -> Result<(), End>;

/// A step while it is carried out.
pub struct Running<'s, 'f, 'a> {
    pub case: &'s mut Context<'a>,
    pub planned: &'s PlannedStep,
    pub frame: &'s mut Frame<'f, 'a>,
    /// The device that the step is on, if it is open.
    pub device: Option<&'s Open>,
    /// Hears of each step before it begins.
    pub say: &'s mut dyn FnMut(Doing),
    /// Carries out the steps that this one holds or calls.
    pub sequence: Sequence,
}

impl<'s, 'f> Running<'s, 'f, '_> {
    /// Carries out steps in place of this one.
    pub fn run(&mut self, steps: &[PlannedStep]) -> Result<(), End> {
        (self.sequence)(self.case, steps, self.frame, self.say)
    }

    fn name(&self) -> &'static str {
        self.planned.step.verb.name()
    }

    /// The path of a key of the verb; of the verb itself if the key is empty.
    pub fn at(&self, key: &str) -> Path {
        let verb = self.planned.at.join(self.name());
        if key.is_empty() { verb } else { verb.join(key) }
    }

    /// An error about a key of the verb, or about the verb itself if the key is empty.
    pub fn error(&self, code: Code, key: &str, title: impl Into<String>, label: impl Into<String>) -> End {
        End::Error(Problem::new(code, self.at(key), title).label(label))
    }

    /// An error about a key whose value the step cannot use.
    pub fn out_of_range(&self, key: &str, title: impl Into<String>, label: impl Into<String>) -> End {
        self.error(Code::OutOfRange, key, title, label)
    }

    /// The device, which has to be open.
    pub fn open(&self) -> Result<&'s Open, End> {
        self.device.ok_or_else(|| self.not_open())
    }

    pub fn not_open(&self) -> End {
        let problem = Problem::new(Code::NotOpen, self.planned.at.clone(), "the device is not open");
        End::Error(problem.label("expected a `device_open` of it before"))
    }

    /// The VFIO device, which has to be open.
    pub fn vfio(&self) -> Result<&'s Device, End> {
        Ok(self.open()?.session.device())
    }

    /// What the kernel says of the device, which has to be open, to a request that only reads.
    pub fn asked(&self, request: &str, values: &[(&str, u64)]) -> Result<Asked, End> {
        let request = find(request).expect("there is such a request");
        Ok(request.ask(self.vfio()?.fd(), values, self.case.tracer))
    }

    /// Notes what the step is about to change of the device, which has to be open.
    pub fn changes(&mut self, what: Changed) -> Result<&'s Open, End> {
        let open = self.open()?;
        self.case.device.changes(what, open);
        Ok(open)
    }

    /// Makes a call that resets the device, and makes it again while somebody else has the device's lock for a moment, if it has to succeed.
    pub fn while_locked(&self, mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
        if self.planned.outcome == Outcome::Ok { while_locked(call) } else { call() }
    }

    /// Notes that the step writes to a region, which may be a device's.
    pub fn writes(&mut self, region: &Name) {
        let held = self.memory(region);
        let Some(open) = self.frame.open.filter(|_| held.mapping.is_device()) else { return };
        let state = match held.device == self.case.current {
            true => &mut self.case.device,
            false => self.case.others.entry(held.device).or_default(),
        };
        state.changes(Changed::Registers, open.device(held.device));
    }

    pub fn memory(&self, region: &Name) -> &'f Held {
        let held: &'f [Held] = self.frame.held;
        held.iter().find(|held| held.name == region.0).expect("the check knows the regions")
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

    /// A file that a step opened.
    pub fn opened(&self, key: &str, name: &Name) -> Result<BorrowedFd<'_>, End> {
        self.case.files.get(&name.0).map(AsFd::as_fd).ok_or_else(|| self.no_file(key, name))
    }

    pub fn no_file(&self, key: &str, name: &Name) -> End {
        let label = "expected `device`, `iommu`, or the name that an `open` was saved under";
        self.error(Code::NotOpen, key, format!("no file is open as `{name}`"), label)
    }
}

/// The values of keys.
impl Running<'_, '_, '_> {
    pub fn size(&self, key: &str, value: &Dynamic<Size>) -> Result<u64, End> {
        match value {
            Dynamic::Is(size) => Ok(size.0),
            Dynamic::Expression(_) => self.case.size(value, &self.at(key)),
        }
    }

    pub fn optional(&self, key: &str, value: &Option<Dynamic<Size>>) -> Result<Option<u64>, End> {
        value.as_ref().map(|value| self.size(key, value)).transpose()
    }

    /// A number that the kernel takes in 32 bits.
    pub fn small(&self, key: &str, value: &Dynamic<Size>) -> Result<u32, End> {
        let value = self.size(key, value)?;
        u32::try_from(value).map_err(|_| self.out_of_range(key, format!("{value} does not fit 32 bits"), ""))
    }

    /// A value that fits a register.
    pub fn fitting(&self, key: &str, value: &Dynamic<Size>, bits: Bits) -> Result<u64, End> {
        let (value, most) = (self.size(key, value)?, width(bits).max());
        if value <= most {
            return Ok(value);
        }
        let title = format!("{value:#x} does not fit a register of {} bits", bits.0);
        Err(self.out_of_range(key, title, format!("expected at most {most:#x}")))
    }

    /// A length in bytes, of at least one.
    pub fn some_bytes(&self, size: &Dynamic<Size>) -> Result<u64, End> {
        match self.size("size", size)? {
            0 => Err(self.out_of_range("size", "a range of 0 bytes checks nothing", "expected at least one byte")),
            size => Ok(size),
        }
    }

    /// The number of bytes that are moved at once: no more than there is memory for.
    pub fn few_bytes(&self, size: &Dynamic<Size>) -> Result<usize, End> {
        let size = self.size("size", size)?;
        usize::try_from(size).ok().filter(|_| size <= MOST_BYTES).ok_or_else(|| {
            self.out_of_range("size", format!("{} are too many at once", amount(size)), "expected at most 1MiB")
        })
    }

    /// A text with the values of its expressions.
    pub fn text(&self, key: &str, text: &Template) -> Result<String, End> {
        text.render(&self.case.scope).map_err(|error| End::Error(Problem::expression(self.at(key), &error)))
    }

    pub fn interrupt(&self, index: &Dynamic<Index>) -> Result<Index, End> {
        index.resolve(&self.case.scope).map_err(|error| End::Error(Problem::expression(self.at("index"), &error)))
    }

    /// The number of a vector, 0 by default.
    pub fn vector(&self, vector: &Option<Dynamic<Size>>) -> Result<u32, End> {
        vector.as_ref().map_or(Ok(0), |vector| self.small("vector", vector))
    }

    /// A VF token; `None` if the text is empty.
    pub fn token(&self, token: &Template) -> Result<Option<VfToken>, End> {
        let text = self.text("token", token)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|()| self.no_token(&text))
    }

    pub fn no_token(&self, text: &str) -> End {
        let label = "expected a UUID such as 52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
        self.error(Code::Token, "token", format!("`{text}` is not a VF token"), label)
    }
}

/// Results and outcomes.
impl Running<'_, '_, '_> {
    /// The leaves of the page table behind a range; `None`, and a note in the result, if nothing shows them.
    pub fn leaves(&mut self, iova: u64, size: u64) -> Result<Option<Vec<Leaf>>, End> {
        match &self.open()?.observer {
            Ok(observer) => leaves::read(observer, iova, size, &self.planned.outcome_at, self.case.tracer).map(Some),
            Err(reason) => {
                self.not_checked(reason.clone(), false);
                Ok(None)
            }
        }
    }

    /// Notes in the result that the step checked nothing.
    pub fn not_checked(&mut self, reason: String, by_choice: bool) {
        self.case.found.unchecked.push(Unchecked { what: self.name().into(), reason, by_choice });
    }

    /// Keeps the result under the name that the step has for it.
    pub fn save(&mut self, value: Value) {
        if self.planned.step.verb.about().reads
            && value.len().is_none_or(|fields| fields > 0)
            && !value.is_undefined()
            && self.case.asks(self.frame)
            && let Some(answers) = &mut self.case.found.answers
        {
            answers.reads(readable(&value));
        }
        if let Some(name) = &self.planned.step.save {
            self.case.scope.set(&name.0, value);
        }
    }

    /// Compares the outcome of a call with the expected one.
    pub fn compare(&mut self, got: Got) -> Result<(), End> {
        self.compare_as(self.name(), got)
    }

    /// The same for a call that messages name differently from the verb.
    pub fn compare_as(&mut self, name: &str, got: Got) -> Result<(), End> {
        let compared = self.judged(name, got);
        if !self.case.asks(self.frame) || signal::interrupted().is_some() {
            return compared;
        }
        self.case.answered(self.planned, self.frame, got.into(), compared.is_ok());
        Ok(())
    }

    fn judged(&mut self, name: &str, got: Got) -> Result<(), End> {
        let PlannedStep { outcome, outcome_at, .. } = self.planned;
        self.case.found.errno = got.err();
        if *outcome == Outcome::Either {
            return Ok(()); // nothing is checked
        }
        self.case.found.checks += 1;
        let mut expected = outcome.to_string();
        let mut bytes = None;
        if let Outcome::Bytes(size) = outcome {
            let size = self.case.size(size, outcome_at)?;
            expected = format!("success and {}", amount(size));
            bytes = Some(size);
        }
        let right = match (outcome, &got) {
            (Outcome::Ok, Ok(_)) | (Outcome::Fails, Err(_)) => true,
            (Outcome::Errno(errnos), Err(errno)) => errnos.contains(errno),
            (Outcome::Bytes(_), Ok(reported)) => *reported == bytes,
            _ => false,
        };
        if right {
            return Ok(());
        }
        // Before the text: an errno that the limits of the login explain says nothing about the kernel.
        let limited = match got {
            Err(Errno(libc::ENOMEM)) => self.case.limited,
            _ => None,
        };
        let got = match got {
            Ok(None) => "success".to_owned(),
            Ok(Some(reported)) => format!("success and {}", amount(reported)),
            Err(errno) => errno.to_string(),
        };
        let problem =
            Problem::new(Code::Outcome, outcome_at.clone(), format!("{name} gave {got}, expected {expected}"));
        let problem = problem.label(format!("expected {expected} on {}", self.case.backend));
        let Some(bytes) = limited else { return Err(End::Failed(problem)) };
        let title = format!("{}; this process may lock only {} KiB (RLIMIT_MEMLOCK)", problem.what.title, bytes >> 10);
        let help = "raise the limit: ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit that starts it";
        Err(End::Error(problem.title(title).help(help)))
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

    /// Keeps a value that a call read as the field `value`, and compares the call's outcome.
    pub fn gave_value(&mut self, got: Result<u64, Errno>) -> Result<(), End> {
        self.gave(got, |value| Value::from_pairs([("value", value)]))
    }

    /// Keeps the id of an object as the field `id`, and compares the call's outcome.
    pub fn gave_id(&mut self, got: Result<u32, Errno>) -> Result<(), End> {
        self.gave(got, |id| Value::from_pairs([("id", id)]))
    }

    /// Keeps the number of bytes that a call reported, and compares its outcome.
    pub fn gave_bytes(&mut self, got: Result<u64, Errno>) -> Result<(), End> {
        self.save(Value::from_pairs([("bytes", Value::from(got.ok()))]));
        self.compare(got.map(Some))
    }

    /// Fails if a call reported something else than the ledger has.
    pub fn reported(&mut self, reported: Result<(), String>) -> Result<(), End> {
        self.case.leaves.reported(reported, &self.planned.outcome_at)
    }
}
