// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory to map for devices: anonymous, huge, a file's, missing on purpose, or a device's own.

mod changes;
mod content;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, RwLock};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use super::{Tracer, system::page_size, trace::zero};
use crate::model::Errno;
pub use changes::Advice;
use changes::Changes;

/// What the process itself may do with its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Prot {
    None,
    Read,
    #[default]
    ReadWrite,
}

impl Prot {
    fn bits(self) -> i32 {
        match self {
            Prot::None => libc::PROT_NONE,
            Prot::Read => libc::PROT_READ,
            Prot::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }

    /// Whether the process may read, or write.
    fn allows(self, writes: bool) -> bool {
        match self {
            Prot::None => false,
            Prot::Read => !writes,
            Prot::ReadWrite => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Prot::None => "PROT_NONE",
            Prot::Read => "PROT_READ",
            Prot::ReadWrite => "PROT_READ|PROT_WRITE",
        }
    }
}

/// Where in the address space memory goes: its address is `misalign` modulo `align`, both in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Placement {
    /// A power of two; at least the base page is kept.
    pub align: u64,
    /// A multiple of the base page below `align`.
    pub misalign: u64,
}

impl Placement {
    pub const fn aligned(align: u64) -> Placement {
        Placement { align, misalign: 0 }
    }

    /// The size and the placement of `size` bytes in whole pages of `page` bytes.
    fn of_pages(self, size: u64, page: u64) -> Result<(u64, Placement), Errno> {
        if !page.is_power_of_two() || !self.misalign.is_multiple_of(page) {
            return Err(Errno(libc::EINVAL));
        }
        let size = size.checked_next_multiple_of(page).ok_or(Errno(libc::ENOMEM))?;
        Ok((size, Placement { align: self.align.max(page), ..self }))
    }
}

