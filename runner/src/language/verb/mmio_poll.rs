// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `mmio_poll`.

use super::prelude::*;

verb! {
    /// A register in a BAR and the value to wait for.
    pub struct MmioPoll {
        /// The BAR's number, 0 to 5.
        #[example(0)]
        pub bar: Dynamic<Size> as Number(Fit::Bar),
        /// Where the register is in it, in bytes: a multiple of its width.
        #[example("0x98")]
        pub offset: Dynamic<Size> as Offset(bits.place()),
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
        /// Which of its bits are compared. The default is all.
        #[example("0x1")]
        pub mask: Option<Dynamic<Size>> as Number(bits.fit()),
        /// The value that these bits are to have.
        #[example("0x0")]
        pub is: Dynamic<Size> as Number(bits.fit()),
        /// How long to wait for it before the step fails with ETIMEDOUT.
        #[example("100ms")] #[default("1s")]
        pub timeout: Option<Duration>,
    }
}

impl Known for MmioPoll {
    const ABOUT: About = About {
        does: "Read a register in a BAR until it has a value. Saves `value`, or fails with ETIMEDOUT.",
        examples: &[r#"{ bar: 0, offset: "0x98", is: "0x0" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let mask = self.mask.as_ref().and_then(|mask| mask.literal().copied());
        never_is(mask, self.is.literal().copied(), site).into_iter().collect()
    }
}
