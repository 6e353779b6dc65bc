// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registers: of a region through its device's file, such as the configuration space, and of a mapped BAR.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::uio::{pread, pwrite};

use super::{Mapping, Tracer, trace::zero, vfio::RegionInfo};
use crate::model::Errno;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    W8,
    W16,
    W32,
    W64,
}

impl Width {
    /// `None` unless `bits` is 8, 16, 32 or 64.
    pub fn from_bits(bits: u64) -> Option<Width> {
        [Width::W8, Width::W16, Width::W32, Width::W64].into_iter().find(|width| u64::from(width.bits()) == bits)
    }

    pub fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    pub fn bytes(self) -> usize {
        match self {
            Width::W8 => 1,
            Width::W16 => 2,
            Width::W32 => 4,
            Width::W64 => 8,
        }
    }

    pub fn max(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }
}

/// Reads a little-endian value from `offset` bytes into a region, by pread(2) on the device's file.
///
/// What lies beyond the region is the kernel's to refuse; `EIO` for fewer bytes than asked for, `EOVERFLOW` for an
/// offset that no file has.
pub fn region_read(
    device: BorrowedFd,
    region: &RegionInfo,
    offset: u64,
    width: Width,
    tracer: &Tracer,
) -> Result<u64, Errno> {
    let at = file_offset(region, offset)?;
    let mut bytes = [0; 8];
    let run = || {
        whole(pread(device, &mut bytes[..width.bytes()], at)?, width)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let fields =
        format!("fd={}, region={}, offset={offset:#x}, {} bits", device.as_raw_fd(), region.index, width.bits());
    tracer.call("pread", fields, run, |value| format!("{} {{value={value:#x}}}", width.bytes()))
}

/// Reads a whole region, as [`region_read`] does; of no more than 64 KiB.
pub fn region_bytes(device: BorrowedFd, region: &RegionInfo, tracer: &Tracer) -> Result<Vec<u8>, Errno> {
    let at = file_offset(region, 0)?;
    let mut bytes = vec![0; region.size.min(64 << 10) as usize];
    let run = || match pread(device, &mut bytes, at)? {
        length if length == bytes.len() => Ok(()),
        _ => Err(Errno(libc::EIO)),
    };
    let fields = format!("fd={}, region={}, offset=0x0, {} bytes", device.as_raw_fd(), region.index, region.size);
    tracer.call("pread", fields, run, |()| region.size.to_string())?;
    Ok(bytes)
}

/// Writes a little-endian value to `offset` bytes into a region, by pwrite(2) on the device's file.
///
/// `EINVAL` for a value that does not fit the width; otherwise as [`region_read`].
pub fn region_write(
    device: BorrowedFd,
    region: &RegionInfo,
    offset: u64,
    width: Width,
    value: u64,
    tracer: &Tracer,
) -> Result<(), Errno> {
    let at = file_offset(region, offset)?;
    if value > width.max() {
        return Err(Errno(libc::EINVAL));
    }
    let bytes = &value.to_le_bytes()[..width.bytes()];
    let run = || whole(pwrite(device, bytes, at)?, width);
    let fields = format!(
        "fd={}, region={}, offset={offset:#x}, {} bits, value={value:#x}",
        device.as_raw_fd(),
        region.index,
        width.bits()
    );
    tracer.call("pwrite", fields, run, |()| width.bytes().to_string())
}

/// Reads bytes of a file at `offset` by one pread(2), which may give fewer; `EOVERFLOW` for an offset that no file has.
pub fn read_at(file: BorrowedFd, offset: u64, into: &mut [u8], tracer: &Tracer) -> Result<usize, Errno> {
    let at = libc::off_t::try_from(offset).map_err(|_| Errno(libc::EOVERFLOW))?;
    let fields = format!("count={}, offset={offset:#x}", into.len());
    tracer.on_file(file, "pread", fields, || Ok(pread(file, into, at)?), |read| read.to_string())
}

/// Writes bytes to a file at `offset` by one pwrite(2), which may take fewer; `EOVERFLOW` as [`read_at`].
pub fn write_at(file: BorrowedFd, offset: u64, bytes: &[u8], tracer: &Tracer) -> Result<usize, Errno> {
    let at = libc::off_t::try_from(offset).map_err(|_| Errno(libc::EOVERFLOW))?;
    let fields = format!("count={}, offset={offset:#x}", bytes.len());
    tracer.on_file(file, "pwrite", fields, || Ok(pwrite(file, bytes, at)?), |written| written.to_string())
}

/// Reads a file from where it stands into memory, by one read(2), which may give fewer bytes. `EFAULT` where the memory cannot be written.
pub fn read_into(file: BorrowedFd, memory: &Mapping, offset: u64, size: u64, tracer: &Tracer) -> Result<u64, Errno> {
    let (to, length) = place(memory, offset, size)?;
    let run = || {
        // SAFETY: the bytes lie in this mapping, to which no reference exists, or where nothing can be written.
        counted(unsafe { libc::read(file.as_raw_fd(), to as *mut libc::c_void, length) })
    };
    tracer.on_file(file, "read", format!("addr={to:#x}, count={length}"), run, u64::to_string)
}

/// Writes memory to a file to where it stands, by one write(2), which may take fewer bytes. `EFAULT` where the memory cannot be read.
pub fn write_from(file: BorrowedFd, memory: &Mapping, offset: u64, size: u64, tracer: &Tracer) -> Result<u64, Errno> {
    let (from, length) = place(memory, offset, size)?;
    let run = || {
        // SAFETY: the bytes lie in this mapping, or where nothing can be read, and the kernel only reads them.
        counted(unsafe { libc::write(file.as_raw_fd(), from as *const libc::c_void, length) })
    };
    tracer.on_file(file, "write", format!("addr={from:#x}, count={length}"), run, u64::to_string)
}

/// The address of a part of memory that does not belong to a device, and its length.
fn place(memory: &Mapping, offset: u64, size: u64) -> Result<(u64, usize), Errno> {
    let length = usize::try_from(size).map_err(|_| Errno(libc::EFAULT))?;
    let at = memory.at(offset, length).filter(|_| !memory.is_device());
    at.map(|at| (at, length)).ok_or(Errno(libc::EFAULT))
}

fn counted(returned: isize) -> Result<u64, Errno> {
    u64::try_from(returned).map_err(|_| Errno::last())
}

fn file_offset(region: &RegionInfo, offset: u64) -> Result<libc::off_t, Errno> {
    let at = region.offset.checked_add(offset).ok_or(Errno(libc::EOVERFLOW))?;
    libc::off_t::try_from(at).map_err(|_| Errno(libc::EOVERFLOW))
}

fn whole(done: usize, width: Width) -> Result<(), Errno> {
    if done == width.bytes() { Ok(()) } else { Err(Errno(libc::EIO)) }
}

/// A mapped BAR's registers. If the device has its memory decoding switched off, an access fails with [`Errno::SIGBUS`].
impl Mapping {
    /// Reads a little-endian register of a mapped BAR, at `offset` bytes, in one access of that width.
    ///
    /// `EINVAL` unless `offset` is a multiple of the width; `EFAULT` beyond the end, if it is not readable, or if it is
    /// not a device's.
    pub fn mmio_read(&self, offset: u64, width: Width) -> Result<u64, Errno> {
        let fields = format!("offset={offset:#x}, {} bits", width.bits());
        self.tracer().call("mmio_read", fields, || self.load(offset, width), |value: &u64| format!("{value:#x}"))
    }

    /// Reads a part of a mapped BAR in accesses of 32 bits, in the order of the addresses.
    ///
    /// `EINVAL` unless `offset` and the length are multiples of 4; otherwise as [`Mapping::mmio_read`].
    pub fn mmio_copy_out(&self, offset: u64, into: &mut [u8]) -> Result<(), Errno> {
        let fields = format!("offset={offset:#x}, {} bytes in 32 bits", into.len());
        let run = || {
            let (words, rest) = into.as_chunks_mut::<4>();
            let mut reads = words.iter_mut().zip((offset..).step_by(4));
            if !rest.is_empty() {
                return Err(Errno(libc::EINVAL));
            }
            reads.try_for_each(|(word, at)| {
                *word = (self.load(at, Width::W32)? as u32).to_le_bytes();
                Ok(())
            })
        };
        self.tracer().call("mmio_read", fields, run, zero)
    }

    /// Writes a part of a mapped BAR, as [`Mapping::mmio_copy_out`] reads one.
    pub fn mmio_copy_in(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let fields = format!("offset={offset:#x}, {} bytes in 32 bits", bytes.len());
        let run = || {
            let (words, rest) = bytes.as_chunks::<4>();
            let mut writes = words.iter().zip((offset..).step_by(4));
            if !rest.is_empty() {
                return Err(Errno(libc::EINVAL));
            }
            writes.try_for_each(|(word, at)| self.store(at, Width::W32, u32::from_le_bytes(*word).into()))
        };
        self.tracer().call("mmio_write", fields, run, zero)
    }

    /// Writes 64 bytes to a mapped BAR in one piece, as a device takes a descriptor; [`can_submit`] says whether this processor can.
    ///
    /// `EINVAL` unless `offset` is a multiple of 64; otherwise as [`Mapping::mmio_write`].
    pub fn mmio_submit(&self, offset: u64, bytes: &[u8; 64]) -> Result<(), Errno> {
        let run = || {
            // The last register of the 64 bytes lies in the mapping, too.
            let at = self.register(offset, Width::W64, true)?;
            self.register(offset.saturating_add(56), Width::W64, true)?;
            if !at.is_multiple_of(64) || !can_submit() {
                return Err(Errno(libc::EINVAL));
            }
            self.touch(at, || submit(at, bytes))
        };
        self.tracer().call("mmio_submit", format!("offset={offset:#x}, 64 bytes"), run, zero)
    }

    fn load(&self, offset: u64, width: Width) -> Result<u64, Errno> {
        let at = self.register(offset, width, false)?;
        // SAFETY: `register` says that these bytes lie in this mapping of a device, readable and aligned for the
        // width; it lives as long as self, and no reference to it exists.
        self.touch(at, || unsafe {
            match width {
                Width::W8 => (at as *const u8).read_volatile().into(),
                Width::W16 => u16::from_le((at as *const u16).read_volatile()).into(),
                Width::W32 => u32::from_le((at as *const u32).read_volatile()).into(),
                Width::W64 => u64::from_le((at as *const u64).read_volatile()),
            }
        })
    }

    fn store(&self, offset: u64, width: Width, value: u64) -> Result<(), Errno> {
        if value > width.max() {
            return Err(Errno(libc::EINVAL));
        }
        let at = self.register(offset, width, true)?;
        // SAFETY: `register` says that these bytes lie in this mapping of a device, writable and aligned for the
        // width; it lives as long as self, and no reference to it exists, so nothing is written behind one.
        self.touch(at, || unsafe {
            match width {
                Width::W8 => (at as *mut u8).write_volatile(value as u8),
                Width::W16 => (at as *mut u16).write_volatile((value as u16).to_le()),
                Width::W32 => (at as *mut u32).write_volatile((value as u32).to_le()),
                Width::W64 => (at as *mut u64).write_volatile(value.to_le()),
            }
        })
    }

    /// Writes a little-endian register of a mapped BAR; errors as [`Mapping::mmio_read`], and `EINVAL` for a value that
    /// does not fit the width.
    pub fn mmio_write(&self, offset: u64, width: Width, value: u64) -> Result<(), Errno> {
        let fields = format!("offset={offset:#x}, {} bits, value={value:#x}", width.bits());
        self.tracer().call("mmio_write", fields, || self.store(offset, width, value), zero)
    }
}

/// Whether this processor writes 64 bytes in one piece (MOVDIR64B).
#[cfg(target_arch = "x86_64")]
pub fn can_submit() -> bool {
    use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
    // SAFETY: every x86-64 processor has this instruction, which only reads.
    #[allow(unused_unsafe)]
    let features = unsafe { (__get_cpuid_max(0).0 >= 7).then(|| __cpuid_count(7, 0).ecx) };
    features.is_some_and(|ecx| ecx & 1 << 28 != 0)
}

#[cfg(not(target_arch = "x86_64"))]
pub fn can_submit() -> bool {
    false
}

/// Writes 64 bytes in one piece to an address of a mapped BAR.
#[cfg(target_arch = "x86_64")]
fn submit(at: u64, bytes: &[u8; 64]) {
    // SAFETY: the caller asked `register` for all 64 bytes at `at`, which is a multiple of 64, and `can_submit` for the instruction:
    // `movdir64b rax, [rdx]`, in bytes for assemblers that do not know it.
    unsafe {
        std::arch::asm!(
            ".byte 0x66, 0x0f, 0x38, 0xf8, 0x02",
            in("rax") at,
            in("rdx") bytes.as_ptr(),
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn submit(_: u64, _: &[u8; 64]) {
    unreachable!("`can_submit` is false here")
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::uapi::{Anonymous, Placement, Prot, memfd};

    const EFAULT: Errno = Errno(libc::EFAULT);
    const EINVAL: Errno = Errno(libc::EINVAL);
    const PAGE: u64 = 4096;

    #[test]
    fn a_register_that_does_not_answer_is_a_bus_error_until_it_does() {
        let tracer = Tracer::new();
        // A file that ends before its mapping stands in for a device whose memory is switched off.
        let file = memfd("registers", PAGE, None, &tracer).unwrap();
        let bar = Mapping::device(file.as_fd(), 0, 2 * PAGE, Prot::ReadWrite, Placement::default(), &tracer).unwrap();
        for _ in 0..2 {
            assert_eq!(bar.mmio_read(PAGE + 8, Width::W32), Err(Errno::SIGBUS));
            assert_eq!(bar.mmio_write(PAGE + 8, Width::W32, 5), Err(Errno::SIGBUS));
            bar.mmio_write(8, Width::W32, 7).unwrap();
            assert_eq!(bar.mmio_read(8, Width::W32), Ok(7));
        }
        nix::unistd::ftruncate(&file, 2 * PAGE as i64).unwrap();
        bar.mmio_write(PAGE + 8, Width::W32, 9).unwrap();
        assert_eq!(bar.mmio_read(PAGE + 8, Width::W32), Ok(9));
        assert!(tracer.take().lines.iter().any(|line| line.contains("SIGBUS")));
    }

    #[test]
    fn a_register_is_read_as_wide_as_it_was_written() {
        let tracer = Tracer::new();
        // A file stands in for a device.
        let file = memfd("registers", PAGE, None, &tracer).unwrap();
        let bar = Mapping::device(file.as_fd(), 0, PAGE, Prot::ReadWrite, Placement::default(), &tracer).unwrap();
        bar.mmio_write(8, Width::W64, 0x8877_6655_4433_2211).unwrap();
        assert_eq!(bar.mmio_read(8, Width::W8), Ok(0x11));
        assert_eq!(bar.mmio_read(10, Width::W16), Ok(0x4433));
        assert_eq!(bar.mmio_read(12, Width::W32), Ok(0x8877_6655));
        bar.mmio_write(12, Width::W16, 0xaaaa).unwrap();
        assert_eq!(bar.mmio_read(8, Width::W64), Ok(0x8877_aaaa_4433_2211));
        // The same bytes through the file.
        let region = RegionInfo { index: 0, flags: 3, size: PAGE, offset: 8 };
        assert_eq!(region_read(file.as_fd(), &region, 2, Width::W32, &tracer), Ok(0xaaaa_4433));
        region_write(file.as_fd(), &region, 0, Width::W8, 0xff, &tracer).unwrap();
        assert_eq!(bar.mmio_read(8, Width::W32), Ok(0x4433_22ff));
        let lines = tracer.take().lines;
        assert_eq!(lines.last().unwrap(), "mmio_read(offset=0x8, 32 bits) = 0x443322ff");
        let line = format!("pread(fd={}, region=0, offset=0x2, 32 bits) = 4 {{value=0xaaaa4433}}", file.as_raw_fd());
        assert!(lines.contains(&line), "{lines:#?}");
    }

    #[test]
    fn what_is_no_register_is_refused() {
        let tracer = Tracer::new();
        let file = memfd("registers", PAGE, None, &tracer).unwrap();
        let bar = Mapping::device(file.as_fd(), 0, PAGE, Prot::Read, Placement::default(), &tracer).unwrap();
        assert_eq!(bar.mmio_read(2, Width::W32), Err(EINVAL));
        assert_eq!(bar.mmio_read(PAGE, Width::W8), Err(EFAULT));
        assert_eq!(bar.mmio_read(u64::MAX - 7, Width::W64), Err(EFAULT));
        assert_eq!(bar.mmio_write(0, Width::W32, 1), Err(EFAULT), "it is mapped to be read only");
        assert_eq!(bar.mmio_write(0, Width::W8, 256), Err(EINVAL));
        let memory = Mapping::anonymous(&Anonymous::new(PAGE), &tracer).unwrap();
        assert_eq!(memory.mmio_read(0, Width::W32), Err(EFAULT), "memory is copied, not accessed");
        let region = RegionInfo { index: 0, flags: 3, size: PAGE, offset: PAGE - 2 };
        assert_eq!(region_read(file.as_fd(), &region, 0, Width::W32, &tracer), Err(Errno(libc::EIO)));
        let overflow = Err(Errno(libc::EOVERFLOW));
        assert_eq!(region_read(file.as_fd(), &region, u64::MAX, Width::W8, &tracer), overflow);
        assert_eq!(region_write(file.as_fd(), &region, 0, Width::W16, 0x1_0000, &tracer), Err(EINVAL));
    }

    #[test]
    fn a_part_of_a_bar_is_copied_in_words() {
        let tracer = Tracer::new();
        let file = memfd("bar", PAGE, None, &tracer).unwrap();
        let bar = Mapping::device(file.as_fd(), 0, 2 * PAGE, Prot::ReadWrite, Placement::default(), &tracer).unwrap();
        bar.mmio_copy_in(8, b"twelve bytes").unwrap();
        let mut bytes = [0xff; 20];
        bar.mmio_copy_out(4, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0twelve bytes\0\0\0\0");
        for (offset, length) in [(2, 8), (4, 6)] {
            assert_eq!(bar.mmio_copy_out(offset, &mut bytes[..length]), Err(EINVAL), "{offset} {length}");
            assert_eq!(bar.mmio_copy_in(offset, &bytes[..length]), Err(EINVAL), "{offset} {length}");
        }
        assert_eq!(bar.mmio_copy_in(PAGE - 4, &[0; 8]), Err(Errno::SIGBUS), "the device ends there");
        assert_eq!(bar.mmio_copy_out(2 * PAGE - 4, &mut bytes[..8]), Err(Errno::SIGBUS));
        assert_eq!(bar.mmio_copy_out(2 * PAGE, &mut bytes[..8]), Err(EFAULT));
    }

    #[test]
    fn a_descriptor_is_written_in_one_piece_or_not_at_all() {
        let tracer = Tracer::new();
        let file = memfd("portal", PAGE, None, &tracer).unwrap();
        let bar = Mapping::device(file.as_fd(), 0, PAGE, Prot::ReadWrite, Placement::default(), &tracer).unwrap();
        let bytes: [u8; 64] = std::array::from_fn(|at| at as u8);
        assert_eq!(bar.mmio_submit(8, &bytes), Err(EINVAL));
        assert_eq!(bar.mmio_submit(PAGE, &bytes), Err(EFAULT));
        let expected = if can_submit() { Ok(()) } else { Err(EINVAL) };
        assert_eq!(bar.mmio_submit(64, &bytes), expected);
        let mut read = [0; 64];
        bar.mmio_copy_out(64, &mut read).unwrap();
        assert_eq!(read, if can_submit() { bytes } else { [0; 64] });
    }

    #[test]
    fn bytes_are_read_and_written_as_far_as_a_file_goes() {
        let tracer = Tracer::new();
        let file = memfd("bytes", PAGE, None, &tracer).unwrap();
        assert_eq!(write_at(file.as_fd(), PAGE - 4, b"last", &tracer), Ok(4));
        let mut bytes = [0xff; 8];
        assert_eq!(read_at(file.as_fd(), PAGE - 4, &mut bytes, &tracer), Ok(4));
        assert_eq!(&bytes, b"last\xff\xff\xff\xff");
        assert_eq!(read_at(file.as_fd(), PAGE, &mut bytes, &tracer), Ok(0));
        assert_eq!(read_at(file.as_fd(), 1 << 63, &mut bytes, &tracer), Err(Errno(libc::EOVERFLOW)));
        // A private mapping is a copy: what is written to it stays in it.
        let copy = Mapping::private(file.as_fd(), 0, PAGE, Prot::ReadWrite, &tracer).unwrap();
        copy.mmio_write(PAGE - 4, Width::W32, 0).unwrap();
        assert_eq!(read_at(file.as_fd(), PAGE - 4, &mut bytes[..4], &tracer), Ok(4));
        assert_eq!(&bytes[..4], b"last");
    }

    #[test]
    fn a_width_is_one_of_four() {
        assert_eq!(
            [8, 16, 32, 64].map(|bits| Width::from_bits(bits).unwrap().max()),
            [0xff, 0xffff, 0xffff_ffff, u64::MAX]
        );
        assert_eq!(Width::from_bits(24), None);
    }
}
