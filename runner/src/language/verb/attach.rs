// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `attach`.

use super::prelude::*;

verb! {
    /// What `attach` takes.
    #[derive(Default)]
    #[schema("type": ["null", "object"])] // `- verb:` means all its defaults
    pub struct Attach {
        /// The address space or page table. The default is the device's own address space.
        #[example("other")] #[example(0xffff_ffff_u32)]
        pub to: Option<Object>,
        /// The PASID that is attached: the address space is for the device's accesses with this number. By default the device itself is
        /// attached.
        #[example(1)]
        pub pasid: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
    }
}

impl Known for Attach {
    const ABOUT: About = About {
        does: "Attach the device, or a PASID of it, to an address space or a page table instead of its current one. Saves `id`, that of its page table. After the case the device is attached to its own address space again, and none of its PASIDs is.",
        examples: &["{ to: other }"],
        saves: Saves::Fields(&["id"]),
        makes_object: true,
        device: true,
        iommufd: true,
        ..About::CALL
    };
}
