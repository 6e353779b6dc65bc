//! A container: the backend of four of the five names.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Access, Info, Iommu, IovaRange};
use crate::uapi::{self, Errno, Tracer, vfio};

/// A container with one group in it: `/dev/vfio/vfio`, or `/dev/iommu` in that part.
#[derive(Debug)]
pub struct Container {
    /// Both are there until the drop.
    group: Option<OwnedFd>,
    container: Option<OwnedFd>,
    tracer: Tracer,
}

impl Container {
    pub(super) fn new(container: OwnedFd, group: OwnedFd, tracer: &Tracer) -> Container {
        Container { group: Some(group), container: Some(container), tracer: tracer.clone() }
    }

    /// The container's file.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.container.as_ref().expect("open until dropped").as_fd()
    }

    /// The group's file.
    pub fn group(&self) -> BorrowedFd<'_> {
        self.group.as_ref().expect("open until dropped").as_fd()
    }

    /// Whether this is the real TYPE1 driver: only it can update vaddrs. To be asked once the IOMMU is set.
    pub fn is_real_type1(&self) -> Result<bool, Errno> {
        vfio::check_extension(self.fd(), vfio::UPDATE_VADDR, &self.tracer).map(|answer| answer > 0)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            // A group that never came in gives EINVAL or ENOTTY, which says nothing new.
            let _ = vfio::group_unset_container(group.as_fd(), &self.tracer);
            uapi::close(group, &self.tracer);
        }
        if let Some(container) = self.container.take() {
            uapi::close(container, &self.tracer);
        }
    }
}

impl Iommu for Container {
    fn map(&self, vaddr: u64, iova: u64, size: u64, access: Access) -> Result<(), Errno> {
        vfio::map_dma(self.fd(), vaddr, iova, size, access, &self.tracer)
    }

    fn unmap(&self, iova: u64, size: u64) -> Result<u64, Errno> {
        vfio::unmap_dma(self.fd(), iova, size, &self.tracer)
    }

    fn unmap_all(&self) -> Result<u64, Errno> {
        vfio::unmap_dma_all(self.fd(), &self.tracer)
    }

    /// `EOPNOTSUPP` on a kernel that does not say.
    fn iova_ranges(&self) -> Result<Vec<IovaRange>, Errno> {
        vfio::iommu_info(self.fd(), &self.tracer)?.iova_ranges.ok_or(Errno(libc::EOPNOTSUPP))
    }

    fn info(&self) -> Result<Info, Errno> {
        let info = vfio::iommu_info(self.fd(), &self.tracer)?;
        Ok(Info {
            page_sizes: Some(info.page_sizes),
            dma_avail: info.dma_avail.map(u64::from),
            iova_alignment: None,
            migration: Some(info.migration),
        })
    }
}
