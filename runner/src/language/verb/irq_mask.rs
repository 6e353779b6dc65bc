// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `irq_mask`.

use super::prelude::*;

verb!(IrqMask(OneInterrupt));

impl Known for IrqMask {
    const ABOUT: About = About {
        does: "Have the kernel hold an interrupt back. vfio-pci can do so with INTx, which also masks itself when it arrives.",
        examples: &["{ index: intx }"],
        device: true,
        ..About::CALL
    };
}
