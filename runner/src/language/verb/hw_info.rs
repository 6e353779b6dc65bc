// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `hw_info`.

use super::prelude::*;

verb!(HwInfo(NoArguments));

impl Known for HwInfo {
    const ABOUT: About = About {
        does: "Read what the IOMMU in front of the device can do; takes nothing. Saves `type` (1 VT-d, 2 SMMUv3, 4 AMD, 0 \
            any other), `capabilities`, `dirty_tracking` and `pasid_bits`.",
        examples: &["null"],
        saves: Saves::Fields(&["type", "capabilities", "dirty_tracking", "pasid_bits"]),
        device: true,
        iommufd: true,
        ..About::CALL
    };
}
