// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `info`.

use super::prelude::*;

verb!(Info(InIoas));

impl Known for Info {
    const ABOUT: About = About {
        does: "Read what the IOMMU supports. Saves `page_sizes` (a bitmap; 0 if unknown), `dma_avail` and `iova_alignment` (none if unknown), \
            and `capabilities`: those of VFIO_IOMMU_GET_INFO by name, each with its fields; none on the backend iommufd.",
        examples: &["null", "{ ioas: other }"],
        saves: Saves::Fields(&["page_sizes", "dma_avail", "iova_alignment", "capabilities"]),
        reads: true,
        space: true,
        ..About::CALL
    };
}
