// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `region_info`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Takes};
use super::fit::Fit;
use crate::language::{Dynamic, Size, keys, quantity::Number};

keys! {
    /// A region of the device.
    #[derive(Serialize)]
    pub struct RegionInfo {
        /// Its number: 0 to 5 are the BARs, 6 is the ROM, 7 the configuration space, 8 the VGA memory.
        #[schemars(example = 7)]
        #[schemars(with = "Dynamic<Number>")]
        pub region: Dynamic<Size> as Number::read,
    }
}

impl Known for RegionInfo {
    const ABOUT: About = About {
        does: "Read what a region of the device is. Saves `size` and, in the device's file, `offset`, in bytes, and whether it \
            is `readable`, `writable` and `mappable`.",
        examples: &["{ region: 7 }"],
        saves: Saves::Fields(&["size", "offset", "readable", "writable", "mappable"]),
        device: true,
        ..About::CALL
    };
}

impl Takes for RegionInfo {
    fn keys(&self) -> Keys<'_> {
        let RegionInfo { region } = self;
        Keys::default().number("region", region, Fit::Bits(32))
    }
}
