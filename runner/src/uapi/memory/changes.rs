// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that changes while devices may have it mapped: it is taken away, protected, given back, locked, or loses its file.
//!
//! After any change an access of ours may be a signal. From then on the kernel copies for us, and an access is an errno: `EFAULT` where
//! nothing is or the protection forbids it, `SIGBUS` where the file ends or no huge page is left.

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, PoisonError, RwLockReadGuard};

use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::unistd::{ftruncate, pipe2};

use super::{Kind, Mapping, Prot};
use crate::model::Errno;
use crate::uapi::{system::page_size, trace::zero};

/// What was done to memory since it was made. Mappings of one file have it in common, since what is done to the file is done to all.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Addresses, and what the process may do there now; later ones take the place of earlier ones.
    parts: Vec<(Range<u64>, State)>,
    /// What was done last, as messages name it.
    last: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unmapped,
    Protected(Prot),
}

impl Changes {
    /// Whether nothing was done, so that an access is no signal.
    pub(super) fn are_none(&self) -> bool {
        self.last.is_none()
    }

    fn become_state(&mut self, range: Range<u64>, state: State) {
        self.parts.retain(|(old, _)| old.start < range.start || old.end > range.end);
        self.parts.push((range, state));
    }

    fn has_hole(&self, range: Range<u64>) -> bool {
        let overlaps = |part: &Range<u64>| part.start < range.end && range.start < part.end;
        self.parts.iter().any(|(part, state)| *state == State::Unmapped && overlaps(part))
    }

    fn state(&self, at: u64) -> Option<State> {
        self.parts.iter().rev().find(|(range, _)| range.contains(&at)).map(|(_, state)| *state)
    }
}

const MOVED: &str = "an `mremap`";
const UNMAPPED: &str = "a `munmap` or `hole`";
const PROTECTED: &str = "an `mprotect`";

/// What the kernel is told of memory, as madvise(2) names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice(i32, &'static str);

