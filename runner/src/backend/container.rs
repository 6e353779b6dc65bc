// SPDX-License-Identifier: MIT OR Apache-2.0
//! A container: the backend of four of the five names.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Access, Info, Iommu, IovaRange, error::OpenCall, file::File};
use crate::{
    model::Errno,
    uapi::{self, Tracer, vfio},
};

/// A container with its groups: `/dev/vfio/vfio`, or `/dev/iommu` in that part.
#[derive(Debug)]
pub struct Container {
    file: File,
    /// The kind of IOMMU that it gets with its first group.
    kind: u32,
    groups: Mutex<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    open: Vec<(u32, Weak<Group>)>,
    /// Whether the container has its IOMMU: it comes with the first group and goes with the last one.
    set: bool,
}

/// A group in a container. The last of its devices takes it out.
#[derive(Debug)]
pub struct Group {
    number: u32,
    /// There until the drop.
    file: Option<File>,
    container: Arc<Container>,
}

/// A call on the way of a group into its container, and what it failed with.
pub(super) enum NoGroup {
    Call(OpenCall, Errno),
    NotViable,
}

impl Container {
    pub(super) fn new(container: OwnedFd, kind: u32, tracer: &Tracer) -> Container {
        Container { file: File::new(container, tracer), kind, groups: Mutex::default() }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether this is the real TYPE1 driver: only it can update vaddrs. To be asked once the IOMMU is set.
    pub fn is_real_type1(&self) -> Result<bool, Errno> {
        vfio::check_extension(self.fd(), vfio::UPDATE_VADDR, &self.file.tracer).map(|answer| answer > 0)
    }

    /// The group of this number in this container: the one that is there, or one that is opened and put in.
    pub(super) fn group(self: &Arc<Self>, number: u32, path: &Path) -> Result<Arc<Group>, NoGroup> {
        let mut groups = loop {
            let groups = self.groups();
            match groups.open.iter().find(|(open, _)| *open == number).map(|(_, group)| group.upgrade()) {
                None => break groups,
                Some(Some(group)) => return Ok(group),
                // Another thread is about to take it out, for which it needs the lock.
                Some(None) => drop(groups),
            }
            std::thread::yield_now();
        };
        let tracer = &self.file.tracer;
        let failed = |call| move |errno| NoGroup::Call(call, errno);
        let file = File::new(uapi::open(path, tracer).map_err(failed(OpenCall::Open))?, tracer);
        let status = vfio::group_status(file.as_fd(), tracer).map_err(failed(OpenCall::GroupStatus))?;
        if !status.viable {
            return Err(NoGroup::NotViable);
        }
        vfio::group_set_container(file.as_fd(), self.fd(), tracer).map_err(failed(OpenCall::SetContainer))?;
        if !groups.set {
            if let Err(errno) = vfio::set_iommu(self.fd(), self.kind, tracer) {
                leave(file);
                return Err(NoGroup::Call(OpenCall::SetIommu, errno));
            }
            groups.set = true;
        }
        let group = Arc::new(Group { number, file: Some(file), container: self.clone() });
        groups.open.push((number, Arc::downgrade(&group)));
        Ok(group)
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_ref().expect("open until dropped").as_fd()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut groups = self.container.groups();
        self.file.take().into_iter().for_each(leave);
        groups.open.retain(|(number, _)| *number != self.number);
        groups.set = !groups.open.is_empty();
    }
}

/// Takes a group out of its container and closes it.
fn leave(group: File) {
    // A group that never came in fails with EINVAL or ENOTTY, which says nothing new.
    let _ = vfio::group_unset_container(group.as_fd(), &group.tracer);
}

impl Iommu for Container {
    fn map(&self, vaddr: u64, iova: u64, size: u64, access: Access) -> Result<(), Errno> {
        vfio::map_dma(self.fd(), vaddr, iova, size, access, &self.file.tracer)
    }

    fn unmap(&self, iova: u64, size: u64) -> Result<u64, Errno> {
        vfio::unmap_dma(self.fd(), iova, size, &self.file.tracer)
    }

    fn unmap_all(&self) -> Result<u64, Errno> {
        vfio::unmap_dma_all(self.fd(), &self.file.tracer)
    }

    /// `EOPNOTSUPP` on a kernel that does not say.
    fn iova_ranges(&self) -> Result<Vec<IovaRange>, Errno> {
        vfio::iommu_info(self.fd(), &self.file.tracer)?.iova_ranges.ok_or(Errno(libc::EOPNOTSUPP))
    }

    fn info(&self) -> Result<Info, Errno> {
        let info = vfio::iommu_info(self.fd(), &self.file.tracer)?;
        Ok(Info {
            page_sizes: Some(info.page_sizes),
            dma_avail: info.dma_avail.map(u64::from),
            iova_alignment: None,
            migration: Some(info.migration),
            capabilities: info.capabilities,
        })
    }
}
