// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system call itself, for the modules beside this one.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::model::Errno;

/// `_IO(';', nr)`: VFIO and IOMMUFD share the type, and encode neither direction nor size in the number.
pub(super) const fn io(nr: u32) -> u32 {
    (b';' as u32) << 8 | nr
}

/// A request whose argument is a struct. Gives the non-negative return value.
///
/// # Safety
/// `request` must take a `T`, must write nothing beyond it (its `argsz` or `size` field may not claim more than is
/// there), and any address inside it that the kernel follows must be valid for what the kernel does with it.
pub(super) unsafe fn with_struct<T: ?Sized>(fd: BorrowedFd, request: u32, arg: &mut T) -> Result<i32, Errno> {
    let pointer = std::ptr::from_mut(arg).cast::<libc::c_void>();
    // SAFETY: the caller promises that the request fits the struct; the pointer is that of a live exclusive reference.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, pointer) })
}

/// A request whose argument is a number, or none at all (0).
///
/// # Safety
/// `request` must not take its argument for an address.
pub(super) unsafe fn with_value(fd: BorrowedFd, request: u32, value: u64) -> Result<i32, Errno> {
    // SAFETY: the caller promises that the kernel does not follow the number as an address.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, value) })
}

/// A request whose argument is an address, or may be taken for one.
///
/// # Safety
/// Whatever the request may be on this file, what it does at that address must be fine: all that it reads and writes there,
/// and at any address that it finds there.
pub(super) unsafe fn with_address(fd: BorrowedFd, request: u32, addr: u64) -> Result<i32, Errno> {
    // SAFETY: the caller promises that the kernel may do at the address what the request does.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, addr) })
}

fn checked(returned: i32) -> Result<i32, Errno> {
    if returned < 0 { Err(Errno::last()) } else { Ok(returned) }
}
