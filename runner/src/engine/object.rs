//! The steps on the kernel's files: opening them, and any request by its name.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path as FilePath, PathBuf},
};

use minijinja::Value;

use super::{
    case::{Execution, Got},
    checks::amount,
    device::{Changed, width},
    failure::{End, Problem},
    fixture::Open,
    regions::{Held, prot},
};
use crate::{
    host::pci,
    language::{self, Dynamic, Name, Path, Scalar, Size, Tail, eval},
    model::{Bdf, Errno, code::Code},
    plan::PlannedStep,
    uapi::{self, Mapping, Placement, access},
};

/// So many bytes are read or written at once, at most.
const MOST_BYTES: usize = 1 << 20;

/// The files that a case opened itself, by the names that they were saved under.
pub type Files = BTreeMap<String, OwnedFd>;

impl Execution<'_> {
    /// Runs a step on the kernel's files; `None` for a step of another kind.
    pub fn object_step(
        &mut self,
        planned: &PlannedStep,
        open: Option<&Open>,
        held: &[Held],
    ) -> Option<Result<(), End>> {
        let PlannedStep { step, at, .. } = planned;
        if let Some(file) = &step.open {
            Some(self.open_file(file.file, planned))
        } else if let Some(close) = &step.close {
            let closed =
                self.files.remove(&close.file.0).ok_or_else(|| not_open(&close.file, &at.join("close").join("file")));
            Some(closed.and_then(|file| {
                uapi::close(file, self.tracer);
                self.compare("close", planned, Ok(None))
            }))
        } else if let Some(read) = &step.pread {
            Some(self.pread(read, planned, open))
        } else if let Some(write) = &step.pwrite {
            Some(self.pwrite(write, planned, open))
        } else if let Some(mmap) = &step.mmap {
            Some(self.mmap(mmap, planned, open))
        } else {
            let ioctl = step.ioctl.as_ref()?;
            Some(self.ioctl(ioctl, planned, open, held))
        }
    }

    fn open_file(&mut self, file: language::File, planned: &PlannedStep) -> Result<(), End> {
        let bdf = self.devices.bdf(self.current);
        let path = match file {
            language::File::Cdev => pci::cdev(bdf),
            language::File::Group => pci::group(bdf).map(|group| PathBuf::from(format!("/dev/vfio/{group}"))),
            language::File::Container => Some(PathBuf::from("/dev/vfio/vfio")),
            language::File::Iommufd => Some(PathBuf::from("/dev/iommu")),
        };
        let Some(path) = path.filter(|path| FilePath::new(path).exists()) else {
            return Err(End::Skipped(format!("this kernel has no file to open as `{file}`", file = file.as_str())));
        };
        let got = uapi::open(&path, self.tracer).map(|opened| {
            let name = planned.step.save.as_ref().expect("the check wants a name for it");
            self.scope.set(&name.0, Value::from_pairs([("fd", opened.as_raw_fd())]));
            self.files.insert(name.0.clone(), opened);
        });
        self.compare("open", planned, got.map(|()| None))
    }

    fn pread(&mut self, read: &language::Pread, planned: &PlannedStep, open: Option<&Open>) -> Result<(), End> {
        let at = planned.at.join("pread");
        let offset = self.size(&read.offset, &at.join("offset"))?;
        let mut bytes = vec![0; self.few_bytes(&read.size, &at.join("size"))?];
        let got = access::read_at(self.file(&read.on, &at.join("on"), open)?.0, offset, &mut bytes, self.tracer);
        let saved = got.map(|read| {
            let mut first = [0; 8];
            let len = read.min(8);
            first[..len].copy_from_slice(&bytes[..len]);
            Value::from_pairs([("bytes", Value::from(read)), ("value", Value::from(u64::from_le_bytes(first)))])
        });
        self.save(planned, || saved.unwrap_or(Value::UNDEFINED));
        self.compare("pread", planned, got.map(|read| Some(read as u64)))
    }

    fn pwrite(&mut self, write: &language::Pwrite, planned: &PlannedStep, open: Option<&Open>) -> Result<(), End> {
        let at = planned.at.join("pwrite");
        let offset = self.size(&write.offset, &at.join("offset"))?;
        let mut bytes = vec![0; self.few_bytes(&write.size, &at.join("size"))?];
        let value = self.size(&write.value, &at.join("value"))?;
        let number = value.to_le_bytes();
        let (first, rest) = number.split_at(bytes.len().min(8));
        if rest.iter().any(|byte| *byte != 0) {
            let title = format!("{value:#x} does not fit into {}", amount(bytes.len() as u64));
            return Err(End::Error(Problem::new(Code::OutOfRange, at.join("value"), title)));
        }
        bytes[..first.len()].copy_from_slice(first);
        let (file, of_fixture) = self.file(&write.on, &at.join("on"), open)?;
        let got = access::write_at(file, offset, &bytes, self.tracer);
        if of_fixture {
            self.device.changed = Changed::More;
        }
        let saved = got.map(|written| Value::from_pairs([("bytes", written)]));
        self.save(planned, || saved.unwrap_or(Value::UNDEFINED));
        self.compare("pwrite", planned, got.map(|written| Some(written as u64)))
    }

    /// How many bytes are moved at once: no more than there is memory for.
    fn few_bytes(&self, size: &Dynamic<Size>, at: &Path) -> Result<usize, End> {
        let size = self.size(size, at)?;
        usize::try_from(size).ok().filter(|size| *size <= MOST_BYTES).ok_or_else(|| {
            let title = format!("{} are too many at once", amount(size));
            End::Error(Problem::new(Code::OutOfRange, at.clone(), title).label("expected at most 1MiB"))
        })
    }

    fn mmap(&mut self, mmap: &language::Mmap, planned: &PlannedStep, open: Option<&Open>) -> Result<(), End> {
        let at = planned.at.join("mmap");
        let offset = self.size(&mmap.offset, &at.join("offset"))?;
        let size = self.size(&mmap.size, &at.join("size"))?;
        let (file, _) = self.file(&mmap.on, &at.join("on"), open)?;
        let prot = prot(mmap.protection);
        let made = match mmap.private {
            true => Mapping::private(file, offset, size, prot, self.tracer),
            false => Mapping::device(file, offset, size, prot, Placement::default(), self.tracer),
        };
        let got = made.and_then(|mapping| match mmap.bits {
            Some(bits) => mapping.mmio_read(0, width(bits)).map(Some),
            None => Ok(None),
        });
        let value = ("value", Value::from(got.ok().flatten()));
        self.save(planned, || Value::from_pairs([("mapped", Value::from(got.is_ok())), value]));
        self.compare("mmap", planned, got.map(|_| None))
    }

    fn ioctl(
        &mut self,
        ioctl: &language::Ioctl,
        planned: &PlannedStep,
        open: Option<&Open>,
        held: &[Held],
    ) -> Result<(), End> {
        let at = planned.at.join("ioctl");
        let request = ioctl.request.request();
        let mut values = Vec::new();
        for (field, value) in ioctl.fields.iter() {
            values.push((field, self.number(value, &at.join("fields").join(field))?));
        }
        let size = match &ioctl.size {
            Some(size) => Some(self.size(size, &at.join("size"))?),
            None => None,
        };
        let refused =
            |error: &dyn std::fmt::Display| End::Error(Problem::new(Code::Refused, at.clone(), error.to_string()));
        let size = size.map(u32::try_from).transpose().map_err(|_| refused(&"the size does not fit 32 bits"))?;
        let memory: Vec<&Mapping> = held.iter().map(|held| &*held.mapping).collect();
        let tail = self.tail(&ioctl.tail, &at)?;
        let prepared = request.prepare(&values, size, &tail, &memory).map_err(|error| refused(&error))?;
        let tracer = self.tracer;
        let (mut answer, of_fixture) = {
            let (file, of_fixture) = self.file(&ioctl.on, &at.join("on"), open)?;
            (prepared.call(file, tracer).map_err(|error| refused(&error))?, of_fixture)
        };
        let result = answer.value.as_ref().copied().unwrap_or(-1);
        let written = answer.fields.iter().map(|(name, value)| (*name, Value::from(*value)));
        let saved = Value::from_pairs([("result", Value::from(result))].into_iter().chain(written));
        self.save(planned, || saved);
        // A file that the kernel made is the case's under the name of the result; without one it is closed here.
        if let (Some(name), Some(file)) = (&planned.step.save, answer.files.pop()) {
            self.files.insert(name.0.clone(), file);
        }
        let got: Result<i32, Errno> = answer.value;
        let outcome = self.compare(request.name, planned, got.map(|_| None) as Got);
        if let Some(open) = open.filter(|_| of_fixture) {
            let given = |field: &str| values.iter().find(|(name, _)| *name == field).map_or(0, |(_, value)| *value);
            let written = |field: &str| {
                let found = answer.fields.iter().find(|(name, _)| *name == field);
                found.map_or_else(|| given(field), |(_, value)| *value)
            };
            let ioas = open.session.ioas().map(|ioas| ioas.id());
            let followed = self.mappings.request(open.session.true_name(), ioas, request.name, got, &given, &written);
            // Whatever else was done to the open device, the next case is not to find it so.
            if followed != Ok(true) {
                self.device.changed = Changed::More;
            }
            outcome?;
            return self.reported(followed.map(drop), planned);
        }
        outcome
    }

    /// The bytes behind a request's struct.
    fn tail(&self, tail: &Tail, at: &Path) -> Result<Vec<u8>, End> {
        let at = at.join("tail");
        let text = match tail {
            Tail::Bytes(bytes) => return Ok(bytes.clone()),
            Tail::Text(text) => {
                text.render(&self.scope).map_err(|error| End::Error(Problem::expression(at.clone(), &error)))?
            }
        };
        // A group may have other devices, which nobody named.
        if text.parse::<Bdf>().is_ok_and(|bdf| bdf != self.devices.bdf(self.current)) {
            let title = format!("`{text}` is not the device under test");
            return Err(End::Error(Problem::new(Code::Refused, at, title).label("expected `{{ device.bdf }}`")));
        }
        Ok(text.bytes().chain([0]).collect())
    }

    /// A file by the name that a step calls it by, and whether it is one of the open device's.
    fn file<'f>(&'f self, name: &Name, at: &Path, open: Option<&'f Open>) -> Result<(BorrowedFd<'f>, bool), End> {
        if let Some(file) = self.files.get(&name.0) {
            return Ok((file.as_fd(), false));
        }
        let session = open.map(|open| &open.session);
        let of_session = match name.0.as_str() {
            "device" => session.map(|session| session.device().fd()),
            "iommu" => session.and_then(|session| match (session.ioas(), session.container()) {
                (Some(ioas), _) => Some(ioas.fd()),
                (None, container) => container.map(|container| container.fd()),
            }),
            _ => None,
        };
        of_session.map(|fd| (fd, true)).ok_or_else(|| not_open(name, at))
    }

    /// A field's value as the kernel gets it: negative numbers as they are written in two's complement.
    fn number(&self, value: &Scalar, at: &Path) -> Result<u64, End> {
        let wrong = |error| End::Error(Problem::expression(at.clone(), &error));
        let value = match value {
            Scalar::Text(source) if source.contains("{{") => eval(&self.scope, source).map_err(wrong)?,
            Scalar::Text(source) => match source.parse::<language::Size>() {
                Ok(size) => Value::from(size.0),
                Err(_) => Value::from(source.as_str()),
            },
            other => other.value(),
        };
        let number = if value.is_integer() { i128::try_from(value.clone()).ok() } else { None };
        let fits =
            |number: i128| u64::try_from(number).ok().or_else(|| i64::try_from(number).ok().map(i64::cast_unsigned));
        number.and_then(fits).ok_or_else(|| {
            let title = format!("`{value}` is no number of 64 bits");
            End::Error(Problem::new(Code::OutOfRange, at.clone(), title))
        })
    }
}

fn not_open(name: &Name, at: &Path) -> End {
    End::Error(
        Problem::new(Code::NotOpen, at.clone(), format!("no file is open as `{name}`"))
            .label("expected `device`, `iommu`, or the name that an `open` was saved under"),
    )
}