impl Advice {
    pub const DONTNEED: Advice = Advice(libc::MADV_DONTNEED, "MADV_DONTNEED");
    pub const HUGEPAGE: Advice = Advice(libc::MADV_HUGEPAGE, "MADV_HUGEPAGE");
    pub const NOHUGEPAGE: Advice = Advice(libc::MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE");
    /// `MADV_COLLAPSE` of Linux 6.1.
    pub const COLLAPSE: Advice = Advice(25, "MADV_COLLAPSE");
    pub const REMOVE: Advice = Advice(libc::MADV_REMOVE, "MADV_REMOVE");
    pub const PAGEOUT: Advice = Advice(libc::MADV_PAGEOUT, "MADV_PAGEOUT");
    pub const COLD: Advice = Advice(libc::MADV_COLD, "MADV_COLD");
    pub const WILLNEED: Advice = Advice(libc::MADV_WILLNEED, "MADV_WILLNEED");
    pub const POPULATE_READ: Advice = Advice(libc::MADV_POPULATE_READ, "MADV_POPULATE_READ");
    pub const POPULATE_WRITE: Advice = Advice(libc::MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE");
}

/// Which way bytes are copied.
pub(super) enum Copied<'b> {
    Out(&'b mut [u8]),
    In(&'b [u8]),
}

impl Mapping {
    /// Takes `size` bytes at `offset` away from the process, as munmap(2) would: to touch them or to map them for a device fails with
    /// `EFAULT`. In the same call the addresses become a reservation, so that nothing else of this process can ever be there, where a
    /// device's mapping or a later step would take it for the region.
    pub fn unmap(&self, offset: u64, size: u64) -> Result<(), Errno> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let shown = "PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_FIXED";
        self.change(offset, size, ("mmap", shown), UNMAPPED, Some(State::Unmapped), |at, length| {
            // SAFETY: MAP_FIXED replaces whole pages of this mapping, as `change` has checked, to which no reference was ever lent; the
            // copies of this process are made by the kernel from now on.
            let got = unsafe { libc::mmap(at as *mut libc::c_void, length, libc::PROT_NONE, flags, -1, 0) };
            if got == libc::MAP_FAILED { -1 } else { 0 }
        })
    }

    /// Changes what the process may do with `size` bytes at `offset`; a device's mapping stays as it is.
    pub fn protect(&self, offset: u64, size: u64, prot: Prot) -> Result<(), Errno> {
        let (bits, state) = (prot.bits(), Some(State::Protected(prot)));
        self.change(offset, size, ("mprotect", prot.name()), PROTECTED, state, |at, length| {
            // SAFETY: these are pages of this mapping, to which no reference was ever lent; copies are made by the kernel from now on.
            unsafe { libc::mprotect(at as *mut libc::c_void, length, bits) }
        })
    }

    /// Moves `size` bytes at `offset` to the beginning of `to`, which is a reservation, as mremap(2) would: the same pages, at other
    /// addresses. Those that they had become a reservation in turn, and are never anything else's in between.
    pub fn move_to(&self, to: &Mapping, offset: u64, size: u64) -> Result<(), Errno> {
        let fits = to.kind == Kind::Reserved && to.len >= size && size > 0 && !Arc::ptr_eq(&self.changes, &to.changes);
        if !fits || self.is_device() {
            return Err(Errno(libc::EINVAL));
        }
        // The old addresses stay a mapping of ours, without pages, until they are a reservation.
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        let shown = format!("MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP, new_addr={:#x}", to.addr);
        let mut there = to.changes.write().unwrap_or_else(PoisonError::into_inner);
        self.change(offset, size, ("mremap", &shown), MOVED, None, |at, length| {
            // SAFETY: these are pages of this mapping, and the kernel checks that; the new addresses are of the reservation `to`, whose
            // length was checked. No reference to either was ever lent, and copies are made by the kernel from now on.
            let got =
                unsafe { libc::mremap(at as *mut libc::c_void, length, length, flags, to.addr as *mut libc::c_void) };
            if got == libc::MAP_FAILED { -1 } else { 0 }
        })?;
        there.last = Some(MOVED);
        let (from, target) = (self.range(offset, size), to.range(0, size.next_multiple_of(page_size())));
        if let Some(prot) = self.memory() {
            there.become_state(target.clone(), State::Protected(prot));
        }
        for (part, state) in &self.changes().parts {
            let (start, end) = (part.start.max(from.start), part.end.min(from.start + (target.end - target.start)));
            if start < end {
                let moved = |at| target.start + (at - from.start);
                there.parts.push((moved(start)..moved(end), *state));
            }
        }
        drop(there);
        self.unmap(offset, size)
    }

    /// Gives the kernel advice about `size` bytes at `offset`.
    pub fn advise(&self, offset: u64, size: u64, Advice(advice, name): Advice) -> Result<(), Errno> {
        self.change(offset, size, ("madvise", name), "an `madvise`", None, |at, length| {
            // SAFETY: these are pages of this mapping. Their content may change, and no reference to it was ever lent.
            unsafe { libc::madvise(at as *mut libc::c_void, length, advice) }
        })
    }

    /// Locks the pages of `size` bytes at `offset`, which puts memory behind them.
    pub fn lock(&self, offset: u64, size: u64) -> Result<(), Errno> {
        self.change(offset, size, ("mlock", ""), "an `mlock`", None, |at, length| {
            // SAFETY: these are pages of this mapping, and their content stays.
            unsafe { libc::mlock(at as *const libc::c_void, length) }
        })
    }

    /// Unlocks them.
    pub fn unlock(&self, offset: u64, size: u64) -> Result<(), Errno> {
        self.change(offset, size, ("munlock", ""), "a `munlock`", None, |at, length| {
            // SAFETY: these are pages of this mapping, and their content stays.
            unsafe { libc::munlock(at as *const libc::c_void, length) }
        })
    }

    /// Makes the file behind this mapping, and behind those [of the same file](Mapping::of_the_same_file), `size` bytes long.
    pub fn truncate(&self, file: BorrowedFd, size: u64) -> Result<(), Errno> {
        let run = || Ok(ftruncate(file, libc::off_t::try_from(size).map_err(|_| Errno(libc::EINVAL))?)?);
        self.change_file("ftruncate", format!("fd={}, length={size:#x}", file.as_raw_fd()), "a `truncate`", run)
    }

    /// Gives the memory of `size` bytes at `offset` of the file back: they read as zero, and the file stays as long as it is.
    pub fn punch_hole(&self, file: BorrowedFd, offset: u64, size: u64) -> Result<(), Errno> {
        let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let signed = |number| libc::off_t::try_from(number).map_err(|_| Errno(libc::EINVAL));
        let run = || Ok(fallocate(file, mode, signed(offset)?, signed(size)?)?);
        let shown = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
        let fields = format!("fd={}, {shown}, offset={offset:#x}, length={size:#x}", file.as_raw_fd());
        self.change_file("fallocate", fields, "a `punch_hole`", run)
    }

    /// Says that a forked process may have changed the file behind this mapping.
    pub fn changed_by_child(&self) {
        self.changes.write().unwrap_or_else(PoisonError::into_inner).last = Some("a `child`");
    }

    /// Says that this mapping is of the same file as another one, and may lose its memory with that.
    pub fn of_the_same_file(mut self, other: &Mapping) -> Mapping {
        self.changes = Arc::clone(&other.changes);
        self
    }

    /// Whether it is as it was made, so that it may be used again.
    pub fn is_unchanged(&self) -> bool {
        self.changes().are_none()
    }

    /// Whether there is memory, or a device's, in all of `size` bytes at `offset`; not where nothing was ever, or it was taken away.
    pub fn is_there(&self, offset: u64, size: u64) -> bool {
        let (range, changes) = (self.range(offset, size), self.changes());
        let mut pages = (range.start & !(page_size() - 1)..range.end).step_by(page_size() as usize);
        let mut was_moved_here = || pages.all(|at| changes.state(at).is_some());
        !changes.has_hole(range) && (self.kind != Kind::Reserved || was_moved_here())
    }

    /// What was done to these bytes, as messages name it, or last to the memory that they are in.
    pub fn done_to(&self, offset: u64, size: u64) -> Option<&'static str> {
        let (range, changes) = (self.range(offset, size), self.changes());
        let at = range.start;
        if changes.has_hole(range) {
            return Some(UNMAPPED);
        }
        match changes.state(at) {
            Some(State::Protected(_)) => Some(PROTECTED),
            Some(State::Unmapped) | None => changes.last,
        }
    }

    fn range(&self, offset: u64, size: u64) -> Range<u64> {
        let start = self.addr.saturating_add(offset);
        start..start.saturating_add(size)
    }

    pub(super) fn changes(&self) -> RwLockReadGuard<'_, Changes> {
        self.changes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the kernel copy memory that may not be there, through a pipe: an access that would be a signal is an errno.
    pub(super) fn copy_by_kernel(&self, changes: &Changes, at: u64, bytes: Copied) -> Result<(), Errno> {
        let (out, into) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let (own, length, writes) = match bytes {
            Copied::Out(bytes) => (bytes.as_mut_ptr() as u64, bytes.len(), false),
            Copied::In(bytes) => (bytes.as_ptr() as u64, bytes.len(), true),
        };
        let (from, to) = if writes { (own, at) } else { (at, own) };
        let (mut written, mut read) = (0, 0);
        while read < length {
            // SAFETY: the kernel reads at most the rest of `length` bytes from `from` on, which are of a slice that is borrowed
            // meanwhile, or of this mapping, as the caller has checked; where nothing is, it says so.
            let got = unsafe {
                libc::write(into.as_raw_fd(), (from + written as u64) as *const libc::c_void, length - written)
            };
            written += self.moved(got, changes, at..at + length as u64, writes)?;
            while read < written {
                // SAFETY: the kernel writes what is in the pipe, which is at most the rest of `length` bytes, from `to` on: to a slice
                // that is borrowed exclusively meanwhile, or to this mapping, to which there is no reference.
                let got =
                    unsafe { libc::read(out.as_raw_fd(), (to + read as u64) as *mut libc::c_void, written - read) };
                read += self.moved(got, changes, at..at + length as u64, writes)?;
            }
        }
        Ok(())
    }

    /// How many bytes were moved, or which signal an access to these addresses would have been, which the kernel does not say.
    fn moved(&self, got: isize, changes: &Changes, addresses: Range<u64>, writes: bool) -> Result<usize, Errno> {
        if let Ok(moved) = usize::try_from(got) {
            // An end of the pipe is open, so that there is always something to move.
            return if moved > 0 { Ok(moved) } else { Err(Errno(libc::EIO)) };
        }
        let errno = Errno::last();
        if errno != Errno(libc::EFAULT) {
            return Err(errno);
        }
        let is_allowed = |at| match changes.state(at) {
            Some(State::Unmapped) => false,
            Some(State::Protected(prot)) => prot.allows(writes),
            None => self.memory().is_some_and(|prot| prot.allows(writes)),
        };
        let first = addresses.start & !(page_size() - 1);
        let allowed = (first..addresses.end).step_by(page_size() as usize).all(is_allowed);
        Err(if allowed { Errno::SIGBUS } else { errno })
    }

    /// Makes a call that changes whole pages of this mapping. Our own copies wait for it.
    fn change(
        &self,
        offset: u64,
        size: u64,
        (call, shown): (&'static str, &str),
        name: &'static str,
        state: Option<State>,
        run: impl FnOnce(u64, usize) -> libc::c_int,
    ) -> Result<(), Errno> {
        let length = usize::try_from(size).map_err(|_| Errno(libc::EINVAL))?;
        let at = self.at(offset, length).filter(|_| size > 0).ok_or(Errno(libc::EINVAL))?;
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        changes.last = Some(name); // also if it fails midway
        let comma = if shown.is_empty() { "" } else { ", " };
        let fields = format!("addr={at:#x}, length={size:#x}{comma}{shown}");
        let checked = || if run(at, length) < 0 { Err(Errno::last()) } else { Ok(()) };
        self.tracer.call(call, fields, checked, zero)?;
        if let Some(state) = state {
            // The mapping ends with a whole page, whatever its length is.
            changes.become_state(at..(at + size).next_multiple_of(page_size()), state);
        }
        Ok(())
    }

    fn change_file(
        &self,
        call: &'static str,
        fields: String,
        name: &'static str,
        run: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        changes.last = Some(name);
        self.tracer.call(call, fields, run, zero)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::uapi::{Anonymous, FilePart, Placement, Tracer, memfd};

    const PAGE: u64 = 4096;
    const EFAULT: Errno = Errno(libc::EFAULT);
    const EINVAL: Errno = Errno(libc::EINVAL);

    fn memory(pages: u64) -> Mapping {
        let mapping = Mapping::anonymous(&Anonymous::new(pages * PAGE), &Tracer::new()).unwrap();
        mapping.populate().unwrap();
        mapping.write(0, &vec![7; (pages * PAGE) as usize]).unwrap();
        mapping
    }

    fn byte(mapping: &Mapping, offset: u64) -> Result<u8, Errno> {
        let mut byte = [0];
        mapping.read(offset, &mut byte).map(|()| byte[0])
    }

    #[test]
    fn what_was_unmapped_is_an_errno_and_the_rest_stays() {
        let mapping = memory(4);
        assert!(mapping.is_unchanged());
        mapping.unmap(PAGE, PAGE).unwrap();
        assert_eq!(byte(&mapping, PAGE), Err(EFAULT));
        assert_eq!(mapping.write(2 * PAGE - 1, &[1, 1]), Err(EFAULT));
        assert_eq!((byte(&mapping, 0), byte(&mapping, 2 * PAGE)), (Ok(7), Ok(7)));
        mapping.write(0, &[8]).unwrap();
        assert_eq!(byte(&mapping, 0), Ok(8));
        assert!(!mapping.is_unchanged() && !mapping.is_there(0, 2 * PAGE) && mapping.is_there(2 * PAGE, PAGE));
        assert_eq!(mapping.done_to(PAGE, 1), Some("a `munmap` or `hole`"));
        for (offset, size) in [(1, PAGE), (4 * PAGE, PAGE), (0, 0), (PAGE, u64::MAX), (3 * PAGE, 2 * PAGE)] {
            assert_eq!(mapping.unmap(offset, size), Err(EINVAL), "{offset} {size}");
        }
        // Nothing that is made afterwards gets the addresses.
        let others: Vec<Mapping> = (0..64).map(|_| memory(1)).collect();
        assert!(others.iter().all(|other| !mapping.contains(other.addr())));
        assert_eq!(byte(&mapping, PAGE), Err(EFAULT));
    }

    #[test]
    fn copies_follow_the_protection() {
        let mapping = memory(2);
        mapping.protect(0, PAGE, Prot::Read).unwrap();
        assert_eq!((byte(&mapping, 0), mapping.write(0, &[1])), (Ok(7), Err(EFAULT)));
        assert_eq!(mapping.write(PAGE, &[1]), Ok(()));
        mapping.protect(0, 2 * PAGE, Prot::None).unwrap();
        assert_eq!((byte(&mapping, 0), byte(&mapping, PAGE)), (Err(EFAULT), Err(EFAULT)));
        assert_eq!(mapping.done_to(0, 1), Some("an `mprotect`"));
        mapping.protect(0, 2 * PAGE, Prot::ReadWrite).unwrap();
        assert_eq!((byte(&mapping, PAGE), mapping.write(0, &[1])), (Ok(1), Ok(())));
    }

    #[test]
    fn what_is_given_back_reads_as_zero() {
        let mapping = memory(2);
        mapping.advise(PAGE, PAGE, Advice::DONTNEED).unwrap();
        assert_eq!((byte(&mapping, 0), byte(&mapping, PAGE)), (Ok(7), Ok(0)));
        assert_eq!(mapping.advise(0, PAGE, Advice::REMOVE), Err(EINVAL), "anonymous memory has no file");
        assert_eq!(mapping.advise(1, PAGE, Advice::DONTNEED), Err(EINVAL));
    }

    #[test]
    fn every_mapping_of_a_file_loses_what_the_file_loses() {
        let tracer = Tracer::new();
        let file = memfd("file", 3 * PAGE, None, &tracer).unwrap();
        let map = || {
            let (prot, placement) = (Prot::ReadWrite, Placement::default());
            let part = FilePart { offset: 0, size: 3 * PAGE, page: None, prot, private: false, placement };
            Mapping::of_file(file.as_fd(), &part, &tracer).unwrap()
        };
        let one = map();
        let two = map().of_the_same_file(&one);
        one.write(0, &[7; 3 * PAGE as usize]).unwrap();
        one.punch_hole(file.as_fd(), 0, PAGE).unwrap();
        assert_eq!((byte(&two, 0), byte(&two, PAGE)), (Ok(0), Ok(7)));
        one.truncate(file.as_fd(), 2 * PAGE).unwrap();
        assert_eq!((byte(&one, 2 * PAGE), byte(&two, 2 * PAGE)), (Err(Errno::SIGBUS), Err(Errno::SIGBUS)));
        assert_eq!(two.write(2 * PAGE - 1, &[1, 1]), Err(Errno::SIGBUS));
        assert_eq!(two.done_to(2 * PAGE, 1), Some("a `truncate`"));
        // To unmap it in one place takes nothing from the other.
        one.unmap(PAGE, PAGE).unwrap();
        assert_eq!((byte(&one, PAGE), byte(&two, PAGE)), (Err(EFAULT), Ok(7)));
        one.truncate(file.as_fd(), 3 * PAGE).unwrap();
        assert_eq!(byte(&two, 2 * PAGE), Ok(0));
        assert_eq!(one.truncate(file.as_fd(), u64::MAX), Err(EINVAL));
    }

    #[test]
    fn what_is_moved_is_the_same_elsewhere_and_nothing_where_it_was() {
        let (mapping, there) = (memory(4), Mapping::reserved(2 * PAGE, Placement::default(), &Tracer::new()).unwrap());
        mapping.protect(2 * PAGE, PAGE, Prot::Read).unwrap();
        mapping.move_to(&there, PAGE, 2 * PAGE).unwrap();
        assert_eq!((byte(&there, 0), byte(&there, PAGE)), (Ok(7), Ok(7)));
        assert_eq!((there.write(0, &[8]), there.write(PAGE, &[8])), (Ok(()), Err(EFAULT)), "with its protection");
        assert_eq!((byte(&mapping, 0), byte(&mapping, PAGE), byte(&mapping, 3 * PAGE)), (Ok(7), Err(EFAULT), Ok(7)));
        assert!(there.is_there(0, 2 * PAGE) && !mapping.is_there(PAGE, PAGE));
        // What was moved is changed as other memory is.
        there.unmap(0, PAGE).unwrap();
        assert_eq!((byte(&there, 0), byte(&there, PAGE)), (Err(EFAULT), Ok(7)));
        for (to, offset, size) in [(&there, 0, 4 * PAGE), (&there, 0, 0), (&mapping, 0, PAGE)] {
            assert_eq!(mapping.move_to(to, offset, size), Err(EINVAL));
        }
    }

    #[test]
    fn copies_of_other_threads_survive_a_change() {
        let mapping = memory(64);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..64).for_each(|page| mapping.unmap(page * PAGE, PAGE).unwrap()));
            let mut bytes = vec![0; 64 * PAGE as usize];
            while mapping.read(0, &mut bytes).is_ok() {}
        });
        assert!((0..64).all(|page| byte(&mapping, page * PAGE) == Err(EFAULT)));
    }
}
