// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies into memory and out of it, and accesses to a device's registers.

use std::os::fd::{AsFd, AsRawFd};

use super::{Kind, Mapping, Prot, changes::Copied};
use crate::{
    model::Errno,
    uapi::{access::Width, bus::touch, system::page_size},
};

impl Mapping {
    /// Copies out of memory, anonymous or a file's, from `offset` bytes on. `EFAULT` beyond its end, if it is not readable, or if it
    /// is a device's, where a copy would be an access of unknown width. `SIGBUS` where its file does not reach any more.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Errno> {
        let from = self.at(offset, into.len()).filter(|_| !self.is_device()).ok_or(Errno(libc::EFAULT))?;
        let changes = self.changes();
        if !changes.are_none() {
            return self.copy_by_kernel(&changes, from, Copied::Out(into));
        }
        if !self.memory().is_some_and(|prot| prot.allows(false)) {
            return Err(Errno(libc::EFAULT));
        }
        // SAFETY: `at` says that these bytes lie in this mapping, which is readable memory, lives as long as self, and is not
        // changed while `changes` is held; no reference to it exists, and a device that writes meanwhile gives old or new bytes,
        // as for read(2).
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies into memory; errors as [`Mapping::read`].
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let to = self.at(offset, bytes.len()).filter(|_| !self.is_device()).ok_or(Errno(libc::EFAULT))?;
        let changes = self.changes();
        if !changes.are_none() {
            return self.copy_by_kernel(&changes, to, Copied::In(bytes));
        }
        if !self.memory().is_some_and(|prot| prot.allows(true)) {
            return Err(Errno(libc::EFAULT));
        }
        // SAFETY: `at` says that these bytes lie in this mapping, which is writable memory, lives as long as self, and is not
        // changed while `changes` is held; no reference to it exists, so nothing is written behind one.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    /// The address of a register of a device, to be accessed in that width.
    pub(in crate::uapi) fn register(&self, offset: u64, width: Width, write: bool) -> Result<u64, Errno> {
        let allowed = match self.kind {
            // Where a device was taken away, an access would be a signal, or would find nothing to put back.
            Kind::Device(_) if !self.is_unchanged() => false,
            Kind::Device(Prot::ReadWrite) => true,
            Kind::Device(Prot::Read) => !write,
            _ => false,
        };
        let at = self.at(offset, width.bytes()).filter(|_| allowed).ok_or(Errno(libc::EFAULT))?;
        if at.is_multiple_of(width.bytes() as u64) { Ok(at) } else { Err(Errno(libc::EINVAL)) }
    }

    /// Makes an access to a register at this address; [`Errno::SIGBUS`] if the device does not answer.
    pub(in crate::uapi) fn touch<T>(&self, at: u64, access: impl FnOnce() -> T) -> Result<T, Errno> {
        let page = at & !(page_size() - 1);
        touch(page, access).inspect_err(|_| self.put_back(page))
    }

    /// Maps the device again where a bus error left an empty page.
    fn put_back(&self, page: u64) {
        let Kind::Device(prot) = self.kind else { return };
        let (length, bits) = (page_size() as usize, prot.bits());
        let address = page as *mut libc::c_void;
        let got = match &self.device {
            Some((file, offset)) => {
                let offset = (offset + (page - self.addr)) as libc::off_t;
                let flags = libc::MAP_SHARED | libc::MAP_FIXED;
                // SAFETY: MAP_FIXED replaces a page of this mapping by what was there, and no reference to it was ever lent.
                unsafe { libc::mmap(address, length, bits, flags, file.as_fd().as_raw_fd(), offset) }
            }
            None => libc::MAP_FAILED,
        };
        if got == libc::MAP_FAILED {
            // Better no access than one to memory that is not the device's.
            // SAFETY: the page is of this mapping, and no reference to it was ever lent.
            unsafe { libc::mprotect(address, length, libc::PROT_NONE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi::{Anonymous, Placement, Tracer};

    const KIB: u64 = 1 << 10;

    #[test]
    fn what_is_written_is_read_back_and_nothing_beyond_the_end() {
        let memory = Mapping::anonymous(&Anonymous::new(4 * KIB), &Tracer::new()).unwrap();
        memory.populate().unwrap();
        memory.write(4 * KIB - 4, b"last").unwrap();
        let mut back = [0; 4];
        memory.read(4 * KIB - 4, &mut back).unwrap();
        assert_eq!(&back, b"last");
        assert_eq!(memory.write(4 * KIB - 3, b"last"), Err(Errno(libc::EFAULT)));
        assert_eq!(memory.read(u64::MAX, &mut back), Err(Errno(libc::EFAULT)));
    }

    #[test]
    fn protection_holds_for_our_own_copies_too() {
        let tracer = Tracer::new();
        let what = Anonymous { prot: Prot::Read, ..Anonymous::new(4 * KIB) };
        let read_only = Mapping::anonymous(&what, &tracer).unwrap();
        read_only.populate().unwrap();
        assert_eq!(read_only.write(0, b"x"), Err(Errno(libc::EFAULT)));
        assert_eq!(read_only.read(0, &mut [1]), Ok(()));
        let reserved = Mapping::reserved(4 * KIB, Placement::default(), &tracer).unwrap();
        assert_eq!(reserved.read(0, &mut [1]), Err(Errno(libc::EFAULT)));
    }
}
