// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `ioeventfd`.

use super::prelude::*;

verb! {
    /// A register in a BAR, a value, and the event that has the kernel write it.
    pub struct IoEventFd {
        /// The BAR's number, 0 to 5.
        #[example(0)]
        pub bar: Dynamic<Size> as Number(Fit::Bar),
        /// Where the register is in it, in bytes.
        #[example("0x8")]
        pub offset: Dynamic<Size> as Offset,
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
        /// What to write; it has to fit.
        #[example("0x1")]
        pub value: Dynamic<Size> as Number(bits.fit()),
        /// An eventfd that an `open` saved. Without it, the kernel is to write no longer.
        #[example("doorbell")]
        pub event: Option<Name> as OpenedFile,
    }
}

impl Known for IoEventFd {
    const ABOUT: About = About {
        does: "Have the kernel write a value to a register whenever an eventfd is signalled. The device is opened anew after the case.",
        examples: &[r#"{ bar: 0, offset: "0x8", value: "0x1", event: doorbell }"#],
        device: true,
        ..About::CALL
    };
}
