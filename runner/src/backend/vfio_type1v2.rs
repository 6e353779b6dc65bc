// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfio_type1v2_iommu`: a container on `/dev/vfio/vfio`, the second version (`drivers/vfio/vfio_iommu_type1.c`).

use super::rules::{Rules, Unmap};
use crate::{model::BackendName, uapi::vfio};

pub(super) const RULES: Rules = Rules {
    file: "/dev/vfio/vfio",
    container: Some(vfio::TYPE1V2),
    played_by: Some(BackendName::CompatType1v2),
    unmap: Unmap::AllOrNothing,
    unmaps_pages: true,
    unmaps_nothing: true,
    old_overflow: true,
    dirty_pages: None,
    small_pages: false,
};
