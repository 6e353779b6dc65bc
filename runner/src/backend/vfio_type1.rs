// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfio_type1_iommu`: a container on `/dev/vfio/vfio`, the first version (`drivers/vfio/vfio_iommu_type1.c`).

use super::rules::{Rules, Unmap};
use crate::{
    model::{BackendName, Errno},
    uapi::vfio,
};

pub(super) const RULES: Rules = Rules {
    file: "/dev/vfio/vfio",
    container: Some(vfio::TYPE1),
    played_by: Some(BackendName::CompatType1),
    unmap: Unmap::WholeFromStart,
    unmaps_pages: true,
    unmaps_nothing: true,
    old_overflow: true,
    dirty_pages: Some(Errno(libc::EACCES)),
    small_pages: false,
};
