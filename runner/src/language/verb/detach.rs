// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `detach`.

use super::prelude::*;

verb! {
    /// What `detach` takes.
    #[derive(Default)]
    #[schema("type": ["null", "object"])] // `- verb:` means all its defaults
    pub struct Detach {
        /// The PASID of which it is detached. By default the device itself is.
        #[example(1)]
        pub pasid: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
    }
}

impl Known for Detach {
    const ABOUT: About = About {
        does: "Detach the device, or a PASID of it. After the case it is attached to its own address space again, and none of its PASIDs is.",
        examples: &["null"],
        device: true,
        iommufd: true,
        ..About::CALL
    };
}
