// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_wait`.

use super::prelude::*;

verb! {
    /// One interrupt to wait for.
    pub struct IrqWait {
        /// The kind of interrupt.
        #[example("msi")] #[example("{{ index }}")]
        pub index: Dynamic<Index>,
        /// Which vector.
        #[example(0)] #[default(0)]
        pub vector: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
        /// How long to wait for it before the step fails with ETIMEDOUT. `0s` only checks.
        #[example("100ms")] #[default("1s")]
        pub timeout: Option<Duration>,
    }
}

impl Known for IrqWait {
    const ABOUT: About = About {
        does: "Wait for an interrupt that was enabled. Saves `count`, how often it arrived since the last wait, or fails with ETIMEDOUT.",
        examples: &["{ index: msi }"],
        saves: Saves::Fields(&["count"]),
        device: true,
        ..About::CALL
    };
}
