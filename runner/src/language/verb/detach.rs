// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `detach`.

use super::prelude::*;

verb!(Detach(NoArguments));

impl Known for Detach {
    const ABOUT: About = About {
        does: "Detach the device; takes nothing. After the case it is attached to its own address space again.",
        examples: &["null"],
        device: true,
        iommufd: true,
        is_followed: false,
        ..About::CALL
    };
}
