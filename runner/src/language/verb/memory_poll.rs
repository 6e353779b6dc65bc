// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `memory_poll`.

use serde::Serialize;

use super::about::{About, Keys, Known, Saves, Site, Stands, Takes};
use super::mistakes::never_is;
use super::shared::Bits;
use crate::language::{
    Diagnostic, Duration, Dynamic, Name, Size, keys,
    quantity::{Number, Offset},
};

keys! {
    /// A number in memory and the value to wait for, which a device writes.
    #[derive(Serialize)]
    pub struct MemoryPoll {
        /// The region's name.
        #[schemars(example = &"ring")]
        pub region: Name,
        /// Where in the region it is, in bytes.
        #[schemars(example = "0xc")]
        #[schemars(with = "Dynamic<Offset>")]
        pub offset: Dynamic<Size> as Offset::read,
        /// How wide it is.
        pub bits: Bits = default,
        /// Which of its bits are compared. The default is all.
        #[schemars(example = "0x1")]
        #[schemars(with = "Dynamic<Number>")]
        pub mask: Option<Dynamic<Size>> as Number::read,
        /// The value that these bits are to have.
        #[schemars(example = "0x1")]
        #[schemars(with = "Dynamic<Number>")]
        pub is: Dynamic<Size> as Number::read,
        /// How long to wait for it before the step fails with ETIMEDOUT.
        #[schemars(example = &"100ms", extend("default" = "1s"))]
        pub timeout: Option<Duration>,
    }
}

impl Known for MemoryPoll {
    const ABOUT: About = About {
        does: "Read a number from memory until the device has written a value there. Saves `value`, or fails with ETIMEDOUT.",
        examples: &[r#"{ region: ring, offset: "0xc", is: "0x1" }"#],
        saves: Saves::Fields(&["value"]),
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}

impl Takes for MemoryPoll {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        never_is(&self.mask, &self.is, site).into_iter().collect()
    }

    fn keys(&self) -> Keys<'_> {
        let MemoryPoll { region, offset, bits, mask, is, timeout } = self;
        Keys::default()
            .region("region", region)
            .size("offset", offset)
            .word("bits", bits)
            .number("mask", mask, bits.fit())
            .number("is", is, bits.fit())
            .word("timeout", timeout)
    }
}
