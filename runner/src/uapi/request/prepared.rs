// SPDX-License-Identifier: MIT OR Apache-2.0
//! An argument, filled in and held against the rules, and what came of it.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{cell::RefCell, fs, path::Path};

use vfio_bindings::bindings::vfio;

use super::{
    Argument, Array, Count, Decoded, Direction, Field, File, Place, Request,
    pointer::{quad, word},
    table,
};
use crate::uapi::{Anonymous, Mapping, Prot, Tracer, system::page_size};
use crate::{model::Errno, uapi::ioctl::with_address};

/// The memory for an argument: more than any kernel fills in, so that it can be asked to.
const ROOM: usize = 64 << 10;
const LONGEST: usize = 1 << 20;

/// Why an argument is not handed to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{request} has no field {field}")]
    UnknownField { request: &'static str, field: String },
    #[error("{value:#x} does not fit the {bits} bits of {field}")]
    TooWide { field: &'static str, bits: usize, value: u64 },
    #[error("{request} takes no struct: there is no size and no tail")]
    NoStruct { request: &'static str },
    /// The argument would have more bytes than anybody needs.
    #[error("an argument of {bytes} bytes is longer than {LONGEST}")]
    TooLong { bytes: usize },
    #[error("{request} takes no struct that could be read-only or have bytes missing")]
    LiesNowhere { request: &'static str },
    #[error("of an argument of {bytes} bytes no {missing} can be missing")]
    TooShort { bytes: usize, missing: u64 },
    /// An address is not in memory that the caller holds, or the kernel might write beyond it. `offset` is that of the address in the
    /// argument, in bytes.
    #[error(
        "{addr:#x} at byte {offset} is an address to {request}, and neither it nor what the kernel does there lies inside one of the \
         case's regions"
    )]
    Address { request: &'static str, offset: usize, addr: u64 },
}

/// A request with its argument. It borrows the memory that addresses in it lie in.
#[derive(Debug)]
pub struct Prepared<'a> {
    request: &'static Request,
    bytes: Vec<u8>,
    shown: String,
    memory: Vec<&'a Mapping>,
    lies: Lies,
}

/// What the memory is like that an argument lies in. By default all of it can be read and written, and more follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lies {
    /// Whether it can only be read.
    pub read_only: bool,
    /// How many of the last bytes lie behind the end of the memory; with 0, memory ends right behind them.
    pub missing: Option<u64>,
}

