// SPDX-License-Identifier: MIT OR Apache-2.0
//! `iommufd_compat_type1`: a container that `/dev/iommu` plays, the first version (`drivers/iommu/iommufd/vfio_compat.c`).

use super::rules::{Rules, Unmap};
use crate::{model::Errno, uapi::vfio};

pub(super) const RULES: Rules = Rules {
    file: "/dev/iommu",
    container: Some(vfio::TYPE1),
    played_by: None,
    unmap: Unmap::Cuts,
    unmaps_pages: false,
    unmaps_nothing: true,
    old_overflow: false,
    dirty_pages: Some(Errno(libc::ENOTTY)),
    small_pages: true,
};
