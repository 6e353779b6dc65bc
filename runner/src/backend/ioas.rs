// SPDX-License-Identifier: MIT OR Apache-2.0
//! I/O address spaces of IOMMUFD: the backend `iommufd`.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use super::{
    Access, Info, Iommu, IovaRange,
    file::File,
    rules::{Rules, Unmap},
};
use crate::{
    model::Errno,
    uapi::{Tracer, iommufd},
};

pub(super) const RULES: Rules = Rules {
    file: "/dev/iommu",
    container: None,
    played_by: None,
    unmap: Unmap::InTurn,
    unmaps_pages: false,
    unmaps_nothing: false,
    old_overflow: false,
    dirty_pages: Some(Errno(libc::ENOTTY)),
    small_pages: false,
};

/// An address space by its id on a `/dev/iommu`, whether there is one or not. The file takes all its objects with it when the last of its
/// address spaces here is dropped.
#[derive(Debug, Clone)]
pub struct Ioas {
    iommufd: Arc<File>,
    id: u32,
}

impl Ioas {
    /// Takes over an open `/dev/iommu`, and makes an address space on it.
    pub(super) fn alloc(iommufd: OwnedFd, tracer: &Tracer) -> Result<Ioas, Errno> {
        let id = iommufd::ioas_alloc(iommufd.as_fd(), tracer)?;
        Ok(Ioas { iommufd: Arc::new(File::new(iommufd, tracer)), id })
    }

    /// An address space that is there already, on a file that this process inherited.
    pub(super) fn inherited(iommufd: OwnedFd, id: u32, tracer: &Tracer) -> Ioas {
        Ioas { iommufd: Arc::new(File::new(iommufd, tracer)), id }
    }

    /// The file of `/dev/iommu`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.iommufd.as_fd()
    }

    /// The address space's id on that file.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Another address space on the same file.
    pub fn space(&self, id: u32) -> Ioas {
        Ioas { id, ..self.clone() }
    }

    /// Maps as [`Iommu::map`] does, at an iova that the kernel chooses and that is returned.
    pub fn map_anywhere(&self, vaddr: u64, size: u64, access: Access) -> Result<u64, Errno> {
        iommufd::ioas_map(self.fd(), self.id, vaddr, None, size, access, &self.iommufd.tracer)
    }
}

impl Iommu for Ioas {
    fn map(&self, vaddr: u64, iova: u64, size: u64, access: Access) -> Result<(), Errno> {
        iommufd::ioas_map(self.fd(), self.id, vaddr, Some(iova), size, access, &self.iommufd.tracer).map(drop)
    }

    fn unmap(&self, iova: u64, size: u64) -> Result<u64, Errno> {
        iommufd::ioas_unmap(self.fd(), self.id, iova, size, &self.iommufd.tracer)
    }

    fn unmap_all(&self) -> Result<u64, Errno> {
        self.unmap(0, u64::MAX)
    }

    fn iova_ranges(&self) -> Result<Vec<IovaRange>, Errno> {
        Ok(iommufd::ioas_iova_ranges(self.fd(), self.id, &self.iommufd.tracer)?.ranges)
    }

    fn info(&self) -> Result<Info, Errno> {
        let alignment = iommufd::ioas_iova_ranges(self.fd(), self.id, &self.iommufd.tracer)?.alignment;
        Ok(Info { iova_alignment: Some(alignment), ..Info::default() })
    }
}