#[derive(Debug)]
pub struct Answer {
    /// The request's value, or what it failed with.
    pub value: Result<i32, Errno>,
    /// The fields that the kernel writes, as they are now; some requests write them when they fail, too.
    pub fields: Vec<(&'static str, u64)>,
    /// The same with the names that the header has for their values, with lists and capabilities.
    pub decoded: Vec<(&'static str, Decoded)>,
    /// The argument as it is now, with what the kernel wrote behind the struct.
    pub bytes: Vec<u8>,
    pub files: Vec<OwnedFd>,
}

/// The elements of an array: each has the values of its fields.
pub type Elements = Vec<Vec<(&'static Field, u64)>>;

impl Request {
    /// Fills in the argument: fields by their names, all others 0; `arrays` in their places, `tail` behind all that.
    ///
    /// `argsz`, `size` in IOMMUFD, is as given, here or as a field; otherwise that of all there is, tail and all. The field that counts
    /// an array's elements has their number, unless it is given.
    /// `memory` is what addresses may point into.
    pub fn prepare<'a>(
        &'static self,
        values: &[(&str, u64)],
        arrays: &[(&'static Array, Elements)],
        argsz: Option<u32>,
        tail: &[u8],
        memory: &[&'a Mapping],
    ) -> Result<Prepared<'a>, Refused> {
        let is_struct = matches!(self.argument, Argument::Sized | Argument::Plain);
        if !is_struct && !tail.is_empty() || self.argument != Argument::Sized && argsz.is_some() {
            return Err(Refused::NoStruct { request: self.name });
        }
        let mut fields = Vec::new();
        for (name, value) in values {
            let unknown = || Refused::UnknownField { request: self.name, field: (*name).to_owned() };
            let field = self.field(name).ok_or_else(unknown)?;
            if !field.fits(*value) {
                return Err(Refused::TooWide { field: field.name, bits: field.width * 8, value: *value });
            }
            fields.push((field, *value));
        }
        let mut end = fields.iter().map(|(field, _)| field.end()).max().unwrap_or(0).max(self.size);
        for (array, elements) in arrays {
            if let Place::Behind(offset) = array.place {
                end = end.max(offset + elements.len() * array.stride);
            }
        }
        let len = end + tail.len();
        if len > LONGEST {
            return Err(Refused::TooLong { bytes: len });
        }
        let mut bytes = vec![0; end];
        bytes.extend(tail);
        let mut shown = Vec::new();
        if self.argument == Argument::Sized {
            let header = &self.fields[0];
            let given = fields.iter().find(|(field, _)| *field == header).map(|(_, value)| *value);
            fields.retain(|(field, _)| *field != header);
            fields.insert(0, (header, argsz.map(u64::from).or(given).unwrap_or(len as u64)));
        }
        if let Some(op) = self.op {
            op_field().write(&mut bytes, op.into());
        }
        for (field, value) in &fields {
            field.write(&mut bytes, *value);
            shown.push(format!("{}={}", field.name, show(field, &bytes)));
        }
        for (array, elements) in arrays {
            if let Count::Field(offset) = array.count
                && let Some(counts) = self.fields.iter().find(|field| field.offset == offset)
                && !fields.iter().any(|(field, _)| *field == counts)
            {
                counts.write(&mut bytes, elements.len() as u64);
                shown.push(format!("{}={}", counts.name, elements.len()));
            }
            if let Place::Behind(offset) = array.place {
                let of_elements = &mut bytes[offset..offset + elements.len() * array.stride];
                for (bytes, element) in of_elements.chunks_exact_mut(array.stride).zip(elements) {
                    element.iter().for_each(|(field, value)| field.write(bytes, *value));
                }
                let all = Array { count: Count::Always(elements.len()), ..**array };
                shown.push(format!("{}={}", array.name, all.decode(&[], of_elements)));
            }
        }
        if !tail.is_empty() {
            let dots = if tail.len() > 32 { ", …" } else { "" };
            shown.push(format!("tail={:02x?}{dots}", &tail[..tail.len().min(32)]));
        }
        Ok(Prepared { request: self, bytes, shown: shown.join(", "), memory: memory.to_vec(), lies: Lies::default() })
    }
}

impl Prepared<'_> {
    /// The same in other memory.
    pub fn lies(mut self, lies: Lies) -> Result<Self, Refused> {
        let (request, bytes) = (self.request, self.bytes.len());
        if lies != Lies::default() && !matches!(request.argument, Argument::Sized | Argument::Plain) {
            return Err(Refused::LiesNowhere { request: request.name });
        }
        if let Some(missing) = lies.missing {
            if missing > bytes as u64 {
                return Err(Refused::TooShort { bytes, missing });
            }
            self.shown.push_str(&format!(", missing={missing}"));
        }
        if lies.read_only {
            self.shown.push_str(", read_only");
        }
        Ok(Prepared { lies, ..self })
    }

    /// Calls it on a file, which need not be one that knows it. An error is ours; the kernel's is in the answer.
    pub fn call(&self, fd: BorrowedFd, tracer: &Tracer) -> Result<Answer, Refused> {
        let kinds = kinds(fd);
        let meanings = meanings(self.request.number, &self.bytes, kinds);
        self.check(&meanings)?;
        let after = RefCell::new(self.bytes.clone());
        let run = || {
            let argument = match self.request.argument {
                // Null, where nothing is, if this file takes it for an address at all.
                Argument::None => 0,
                // No file takes the argument of a request with such a number for an address: the table's tests say so.
                Argument::Number => self.request.fields[0].read(&self.bytes),
                Argument::Sized | Argument::Plain => return self.with_buffer(fd, &mut after.borrow_mut()),
            };
            // SAFETY: nothing is read or written at this value, as said above.
            unsafe { with_address(fd, self.request.number, argument) }
        };
        let shown = |value: &i32| {
            let after = after.borrow();
            let fields: Vec<_> =
                self.written(&after).map(|field| format!("{}={}", field.name, show(field, &after))).collect();
            if fields.is_empty() { value.to_string() } else { format!("{value} {{{}}}", fields.join(", ")) }
        };
        let value = tracer.on_file(fd, self.request.name, self.shown.clone(), run, shown);
        let bytes = after.into_inner();
        let fields = self.written(&bytes).map(|field| (field.name, field.read(&bytes))).collect();
        let decoded = self.decoded(&bytes, value.is_ok());
        let mut answer = Answer { value, fields, decoded, bytes, files: Vec::new() };
        // Only where it is certain what the request was.
        if let [meaning] = meanings.as_slice()
            && kinds != ANY
        {
            answer.files = files(meaning, &answer);
        }
        Ok(answer)
    }

    /// Holds the addresses in the argument against what it means on this file.
    fn check(&self, meanings: &[&'static Request]) -> Result<(), Refused> {
        for meaning in meanings {
            for pointer in meaning.pointers {
                if !pointer.allows(&self.bytes, &self.memory) {
                    let addr = pointer.addr(&self.bytes);
                    return Err(Refused::Address { request: meaning.name, offset: pointer.offset, addr });
                }
            }
        }
        Ok(())
    }

    fn with_buffer(&self, fd: BorrowedFd, after: &mut Vec<u8>) -> Result<i32, Errno> {
        let missing = self.lies.missing.unwrap_or(0) as usize;
        let there = self.bytes.len() - missing;
        let room = there.max(ROOM).next_multiple_of(page_size() as usize);
        let start = if self.lies.missing.is_some() { room - there } else { 0 };
        // Whole pages with no others behind them, which is nobody's business in the trace.
        let buffer = Mapping::anonymous(&Anonymous::new((room + missing) as u64), &Tracer::new())?;
        buffer.write(start as u64, &self.bytes[..there])?;
        if missing > 0 {
            buffer.unmap(room as u64, missing as u64)?;
        }
        if self.lies.read_only {
            buffer.protect(0, room as u64, Prot::Read)?;
        }
        // SAFETY: the argument lies at the end of a mapping of its own or, in whole pages, at its start. It lives to the end of this
        // function, and is followed by pages that nobody can touch: the kernel reads and writes an argument from its start on, and where
        // it can do neither it says so. The addresses in it were checked for what they mean on this file, and lie in mappings that self
        // borrows.
        let value = unsafe { with_address(fd, self.request.number, buffer.addr() + start as u64) };
        // What the kernel wrote behind the struct ends where the size says.
        let is_sized = self.request.argument == Argument::Sized && there >= 4;
        let mut head = [0; 4];
        buffer.read(start as u64, &mut head[..there.min(4)])?;
        let told = if is_sized && value.is_ok() { u32::from_ne_bytes(head) as usize } else { 0 };
        let there = there.max(told.min(room - start));
        after.resize(self.bytes.len().max(there), 0);
        buffer.read(start as u64, &mut after[..there])?;
        value
    }

    fn written(&self, bytes: &[u8]) -> impl Iterator<Item = &'static Field> {
        let fields = self.request.fields.iter();
        fields.filter(|field| field.direction != Direction::In && field.end() <= bytes.len())
    }

    /// What the kernel wrote; the lists and capabilities only if it succeeded.
    fn decoded(&self, bytes: &[u8], succeeded: bool) -> Vec<(&'static str, Decoded)> {
        let mut decoded: Vec<_> = self.written(bytes).map(|field| (field.name, field.decode(bytes))).collect();
        let arrays = self.request.arrays.iter().filter(|array| array.direction != Direction::In);
        for array in arrays.filter(|_| succeeded) {
            let elements = match array.place {
                Place::Behind(offset) => bytes.get(offset..).unwrap_or_default().to_vec(),
                // No more than it was given room for.
                Place::At(offset) => {
                    let count = array.count.of(&self.bytes).min(array.count.of(bytes));
                    self.read(quad(&self.bytes, offset), count.saturating_mul(array.stride))
                }
            };
            decoded.push((array.name, array.decode(bytes, &elements)));
        }
        if let Some(chain) = self.request.chain.filter(|_| succeeded) {
            decoded.push(("capabilities", chain.decode(bytes)));
        }
        decoded
    }

    /// Bytes of the caller's memory; none if it does not hold them all.
    fn read(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.min(LONGEST)];
        let holds = |mapping: &&&Mapping| mapping.takes_writes(addr, bytes.len() as u64);
        let read = self.memory.iter().find(holds).map(|mapping| mapping.read(addr - mapping.addr(), &mut bytes));
        if matches!(read, Some(Ok(_))) { bytes } else { Vec::new() }
    }
}

/// What a file may be by its name: every kind, if the name does not show it.
fn kinds(fd: BorrowedFd) -> &'static [File] {
    let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
    let name = link.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    // Those of devices without an IOMMU say so.
    let name = name.strip_prefix("noiommu-").unwrap_or(name);
    if link == Path::new("/dev/vfio/vfio") || link == Path::new("/dev/iommu") {
        return &[File::Container, File::Iommufd];
    }
    let is_cdev =
        link.parent() == Some(Path::new("/dev/vfio/devices")) && name.strip_prefix("vfio").is_some_and(is_number);
    if link == Path::new("anon_inode:[vfio-device]") || is_cdev {
        return &[File::Device];
    }
    if link.parent() == Some(Path::new("/dev/vfio")) && is_number(name) {
        return &[File::Group];
    }
    ANY
}

const ANY: &[File] = &[File::Container, File::Group, File::Device, File::Iommufd, File::Migration];

/// The requests that a number stands for on such files, with this argument.
fn meanings(number: u32, bytes: &[u8], kinds: &[File]) -> Vec<&'static Request> {
    let of_op = |request: &Request| request.op.is_none_or(|op| op_field().read(bytes) == u64::from(op));
    table::all().filter(|request| request.number == number && kinds.contains(&request.on) && of_op(request)).collect()
}

