// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_trigger`.

use super::prelude::*;

verb! {
    /// One interrupt to trigger.
    pub struct IrqTrigger {
        /// The kind of interrupt.
        #[example("msi")] #[example("{{ index }}")]
        pub index: Dynamic<Index>,
        /// Which vector.
        #[example(0)] #[default(0)]
        pub vector: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
    }
}

impl Known for IrqTrigger {
    const ABOUT: About = About {
        does: "Make the kernel act as if an interrupt had arrived.",
        examples: &["{ index: msi }"],
        device: true,
        ..About::CALL
    };
}
