// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_unmask`.

use super::prelude::*;

verb! {
    /// One interrupt to let through, now or whenever an event is signalled.
    pub struct IrqUnmask {
        /// The kind of interrupt.
        #[example("intx")]
        pub index: Dynamic<Index>,
        /// Which vector.
        #[example(0)] #[default(0)]
        pub vector: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
        /// An eventfd that an `open` saved: the kernel unmasks the interrupt whenever it is signalled. Without it, the interrupt is unmasked
        /// now.
        #[example("resample")]
        pub event: Option<Name> as OpenedFile,
    }
}

impl Known for IrqUnmask {
    const ABOUT: About = About {
        does: "Have the kernel let an interrupt through that is masked. INTx arrives again if the device still asserts it.",
        examples: &["{ index: intx }"],
        device: true,
        ..About::CALL
    };
}