/// Where a request says which one of several with its number it is.
const fn op_field() -> Field {
    Field::new("op", 4, 4, Direction::In)
}

fn files(meaning: &Request, answer: &Answer) -> Vec<OwnedFd> {
    let Ok(value) = answer.value else { return Vec::new() };
    let field = |name| answer.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value as i32);
    let fd = match meaning.name {
        "VFIO_GROUP_GET_DEVICE_FD" | "VFIO_DEVICE_GET_GFX_DMABUF" => Some(value),
        "VFIO_DEVICE_FEATURE" if feature(&answer.bytes) == DMA_BUF_GET => Some(value),
        // The data_fd of vfio_device_feature_mig_state; -1 if the new state needs none.
        "VFIO_DEVICE_FEATURE" if feature(&answer.bytes) == MIG_STATE_SET && answer.bytes.len() >= 16 => {
            Some(word(&answer.bytes, 12) as i32)
        }
        "IOMMU_FAULT_QUEUE_ALLOC" => field("out_fault_fd"),
        "IOMMU_VEVENTQ_ALLOC" => field("out_veventq_fd"),
        "IOMMU_TEST_OP_CREATE_ACCESS" => field("out_access_fd"),
        _ => None,
    };
    // SAFETY: the request on this kind of file succeeded, and so the kernel just made this file descriptor for us; nobody
    // else has it.
    fd.filter(|fd| *fd >= 0).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).into_iter().collect()
}