impl Default for Placement {
    fn default() -> Self {
        Placement::aligned(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Anonymous {
    /// In bytes; the kernel rounds it up to whole pages.
    pub size: u64,
    /// The huge page in bytes to take it from; `None` for base pages, of which no transparent huge page is made.
    pub hugetlb: Option<u64>,
    pub prot: Prot,
    /// Where it goes; huge pages are aligned to themselves at least.
    pub placement: Placement,
}

impl Anonymous {
    pub fn new(size: u64) -> Anonymous {
        Anonymous { size, hugetlb: None, prot: Prot::ReadWrite, placement: Placement::default() }
    }
}

/// A part of a file to map.
#[derive(Debug, Clone, Copy)]
pub struct FilePart {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
    /// The file's huge page in bytes, if it is made of these: size and placement have to be whole ones.
    pub page: Option<u64>,
    pub prot: Prot,
    /// Whether what the process writes stays its own; otherwise everyone sees it who has the file.
    pub private: bool,
    pub placement: Placement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anonymous(Prot),
    Shared(Prot),
    /// A file's memory, of which the process gets pages of its own when it writes.
    Private(Prot),
    Reserved,
    Device(Prot),
}

/// What can no longer be done to a file in memory, as fcntl(2) has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(SealFlag, &'static str);

impl Seal {
    pub const WRITE: Seal = Seal(SealFlag::F_SEAL_WRITE, "F_SEAL_WRITE");
    /// `F_SEAL_FUTURE_WRITE` of Linux 5.1.
    pub const FUTURE_WRITE: Seal = Seal(SealFlag::F_SEAL_FUTURE_WRITE, "F_SEAL_FUTURE_WRITE");
    pub const SHRINK: Seal = Seal(SealFlag::F_SEAL_SHRINK, "F_SEAL_SHRINK");
    pub const GROW: Seal = Seal(SealFlag::F_SEAL_GROW, "F_SEAL_GROW");
}

/// Seals a [`memfd`].
pub fn seal(file: BorrowedFd, seals: &[Seal], tracer: &Tracer) -> Result<(), Errno> {
    let flags = seals.iter().fold(SealFlag::empty(), |flags, Seal(flag, _)| flags | *flag);
    let shown = seals.iter().map(|Seal(_, name)| *name).collect::<Vec<_>>().join("|");
    let run = || Ok(fcntl(file, FcntlArg::F_ADD_SEALS(flags)).map(drop)?);
    tracer.call("fcntl", format!("fd={}, F_ADD_SEALS, {shown}", file.as_raw_fd()), run, zero)
}

/// A file without a name, of `size` bytes in memory: of the huge page `hugetlb` in bytes, or of base pages.
/// `EINVAL` for a size that is not whole huge pages.
pub fn memfd(name: &str, size: u64, hugetlb: Option<u64>, tracer: &Tracer) -> Result<OwnedFd, Errno> {
    let mut flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut shown = String::from("MFD_CLOEXEC|MFD_ALLOW_SEALING");
    if let Some(page) = hugetlb {
        if !page.is_power_of_two() || page <= page_size() {
            return Err(Errno(libc::EINVAL));
        }
        flags |= MFdFlags::MFD_HUGETLB | MFdFlags::from_bits_retain(page.trailing_zeros() << libc::MFD_HUGE_SHIFT);
        shown.push_str(&format!("|MFD_HUGETLB|{page:#x}"));
    }
    let run = || Ok(memfd_create(name, flags)?);
    let fd = tracer.call("memfd_create", format!("\"{name}\", {shown}"), run, |fd| fd.as_raw_fd().to_string())?;
    set_length(&fd, size, tracer)?;
    Ok(fd)
}

/// A file without a name, of `size` bytes of memory that the kernel takes out of its own page tables. It lets only the processes reach it that
/// have the file. `ENOSYS` where there is no such memory.
pub fn memfd_secret(size: u64, tracer: &Tracer) -> Result<OwnedFd, Errno> {
    let run = || {
        // SAFETY: the request takes no address, and gives a new file, which nobody else has.
        let got = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        // SAFETY: as above.
        if got < 0 { Err(Errno::last()) } else { Ok(unsafe { OwnedFd::from_raw_fd(got as RawFd) }) }
    };
    let fd = tracer.call("memfd_secret", "O_CLOEXEC".to_owned(), run, |fd| fd.as_raw_fd().to_string())?;
    set_length(&fd, size, tracer)?;
    Ok(fd)
}

fn set_length(file: &OwnedFd, size: u64, tracer: &Tracer) -> Result<(), Errno> {
    let length = libc::off_t::try_from(size).map_err(|_| Errno(libc::EFBIG))?;
    let fields = format!("fd={}, length={size:#x}", file.as_raw_fd());
    tracer.call("ftruncate", fields, || Ok(ftruncate(file, length)?), zero)
}

/// A stretch of address space of this process, given back when dropped.
///
/// Devices may write to it at any time, so it is never lent as a reference: [`Mapping::read`] and [`Mapping::write`] copy.
#[derive(Debug)]
pub struct Mapping {
    /// The stretch that was asked for lies somewhere in the reservation that `munmap` gets.
    reservation: (u64, u64),
    addr: u64,
    len: u64,
    kind: Kind,
    /// The device's file, and the offset in it in bytes that was mapped.
    device: Option<(OwnedFd, u64)>,
    /// What was done to it since; copies hold it, so that no change comes in between.
    changes: Arc<RwLock<Changes>>,
    tracer: Tracer,
}

impl Mapping {
    /// Makes anonymous memory; nothing is behind it yet ([`Mapping::populate`]).
    /// `ENOMEM` where there are not enough huge pages, `EINVAL` for a size or placement that cannot be.
    pub fn anonymous(what: &Anonymous, tracer: &Tracer) -> Result<Mapping, Errno> {
        let page = what.hugetlb.unwrap_or_else(page_size);
        // A huge page of 1 would be the kernel's default one, and larger than the reservation.
        if what.hugetlb.is_some_and(|page| page <= page_size()) {
            return Err(Errno(libc::EINVAL));
        }
        let (size, placement) = what.placement.of_pages(what.size, page)?;
        let mut mapping = Mapping::reserve(size, placement, Kind::Anonymous(what.prot), tracer)?;
        mapping.len = what.size;
        let huge = match what.hugetlb {
            None => 0,
            Some(page) => libc::MAP_HUGETLB | ((page.trailing_zeros() as i32) << libc::MAP_HUGE_SHIFT),
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | huge;
        let shown = match what.hugetlb {
            None => "MAP_PRIVATE|MAP_ANONYMOUS".to_string(),
            Some(page) => format!("MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|{}<<MAP_HUGE_SHIFT", page.trailing_zeros()),
        };
        mapping.fill(size, what.prot, flags, &shown, None)?;
        if what.hugetlb.is_none() {
            // Base pages were asked for; a kernel without transparent huge pages has nothing to forbid.
            let _ = mapping.advise_all(libc::MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
        }
        Ok(mapping)
    }

    /// Maps a part of a file, such as a [`memfd`].
    ///
    /// A touch beyond the file's end ends the process (SIGBUS), unless [`Mapping::truncate`] or another change is known.
    pub fn of_file(file: BorrowedFd, part: &FilePart, tracer: &Tracer) -> Result<Mapping, Errno> {
        let FilePart { offset, size, page, prot, private, placement } = *part;
        let page = page.unwrap_or_else(page_size).max(page_size());
        let (rounded, placement) = placement.of_pages(size, page)?;
        let (kind, flags, shown) = match private {
            false => (Kind::Shared(prot), libc::MAP_SHARED, "MAP_SHARED"),
            true => (Kind::Private(prot), libc::MAP_PRIVATE, "MAP_PRIVATE"),
        };
        let mut mapping = Mapping::reserve(rounded, placement, kind, tracer)?;
        mapping.len = size;
        mapping.fill(rounded, prot, flags, shown, Some((file, offset)))?;
        Ok(mapping)
    }

    /// Takes a stretch of addresses with nothing behind it: to map it for a device fails with `EFAULT`.
    pub fn reserved(size: u64, placement: Placement, tracer: &Tracer) -> Result<Mapping, Errno> {
        Mapping::reserve(size, placement, Kind::Reserved, tracer)
    }

    /// Maps `size` bytes of a device's file at `offset`, such as a BAR. Huge mappings of it are asked for, not promised.
    pub fn device(
        device: BorrowedFd,
        offset: u64,
        size: u64,
        prot: Prot,
        placement: Placement,
        tracer: &Tracer,
    ) -> Result<Mapping, Errno> {
        let mut mapping = Mapping::reserve(size, placement, Kind::Device(prot), tracer)?;
        mapping.fill(size, prot, libc::MAP_SHARED, "MAP_SHARED", Some((device, offset)))?;
        mapping.device = device.try_clone_to_owned().ok().map(|file| (file, offset));
        let _ = mapping.advise_all(libc::MADV_HUGEPAGE, "MADV_HUGEPAGE");
        Ok(mapping)
    }

    /// Maps `size` bytes of a device's file at `offset` privately. No device of VFIO allows it, since registers cannot be copied.
    pub fn private(device: BorrowedFd, offset: u64, size: u64, prot: Prot, tracer: &Tracer) -> Result<Mapping, Errno> {
        let mapping = Mapping::reserve(size, Placement::default(), Kind::Device(prot), tracer)?;
        mapping.fill(size, prot, libc::MAP_PRIVATE, "MAP_PRIVATE", Some((device, offset)))?;
        Ok(mapping)
    }

    /// The first address: the vaddr of a map request.
    pub fn addr(&self) -> u64 {
        self.addr
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Puts pages behind memory now, so that a later map request does not have to: `ENOMEM` or `EHWPOISON`
    /// instead of a signal at the first touch. Other memory has nothing to be put behind.
    pub fn populate(&self) -> Result<(), Errno> {
        match self.kind {
            Kind::Anonymous(Prot::ReadWrite) | Kind::Shared(Prot::ReadWrite) => {
                self.advise_all(libc::MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE")
            }
            // To write would take every page from its file.
            Kind::Private(Prot::ReadWrite | Prot::Read) | Kind::Anonymous(Prot::Read) | Kind::Shared(Prot::Read) => {
                self.advise_all(libc::MADV_POPULATE_READ, "MADV_POPULATE_READ")
            }
            _ => Ok(()),
        }
    }

    /// What the process may do with it, if it is memory and not a device's or missing.
    fn memory(&self) -> Option<Prot> {
        match self.kind {
            Kind::Anonymous(prot) | Kind::Shared(prot) | Kind::Private(prot) => Some(prot),
            Kind::Reserved | Kind::Device(_) => None,
        }
    }

    /// Whether it is a file's memory.
    pub fn is_in_file(&self) -> bool {
        matches!(self.kind, Kind::Shared(_) | Kind::Private(_))
    }

    /// Whether it is made of addresses without memory, to which some may have been moved.
    pub fn is_reserved(&self) -> bool {
        self.kind == Kind::Reserved
    }

    pub fn is_device(&self) -> bool {
        matches!(self.kind, Kind::Device(_))
    }

    pub fn contains(&self, addr: u64) -> bool {
        addr.checked_sub(self.addr).is_some_and(|offset| offset < self.len)
    }

    /// Whether the kernel may write `len` bytes at `addr`: they lie in memory of ours, or where nothing can be written.
    pub(super) fn takes_writes(&self, addr: u64, len: u64) -> bool {
        let inside = self.contains(addr) && addr.checked_add(len).is_some_and(|end| end <= self.addr + self.len);
        inside && !matches!(self.kind, Kind::Device(_))
    }

    pub(super) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    pub(super) fn at(&self, offset: u64, len: usize) -> Option<u64> {
        let end = offset.checked_add(len as u64)?;
        (end <= self.len).then(|| self.addr + offset)
    }

    /// Reserves more than asked for, and finds the place inside. At least one page that nobody can touch stays behind it: whoever
    /// asks the kernel to pin more than the stretch gets `EFAULT`, and never our other memory.
    fn reserve(size: u64, placement: Placement, kind: Kind, tracer: &Tracer) -> Result<Mapping, Errno> {
        let page = page_size();
        let align = placement.align.max(page);
        if !align.is_power_of_two() || placement.misalign >= align || !placement.misalign.is_multiple_of(page) {
            return Err(Errno(libc::EINVAL));
        }
        let room = align.checked_mul(2).ok_or(Errno(libc::EINVAL))?;
        let rounded = size.checked_next_multiple_of(page).filter(|rounded| *rounded > 0);
        // A size that cannot be is the kernel's to refuse.
        let total = rounded.and_then(|rounded| rounded.checked_add(room)).unwrap_or(size);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let run = || {
            // SAFETY: no address is asked for, so the kernel takes one that nothing else uses.
            let base = unsafe { libc::mmap(std::ptr::null_mut(), total as usize, libc::PROT_NONE, flags, -1, 0) };
            if base == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(base as u64) }
        };
        let fields = format!("addr=NULL, length={total:#x}, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE");
        let base = tracer.call("mmap", fields, run, |base| format!("{base:#x}"))?;
        if total == size {
            // SAFETY: this is what was mapped above, and nobody knows of it yet.
            unsafe { libc::munmap(base as *mut libc::c_void, total as usize) };
            return Err(Errno(libc::EINVAL));
        }
        // At most 2 * align - 1 beyond the base.
        let addr = base.next_multiple_of(align) + placement.misalign;
        let (changes, tracer) = (Arc::default(), tracer.clone());
        Ok(Mapping { reservation: (base, total), addr, len: size, kind, device: None, changes, tracer })
    }

    fn fill(
        &self,
        size: u64,
        prot: Prot,
        flags: i32,
        shown: &str,
        file: Option<(BorrowedFd, u64)>,
    ) -> Result<(), Errno> {
        let (base, total) = self.reservation;
        let rounded = size.checked_next_multiple_of(page_size()).ok_or(Errno(libc::ENOMEM))?;
        if self.addr < base || rounded > total - (self.addr - base) {
            return Err(Errno(libc::EINVAL));
        }
        let (fd, offset) = file.map_or((-1, 0), |(fd, offset)| (fd.as_raw_fd(), offset));
        let (prot, prot_name) = (prot.bits(), prot.name());
        let fields = format!(
            "addr={:#x}, length={size:#x}, {prot_name}, {shown}|MAP_FIXED, fd={fd}, offset={offset:#x}",
            self.addr
        );
        let run = || {
            let address = self.addr as *mut libc::c_void;
            // SAFETY: MAP_FIXED replaces only addresses of our own reservation, as checked above (for huge pages the
            // size is whole ones already), and nobody has a pointer into it yet.
            let got =
                unsafe { libc::mmap(address, size as usize, prot, flags | libc::MAP_FIXED, fd, offset as libc::off_t) };
            if got == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(got as u64) }
        };
        let shown = |addr: &u64| format!("{addr:#x}");
        let made = match file {
            None => self.tracer.call("mmap", fields, run, shown),
            Some(_) => self.tracer.of_file("mmap", fields, run, shown),
        };
        made.map(drop)
    }

    fn advise_all(&self, advice: i32, name: &'static str) -> Result<(), Errno> {
        let run = || {
            // SAFETY: the stretch is our own, and no advice given here takes contents away.
            let returned = unsafe { libc::madvise(self.addr as *mut libc::c_void, self.len as usize, advice) };
            if returned < 0 { Err(Errno::last()) } else { Ok(()) }
        };
        let fields = format!("addr={:#x}, length={:#x}, {name}", self.addr, self.len);
        self.tracer.call("madvise", fields, run, zero)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let (base, total) = self.reservation;
        let run = || {
            // SAFETY: the reservation is ours alone, all that was put into it too, and no reference to it was ever lent.
            let returned = unsafe { libc::munmap(base as *mut libc::c_void, total as usize) };
            if returned < 0 { Err(Errno::last()) } else { Ok(()) }
        };
        // There is nothing to be done about a failure, but the trace shows it.
        let _ = self.tracer.call("munmap", format!("addr={base:#x}, length={total:#x}"), run, zero);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off_by(align: u64, misalign: u64) -> Placement {
        Placement { align, misalign }
    }

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_lies_where_it_was_asked_to() {
        let tracer = Tracer::new();
        for placement in [Placement::aligned(2 * MIB), off_by(2 * MIB, 4 * KIB)] {
            let what = Anonymous { placement, ..Anonymous::new(16 * KIB) };
            let anonymous = Mapping::anonymous(&what, &tracer).unwrap();
            let reserved = Mapping::reserved(16 * KIB, placement, &tracer).unwrap();
            for mapping in [&anonymous, &reserved] {
                assert_eq!(mapping.addr() % placement.align, placement.misalign);
                assert_eq!(mapping.len(), 16 * KIB);
            }
        }
    }

    #[test]
    fn a_size_that_cannot_be_is_refused_by_the_kernel() {
        let tracer = Tracer::new();
        for (size, errno) in [(0, libc::EINVAL), (u64::MAX, libc::ENOMEM)] {
            let refused = Mapping::reserved(size, Placement::default(), &tracer).unwrap_err();
            assert_eq!(refused, Errno(errno));
            assert!(tracer.take().lines.last().unwrap().contains("mmap("), "{size}");
        }
    }

    #[test]
    fn an_impossible_placement_is_refused() {
        let tracer = Tracer::new();
        let too_far = Placement::aligned(1 << 63);
        for placement in [Placement::aligned(3 * MIB), off_by(MIB, MIB), off_by(MIB, 1), too_far] {
            let what = Anonymous { placement, ..Anonymous::new(4 * KIB) };
            assert_eq!(Mapping::anonymous(&what, &tracer).unwrap_err(), Errno(libc::EINVAL));
        }
        let inside_a_huge_page =
            Anonymous { hugetlb: Some(2 * MIB), placement: off_by(2 * MIB, 4 * KIB), ..Anonymous::new(2 * MIB) };
        let no_huge_page = Anonymous { hugetlb: Some(1), ..Anonymous::new(2 * MIB) };
        for what in [inside_a_huge_page, no_huge_page] {
            assert_eq!(Mapping::anonymous(&what, &tracer).unwrap_err(), Errno(libc::EINVAL));
        }
    }

    fn part(size: u64) -> FilePart {
        let (prot, placement) = (Prot::ReadWrite, Placement::default());
        FilePart { offset: 0, size, page: None, prot, private: false, placement }
    }

    #[test]
    fn what_is_written_privately_is_nobody_elses() {
        use std::os::fd::AsFd;
        let tracer = Tracer::new();
        let file = memfd("file", 8 * KIB, None, &tracer).unwrap();
        let map = |private| {
            let mapping = Mapping::of_file(file.as_fd(), &FilePart { private, ..part(8 * KIB) }, &tracer).unwrap();
            mapping.populate().unwrap();
            mapping
        };
        let (shared, private) = (map(false), map(true));
        let byte = |mapping: &Mapping, offset| {
            let mut byte = [0];
            mapping.read(offset, &mut byte).map(|()| byte[0])
        };
        shared.write(0, &[1]).unwrap();
        assert_eq!(byte(&private, 0), Ok(1), "until it is written it is the file's");
        private.write(0, &[2]).unwrap();
        assert_eq!((byte(&shared, 0), byte(&private, 0)), (Ok(1), Ok(2)));
    }

    #[test]
    fn a_sealed_file_is_refused_what_it_is_sealed_against() {
        use std::os::fd::AsFd;
        let tracer = Tracer::new();
        let file = memfd("sealed", 8 * KIB, None, &tracer).unwrap();
        seal(file.as_fd(), &[Seal::WRITE, Seal::SHRINK], &tracer).unwrap();
        let refused = |prot, private| {
            let part = FilePart { prot, private, ..part(8 * KIB) };
            Mapping::of_file(file.as_fd(), &part, &tracer).map(drop)
        };
        assert_eq!(refused(Prot::ReadWrite, false), Err(Errno(libc::EPERM)));
        assert_eq!(refused(Prot::ReadWrite, true), Ok(()));
        assert_eq!(ftruncate(&file, 0), Err(nix::errno::Errno::EPERM));
    }

    #[test]
    fn two_mappings_of_one_file_hold_the_same_bytes() {
        use std::os::fd::AsFd;
        let tracer = Tracer::new();
        let file = memfd("shared", 8 * KIB, None, &tracer).unwrap();
        let map = |offset, prot| {
            let part = FilePart { offset, prot, ..part(4 * KIB) };
            Mapping::of_file(file.as_fd(), &part, &tracer).unwrap()
        };
        let (one, two) = (map(4 * KIB, Prot::ReadWrite), map(4 * KIB, Prot::Read));
        one.populate().unwrap();
        one.write(16, b"same").unwrap();
        let mut back = [0; 4];
        two.read(16, &mut back).unwrap();
        assert_eq!(&back, b"same");
        assert_eq!(two.write(16, b"x"), Err(Errno(libc::EFAULT)));
        assert_eq!(memfd("none", 4 * KIB, Some(3 * MIB), &tracer).unwrap_err(), Errno(libc::EINVAL));
    }

    #[test]
    fn the_kernel_may_write_to_memory_and_not_to_a_device() {
        use std::os::fd::AsFd;
        let tracer = Tracer::new();
        let memory = Mapping::anonymous(&Anonymous::new(4 * KIB), &tracer).unwrap();
        assert!(memory.takes_writes(memory.addr(), 4 * KIB));
        assert!(!memory.takes_writes(memory.addr() + 1, 4 * KIB));
        assert!(!memory.takes_writes(memory.addr() + 4 * KIB, 0) && !memory.takes_writes(memory.addr(), u64::MAX));
        let file = memfd("bar", 4 * KIB, None, &tracer).unwrap();
        let bar = Mapping::device(file.as_fd(), 0, 4 * KIB, Prot::ReadWrite, Placement::default(), &tracer).unwrap();
        assert!(bar.contains(bar.addr()) && !bar.takes_writes(bar.addr(), 8));
    }

    #[test]
    fn the_trace_shows_what_became_of_it() {
        let tracer = Tracer::new();
        drop(Mapping::reserved(4 * KIB, Placement::default(), &tracer).unwrap());
        let lines = tracer.take().lines;
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].starts_with("mmap(addr=NULL, length=0x3000, PROT_NONE"), "{lines:#?}");
        assert!(lines[1].starts_with("munmap(") && lines[1].ends_with("= 0"), "{lines:#?}");
    }
}
