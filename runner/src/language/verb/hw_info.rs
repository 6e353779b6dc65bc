// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `hw_info`.

use super::prelude::*;

verb!(HwInfo(NoArguments));

impl Known for HwInfo {
    const ABOUT: About = About {
        does: "Read what the IOMMU in front of the device can do; takes nothing. Saves `type` (`INTEL_VTD`, `ARM_SMMUV3`, `AMD`, … or \
            `NONE`), `capabilities` by name, `dirty_tracking` and `pasid_bits`.",
        examples: &["null"],
        saves: Saves::Fields(&["type", "capabilities", "dirty_tracking", "pasid_bits"]),
        device: true,
        iommufd: true,
        reads: true,
        ..About::CALL
    };
}
