// SPDX-License-Identifier: MIT OR Apache-2.0
//! What sets the backends apart, as data: the one file each holds its [`Rules`].

use crate::model::{BackendName, Errno};

/// What sets a backend apart. Each has a file with its rules, and a row of [`Rules::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The file that an address space is opened on.
    pub file: &'static str,
    /// The kind of IOMMU that its container is set to, such as [`crate::uapi::vfio::TYPE1`]; `None` for an address space of IOMMUFD,
    /// which devices are attached to by their own files.
    pub container: Option<u32>,
    /// The backend that answers in its place where IOMMUFD plays its file (`CONFIG_IOMMUFD_VFIO_CONTAINER`).
    pub played_by: Option<BackendName>,
    pub unmap: Unmap,
    /// Whether an unmap takes only whole pages.
    pub unmaps_pages: bool,
    /// Whether an unmap succeeds where nothing is mapped.
    pub unmaps_nothing: bool,
    /// Whether a range that ends beyond 64 bits was refused as any other wrong one is, before Linux 6.18.
    pub old_overflow: bool,
    /// What requests about the pages that devices wrote fail with on its container.
    pub dirty_pages: Option<Errno>,
    /// Whether an entry of the page table is never larger than a page, so that any part of a mapping can be unmapped.
    pub small_pages: bool,
}

/// What an unmap does to a range that cuts mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Unmap {
    /// Nothing where the range begins within a mapping; otherwise it takes every mapping that begins in the range, whole.
    WholeFromStart,
    /// It fails, and nothing is unmapped.
    AllOrNothing,
    /// It cuts the mappings at the ends of the range.
    Cuts,
    /// It goes from mapping to mapping, and fails with `ENOENT` at the first that is not whole in the range: those before are gone.
    InTurn,
}
