// SPDX-License-Identifier: MIT OR Apache-2.0
//! The five ways to map memory for a device, behind one small trait.
//!
//! [`Space::open`] puts a device behind the backend of a name ([`crate::model::BackendName`]), and returns a [`Session`]: the device, and the address
//! space that it is attached to. A [`Container`] (VFIO's own, or the one that IOMMUFD emulates) and an [`Ioas`] implement [`Iommu`], which
//! is all that the engine needs to map and unmap. They issue the requests of [`crate::uapi`], and keep the kernel's errno.
//!
//! To begin, read [`Space::new`] and [`Space::open`]: they have the order in which each backend wants its files.
//!
//! What sets a backend apart is data: a file with its rules, and its row in [`Rules::of`].

mod compat_type1;
mod compat_type1v2;
mod container;
mod device;
mod error;
mod file;
mod ioas;
mod mappings;
mod model;
mod rules;
mod session;
mod vfio_type1;
mod vfio_type1v2;

pub use container::{Container, Group};
pub use device::{Device, Region};
pub use error::OpenError;
pub use ioas::Ioas;
pub use mappings::{Mapped, Mappings, Pages};
pub use model::{Answer, Model, ToCopy, ToMap, Whole};
pub use rules::{Rules, Unmap};
pub use session::{Inherited, Session, Space, config_space, disguised, look, while_locked};

use crate::model::{BackendName, Errno};
pub use crate::uapi::{Access, IovaRange, request::Decoded};

impl Rules {
    /// The rules of a backend.
    pub const fn of(name: BackendName) -> &'static Rules {
        match name {
            BackendName::VfioType1 => &vfio_type1::RULES,
            BackendName::VfioType1v2 => &vfio_type1v2::RULES,
            BackendName::CompatType1 => &compat_type1::RULES,
            BackendName::CompatType1v2 => &compat_type1v2::RULES,
            BackendName::Iommufd => &ioas::RULES,
        }
    }
}

/// An I/O address space: what all five backends can do, each with its own errnos.
pub trait Iommu: Send + Sync {
    /// Maps `size` bytes of this process's memory at `vaddr`, for devices at `iova`.
    fn map(&self, vaddr: u64, iova: u64, size: u64, access: Access) -> Result<(), Errno>;

    /// Unmaps `size` bytes at `iova`; returns the bytes that the kernel reports, which may be fewer or more.
    fn unmap(&self, iova: u64, size: u64) -> Result<u64, Errno>;

    /// Unmaps everything; returns the bytes that the kernel reports.
    fn unmap_all(&self) -> Result<u64, Errno>;

    /// The addresses that can be mapped, sorted.
    fn iova_ranges(&self) -> Result<Vec<IovaRange>, Errno>;

    /// What the kernel says of the address space.
    fn info(&self) -> Result<Info, Errno>;
}

/// What the kernel says of an address space; `None` where the backend has no such answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// A bit for each page size in bytes: bit 12 is 4 KiB. Containers only.
    pub page_sizes: Option<u64>,
    /// How many more mappings it takes. Containers only; the compat ones always say `u32::MAX`.
    pub dma_avail: Option<u64>,
    /// What an iova has to be a multiple of, in bytes. IOMMUFD only.
    pub iova_alignment: Option<u64>,
    /// Whether it has the migration capability. Containers only; true on the real TYPE1 alone.
    pub migration: Option<bool>,
    /// Its capabilities with what is in them. Containers only.
    pub capabilities: Option<Decoded>,
}