const DMA_BUF_GET: u32 = vfio::VFIO_DEVICE_FEATURE_DMA_BUF | vfio::VFIO_DEVICE_FEATURE_GET;
const MIG_STATE_SET: u32 = vfio::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | vfio::VFIO_DEVICE_FEATURE_SET;

fn feature(bytes: &[u8]) -> u32 {
    word(bytes, 4) as u32
}

fn show(field: &Field, bytes: &[u8]) -> String {
    field.decode(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::{find, pointer::NOWHERE};
    use super::*;
    use crate::uapi::memfd;

    fn bytes(name: &str, values: &[(&str, u64)], argsz: Option<u32>, tail: &[u8]) -> Result<Vec<u8>, Refused> {
        find(name).unwrap().prepare(values, &[], argsz, tail, &[]).map(|prepared| prepared.bytes)
    }

    #[test]
    fn an_argument_holds_what_was_given_and_knows_its_size() {
        assert_eq!(bytes("IOMMU_DESTROY", &[("id", 7)], None, &[]), Ok(vec![8, 0, 0, 0, 7, 0, 0, 0]));
        assert_eq!(bytes("IOMMU_DESTROY", &[("id", 7)], Some(4), &[]), Ok(vec![4, 0, 0, 0, 7, 0, 0, 0]));
        assert_eq!(bytes("IOMMU_DESTROY", &[("size", 5)], None, &[]), Ok(vec![5, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(bytes("IOMMU_DESTROY", &[], None, &[9]), Ok(vec![9, 0, 0, 0, 0, 0, 0, 0, 9]));
        let with_bitmap = bytes("VFIO_IOMMU_UNMAP_DMA", &[("bitmap.pgsize", 4096)], None, &[]).unwrap();
        assert_eq!((with_bitmap.len(), with_bitmap[0], with_bitmap[25]), (32, 32, 16));
        // A negative number is one with its sign.
        let negative = bytes("VFIO_GROUP_SET_CONTAINER", &[("container", u64::MAX)], None, &[]);
        assert_eq!(negative, Ok(vec![0xff; 4]));
        assert_eq!(bytes("VFIO_GROUP_GET_DEVICE_FD", &[], None, b"0000"), Ok(b"0000".to_vec()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let unknown = bytes("IOMMU_DESTROY", &[("ids", 1)], None, &[]).unwrap_err();
        assert_eq!(unknown.to_string(), "IOMMU_DESTROY has no field ids");
        let wide = bytes("IOMMU_DESTROY", &[("id", 1 << 32)], None, &[]).unwrap_err();
        assert_eq!(wide.to_string(), "0x100000000 does not fit the 32 bits of id");
        let none = Err(Refused::NoStruct { request: "VFIO_DEVICE_RESET" });
        assert_eq!(bytes("VFIO_DEVICE_RESET", &[], Some(8), &[]), none);
        assert_eq!(bytes("VFIO_DEVICE_RESET", &[], None, &[1]), none);
        let long = bytes("IOMMU_DESTROY", &[], None, &vec![0; LONGEST]).unwrap_err();
        assert_eq!(long, Refused::TooLong { bytes: LONGEST + 8 });
    }

    #[test]
    fn no_address_of_others_reaches_the_kernel() {
        let tracer = Tracer::new();
        // A file of an unknown kind may be any: all that the number can mean counts.
        let file = memfd("unknown", 0, None, &tracer).unwrap();
        let memory = Mapping::anonymous(&Anonymous::new(4096), &tracer).unwrap();
        tracer.take();
        let call = |name: &str, values: &[(&str, u64)], tail: &[u8], memory: &[&Mapping]| {
            let prepared = find(name).unwrap().prepare(values, &[], None, tail, memory).unwrap();
            prepared.call(file.as_fd(), &tracer).map(|answer| answer.value.unwrap_err())
        };
        let stack = std::ptr::from_ref(&tracer) as u64;
        let refused = |request, offset, addr| Err(Refused::Address { request, offset, addr });
        let enotty = Ok(Errno(libc::ENOTTY));
        assert_eq!(
            call("IOMMU_IOAS_MAP", &[("user_va", stack)], &[], &[&memory]),
            refused("IOMMU_IOAS_MAP", 16, stack)
        );
        assert!(tracer.take().lines.is_empty(), "no call was made");
        assert_eq!(call("IOMMU_IOAS_MAP", &[("user_va", memory.addr())], &[], &[&memory]), enotty);
        assert_eq!(call("IOMMU_IOAS_MAP", &[("user_va", NOWHERE)], &[], &[]), enotty);
        // These ranges do not fit into the page.
        let ranges = [("allowed_iovas", memory.addr()), ("num_iovas", 257)];
        assert_eq!(
            call("IOMMU_IOAS_IOVA_RANGES", &ranges, &[], &[&memory]),
            refused("IOMMU_IOAS_IOVA_RANGES", 16, memory.addr())
        );
        // The same number on a container is VFIO_IOMMU_DIRTY_PAGES, and this tail its bitmap.
        let mut tail = [0; 40];
        tail[32..].copy_from_slice(&stack.to_ne_bytes());
        let feature = [("flags", 4)];
        assert_eq!(call("VFIO_DEVICE_FEATURE", &feature, &tail, &[]), refused("VFIO_IOMMU_DIRTY_PAGES", 40, stack));
        assert_eq!(call("VFIO_DEVICE_FEATURE", &[("flags", 1 << 16)], &tail, &[]), enotty);
        let report = [("flags", 1 << 16 | 8)];
        tail[24..32].copy_from_slice(&stack.to_ne_bytes());
        assert_eq!(call("VFIO_DEVICE_FEATURE", &report, &tail, &[]), refused("VFIO_DEVICE_FEATURE", 32, stack));
        assert_eq!(call("VFIO_SET_IOMMU", &[("iommu_type", 1)], &[], &[]), enotty);
    }

    #[test]
    fn an_argument_may_be_where_the_kernel_cannot_write_or_read_it_all() {
        let tracer = Tracer::new();
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        // A number of a pipe's, which reads nothing and writes four bytes.
        let count = |bytes: usize, lies| {
            let request = Request { number: libc::FIONREAD as u32, ..*find("VFIO_GROUP_SET_CONTAINER").unwrap() };
            let request: &'static Request = Box::leak(Box::new(request));
            let prepared = request.prepare(&[("container", 7)], &[], None, &vec![1; bytes - 4], &[]).unwrap();
            let answer = prepared.lies(lies)?.call(reader.as_fd(), &tracer)?;
            Ok((answer.value, answer.bytes))
        };
        let lies = |read_only, missing| Lies { read_only, missing };
        let efault = |bytes: &[u8]| Ok((Err(Errno(libc::EFAULT)), bytes.to_vec()));
        assert_eq!(count(5, lies(false, None)), Ok((Ok(0), vec![0, 0, 0, 0, 1])));
        assert_eq!(count(5, lies(true, None)), efault(&[7, 0, 0, 0, 1]));
        assert_eq!(count(4, lies(false, Some(0))), Ok((Ok(0), vec![0, 0, 0, 0])));
        assert_eq!(count(5, lies(false, Some(1))), Ok((Ok(0), vec![0, 0, 0, 0, 1])));
        assert_eq!(count(5, lies(false, Some(2))), efault(&[7, 0, 0, 0, 1]));
        assert_eq!(count(5, lies(true, Some(5))), efault(&[7, 0, 0, 0, 1]));
        assert_eq!(count(5, lies(false, Some(6))), Err(Refused::TooShort { bytes: 5, missing: 6 }));
        let long = count(ROOM + 10, lies(false, Some(ROOM as u64 + 6))).unwrap();
        assert_eq!((long.0, &long.1[..5], long.1.len()), (Ok(0), &[0, 0, 0, 0, 1][..], ROOM + 10));
        let reset = find("VFIO_DEVICE_RESET").unwrap().prepare(&[], &[], None, &[], &[]).unwrap();
        let nowhere = Refused::LiesNowhere { request: "VFIO_DEVICE_RESET" };
        assert_eq!(reset.lies(lies(true, None)).unwrap_err(), nowhere);
    }

    #[test]
    fn the_call_is_traced_with_what_was_given() {
        let tracer = Tracer::new();
        let file = memfd("unknown", 0, None, &tracer).unwrap();
        tracer.take();
        let values = [("flags", 1 << 30), ("ioas_id", 3)];
        let prepared = find("IOMMU_IOAS_MAP").unwrap().prepare(&values, &[], Some(39), &[0, 1], &[]).unwrap();
        prepared.call(file.as_fd(), &tracer).unwrap().value.unwrap_err();
        let line = format!(
            "IOMMU_IOAS_MAP(fd={}, size=39, flags=0x40000000, ioas_id=3, tail=[00, 01]) = -1 ENOTTY (inappropriate \
             ioctl for device)",
            std::os::fd::AsRawFd::as_raw_fd(&file)
        );
        assert_eq!(tracer.take().lines, [line]);
    }
}
