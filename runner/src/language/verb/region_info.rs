// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `region_info`.

use super::prelude::*;

verb! {
    /// A region of the device.
    pub struct RegionInfo {
        /// Its number: 0 to 5 are the BARs, 6 is the ROM, 7 the configuration space, 8 the VGA memory.
        #[example(7)]
        pub region: Dynamic<Size> as Number(Fit::Bits(32)),
    }
}

impl Known for RegionInfo {
    const ABOUT: About = About {
        does: "Read what a region of the device is. Saves `size` and, in the device's file, `offset`, in bytes, whether it \
            is `readable`, `writable` and `mappable`, its `flags` by name, and its `capabilities` by name, each with its fields.",
        examples: &["{ region: 7 }"],
        saves: Saves::Fields(&["size", "offset", "readable", "writable", "mappable", "flags", "capabilities"]),
        device: true,
        reads: true,
        ..About::CALL
    };
}
