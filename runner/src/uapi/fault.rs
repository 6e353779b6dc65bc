// SPDX-License-Identifier: MIT OR Apache-2.0
//! The queue of IOMMUFD that page requests of devices arrive in (`IOMMU_FAULT_QUEUE_ALLOC`), and the answers to them.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use iommufd_bindings as sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

use super::{Tracer, signal, trace::zero};
use crate::model::Errno;

/// The bytes of a `struct iommu_hwpt_pgfault`.
const SIZE: usize = size_of::<sys::iommu_hwpt_pgfault>();
/// How many requests are read at once: a group of them is read whole or not at all.
const MOST: usize = 64;
/// How often an interrupt is looked for, in milliseconds.
const TICK: u16 = 50;

/// A page that a device asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub dev_id: u32,
    pub pasid: Option<u32>,
    pub group: u32,
    /// Whether it is the last one of its group, which is answered as a whole.
    pub last: bool,
    pub read: bool,
    pub write: bool,
    pub addr: u64,
    pub cookie: u32,
}

impl Fault {
    fn parse(bytes: &[u8]) -> Fault {
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let (flags, perm) = (word(0), word(16));
        let has_pasid = flags & sys::iommu_hwpt_pgfault_flags_IOMMU_PGFAULT_FLAGS_PASID_VALID != 0;
        Fault {
            dev_id: word(4),
            pasid: has_pasid.then(|| word(8)),
            group: word(12),
            last: flags & sys::iommu_hwpt_pgfault_flags_IOMMU_PGFAULT_FLAGS_LAST_PAGE != 0,
            read: perm & sys::iommu_hwpt_pgfault_perm_IOMMU_PGFAULT_PERM_READ != 0,
            write: perm & sys::iommu_hwpt_pgfault_perm_IOMMU_PGFAULT_PERM_WRITE != 0,
            addr: u64::from_ne_bytes(bytes[24..32].try_into().expect("eight bytes")),
            cookie: word(36),
        }
    }
}

/// Waits until there are requests in a queue, and takes them. `ETIMEDOUT` if none arrives in time.
pub fn take(queue: BorrowedFd, patience: Duration, tracer: &Tracer) -> Result<Vec<Fault>, Errno> {
    let run = || {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now()).as_millis().min(TICK.into());
            let tick = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(queue, PollFlags::POLLIN)], tick) {
                Ok(1..) => break,
                _ if signal::interrupted().is_some() => return Err(Errno(libc::EINTR)),
                _ if Instant::now() >= end => return Err(Errno(libc::ETIMEDOUT)),
                _ => {}
            }
        }
        let mut bytes = [0; SIZE * MOST];
        let length = read(queue, &mut bytes)?;
        Ok(bytes[..length].chunks_exact(SIZE).map(Fault::parse).collect())
    };
    let fields = format!("fd={}, {} bytes", queue.as_raw_fd(), SIZE * MOST);
    tracer.call("read", fields, run, |faults: &Vec<Fault>| format!("{} {faults:?}", faults.len() * SIZE))
}

/// Answers the requests of a group, by its cookie.
pub fn answer(queue: BorrowedFd, cookie: u32, succeeds: bool, tracer: &Tracer) -> Result<(), Errno> {
    let (code, name) = match succeeds {
        true => (sys::iommufd_page_response_code_IOMMUFD_PAGE_RESP_SUCCESS, "SUCCESS"),
        false => (sys::iommufd_page_response_code_IOMMUFD_PAGE_RESP_INVALID, "INVALID"),
    };
    let bytes: Vec<u8> = [cookie, code].into_iter().flat_map(u32::to_ne_bytes).collect();
    let run = || Ok(write(queue, &bytes).map(drop)?);
    tracer.call("write", format!("fd={}, cookie={cookie}, code={name}", queue.as_raw_fd()), run, zero)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn requests_are_read_as_the_kernel_writes_them() {
        let (queue, mut kernel) = std::io::pipe().unwrap();
        let tracer = Tracer::new();
        let none = take(queue.as_fd(), Duration::from_millis(1), &tracer);
        assert_eq!(none, Err(Errno(libc::ETIMEDOUT)));
        let words = |flags, perm, addr: u64| {
            let head = [flags, 2, 5, 9, perm, 0].into_iter().flat_map(u32::to_ne_bytes);
            let tail = [0, 77].into_iter().flat_map(u32::to_ne_bytes);
            head.chain(addr.to_ne_bytes()).chain(tail).collect::<Vec<u8>>()
        };
        kernel.write_all(&[words(1, 1, 0x1000), words(3, 3, 0xffff_f000)].concat()).unwrap();
        let first = Fault {
            dev_id: 2,
            pasid: Some(5),
            group: 9,
            last: false,
            read: true,
            write: false,
            addr: 0x1000,
            cookie: 77,
        };
        let second = Fault { last: true, write: true, addr: 0xffff_f000, ..first };
        assert_eq!(take(queue.as_fd(), Duration::from_secs(1), &tracer), Ok(vec![first, second]));
        kernel.write_all(&words(2, 2, 0)).unwrap();
        let third = take(queue.as_fd(), Duration::from_secs(1), &tracer).unwrap()[0];
        assert_eq!((third.pasid, third.read, third.write), (None, false, true));
    }
}
