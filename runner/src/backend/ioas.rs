//! An I/O address space of IOMMUFD: the backend `iommufd`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Access, Info, Iommu, IovaRange};
use crate::uapi::{self, Errno, Tracer, iommufd};

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
        iommufd::ioas_map(self.fd(), self.id, vaddr, iova, size, access, &self.tracer)
    }

    fn unmap(&self, iova: u64, size: u64) -> Result<u64, Errno> {
        iommufd::ioas_unmap(self.fd(), self.id, iova, size, &self.tracer)
    }

    fn unmap_all(&self) -> Result<u64, Errno> {
        self.unmap(0, u64::MAX)
    }

    fn iova_ranges(&self) -> Result<Vec<IovaRange>, Errno> {
        Ok(iommufd::ioas_iova_ranges(self.fd(), self.id, &self.tracer)?.ranges)
    }

    fn info(&self) -> Result<Info, Errno> {
        let alignment = iommufd::ioas_iova_ranges(self.fd(), self.id, &self.tracer)?.alignment;
        Ok(Info { iova_alignment: Some(alignment), ..Info::default() })
    }
}
