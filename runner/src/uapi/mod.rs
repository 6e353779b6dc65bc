// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel offers to user space: the requests of VFIO and IOMMUFD, memory mappings, and what an init does.
//!
//! The only unsafe code of the crate. Every request is one small function that keeps the errno and writes itself into a
//! [`Tracer`]. Structs and constants come from the bindings crates, which are generated from `include/uapi/linux/vfio.h`
//! and `iommufd.h`.

pub mod access;
mod bus;
pub mod dirty;
mod dmabuf;
pub mod fault;
mod file;
mod hot_reset;
pub mod hwpt;
pub mod inject;
mod ioctl;
pub mod iommufd;
pub mod irq;
pub mod limits;
mod memory;
pub mod process;
pub mod registers;
pub mod request;
pub mod signal;
pub mod system;
mod trace;
pub mod vfio;

pub use dmabuf::dma_buf;
pub use file::{close, open, open_again_to_read, temporary};
pub use hot_reset::{hot_reset, hot_reset_devices};
pub use limits::LockLimit;
pub use memory::{Advice, Anonymous, FilePart, Mapping, Placement, Prot, Seal, memfd, memfd_secret, seal};
pub use trace::{Call, Trace, Tracer, spent};
pub use vfio::VfToken;

/// Which way a device may move data through a mapping; [`iommufd`] and [`vfio`] have their own bits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Access {
    pub read: bool,
    pub write: bool,
}

impl Access {
    pub const READ_WRITE: Access = Access { read: true, write: true };
    pub const READ: Access = Access { read: true, write: false };
    pub const WRITE: Access = Access { read: false, write: true };
    /// Neither: every backend refuses such a mapping.
    pub const NONE: Access = Access { read: false, write: false };
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.read, self.write) {
            (true, true) => "READ|WRITE",
            (true, false) => "READ",
            (false, true) => "WRITE",
            (false, false) => "0",
        })
    }
}

/// A stretch of I/O virtual addresses, in bytes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct IovaRange {
    pub start: u64,
    /// The last address: the end is included, so that a range can reach the top of the address space.
    pub last: u64,
}
