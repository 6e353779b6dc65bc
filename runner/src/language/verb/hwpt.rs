// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `hwpt`.

use super::prelude::*;

verb! {
    /// What `hwpt` takes.
    #[derive(Default)]
    #[schema("type": ["null", "object"])] // `- verb:` means all its defaults
    pub struct Hwpt {
        /// The address space of the page table. The default is the device's own.
        #[example("other")]
        pub ioas: Option<Object>,
        /// What it has to be capable of.
        #[example(["dirty_tracking"])]
        pub flags: Vec<HwptFlag> = empty,
    }
}

words! {
    /// What a page table can support.
    pub enum HwptFlag {
        /// To be the parent of nested page tables.
        NestParent = "nest_parent",
        /// To tell which pages devices wrote.
        DirtyTracking = "dirty_tracking",
        /// To be attached for a PASID.
        Pasid = "pasid",
    }
}

impl Known for Hwpt {
    const ABOUT: About = About {
        does: "Create a page table in an address space for the device. Saves `id`.",
        examples: &["{ ioas: other }"],
        saves: Saves::Fields(&["id"]),
        makes_object: true,
        device: true,
        iommufd: true,
        ..About::CALL
    };
}
