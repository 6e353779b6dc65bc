// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_enable`.

use super::prelude::*;

verb! {
    /// Interrupts to enable.
    pub struct IrqEnable {
        /// The kind of interrupt.
        #[example("msi")] #[example("{{ index }}")]
        pub index: Dynamic<Index>,
        /// The first vector. MSI-X vectors can be enabled while others are; those of MSI that were enabled get a new eventfd.
        #[example(3)] #[default(0)]
        pub start: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
        /// How many vectors.
        #[example(4)] #[default(1)]
        pub count: Option<Dynamic<Size>> as Number(Fit::Vectors),
    }
}

impl Known for IrqEnable {
    const ABOUT: About = About {
        does: "Enable interrupts, each with an eventfd to wait for. The device is restored after the case.",
        examples: &["{ index: msi }"],
        device: true,
        ..About::CALL
    };
}
