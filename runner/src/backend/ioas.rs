// SPDX-License-Identifier: MIT OR Apache-2.0
//! I/O address spaces of IOMMUFD: the backend `iommufd`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::rules::{Rules, Unmap};
use super::{Access, Info, Iommu, IovaRange};
use crate::{
    model::Errno,
    uapi::{self, Tracer, iommufd},
};

/// What sets the backend apart.
pub(super) const RULES: Rules = Rules { file: "/dev/iommu", container: None, played_by: None, unmap: Unmap::InTurn };

/// An IOAS on a `/dev/iommu` of its own, which goes with it.
#[derive(Debug)]
pub struct Ioas {
    /// There until the drop.
    iommufd: Option<OwnedFd>,
    id: u32,
    tracer: Tracer,
}

impl Ioas {
    /// Takes over an open `/dev/iommu`, and makes an address space on it.
    pub(super) fn alloc(iommufd: OwnedFd, tracer: &Tracer) -> Result<Ioas, Errno> {
        let id = iommufd::ioas_alloc(iommufd.as_fd(), tracer)?;
        Ok(Ioas { iommufd: Some(iommufd), id, tracer: tracer.clone() })
    }

    /// The file of `/dev/iommu`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.iommufd.as_ref().expect("open until dropped").as_fd()
    }

    /// The address space's id on that file.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// An address space on the same file: this one, or another by its id.
    pub fn space(&self, id: u32) -> IoasRef<'_> {
        IoasRef { iommufd: self.fd(), id, tracer: &self.tracer }
    }
}

impl Drop for Ioas {
    fn drop(&mut self) {
        // The file takes all its objects with it.
        if let Some(iommufd) = self.iommufd.take() {
            uapi::close(iommufd, &self.tracer);
        }
    }
}

impl Iommu for Ioas {
    fn map(&self, vaddr: u64, iova: u64, size: u64, access: Access) -> Result<(), Errno> {
        self.space(self.id).map(vaddr, iova, size, access)
    }

    fn unmap(&self, iova: u64, size: u64) -> Result<u64, Errno> {
        self.space(self.id).unmap(iova, size)
    }

    fn unmap_all(&self) -> Result<u64, Errno> {
        self.space(self.id).unmap_all()
    }

    fn iova_ranges(&self) -> Result<Vec<IovaRange>, Errno> {
        self.space(self.id).iova_ranges()
    }

    fn info(&self) -> Result<Info, Errno> {
        self.space(self.id).info()
    }
}

/// An address space by its id, whether there is one or not.
#[derive(Debug, Clone, Copy)]
pub struct IoasRef<'a> {
    iommufd: BorrowedFd<'a>,
    id: u32,
    tracer: &'a Tracer,
}

impl IoasRef<'_> {
    /// Maps as [`Iommu::map`] does, at an iova that the kernel chooses and that is returned.
    pub fn map_anywhere(&self, vaddr: u64, size: u64, access: Access) -> Result<u64, Errno> {
        iommufd::ioas_map(self.iommufd, self.id, vaddr, None, size, access, self.tracer)
    }
}

impl Iommu for IoasRef<'_> {
    fn map(&self, vaddr: u64, iova: u64, size: u64, access: Access) -> Result<(), Errno> {
        iommufd::ioas_map(self.iommufd, self.id, vaddr, Some(iova), size, access, self.tracer).map(drop)
    }

    fn unmap(&self, iova: u64, size: u64) -> Result<u64, Errno> {
        iommufd::ioas_unmap(self.iommufd, self.id, iova, size, self.tracer)
    }

    fn unmap_all(&self) -> Result<u64, Errno> {
        self.unmap(0, u64::MAX)
    }

    fn iova_ranges(&self) -> Result<Vec<IovaRange>, Errno> {
        Ok(iommufd::ioas_iova_ranges(self.iommufd, self.id, self.tracer)?.ranges)
    }

    fn info(&self) -> Result<Info, Errno> {
        let alignment = iommufd::ioas_iova_ranges(self.iommufd, self.id, self.tracer)?.alignment;
        Ok(Info { iova_alignment: Some(alignment), ..Info::default() })
    }
}
