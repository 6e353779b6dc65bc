// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `memory_poll`.

use super::prelude::*;

verb! {
    /// A number in memory and the value to wait for, which a device writes.
    pub struct MemoryPoll {
        /// The region's name.
        #[example("ring")]
        pub region: Name as RegionName,
        /// Where in the region it is, in bytes.
        #[example("0xc")]
        pub offset: Dynamic<Size> as Offset,
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
        /// Which of its bits are compared. The default is all.
        #[example("0x1")]
        pub mask: Option<Dynamic<Size>> as Number(bits.fit()),
        /// The value that these bits are to have.
        #[example("0x1")]
        pub is: Dynamic<Size> as Number(bits.fit()),
        /// How long to wait for it before the step fails with ETIMEDOUT.
        #[example("100ms")] #[default("1s")]
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

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let mask = self.mask.as_ref().and_then(|mask| mask.literal().copied());
        never_is(mask, self.is.literal().copied(), site).into_iter().collect()
    }
}
