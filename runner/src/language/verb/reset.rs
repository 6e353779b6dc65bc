// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `reset`.

use super::prelude::*;

verb!(Reset(NoArguments));

impl Known for Reset {
    const ABOUT: About = About {
        does: "Reset the device; takes nothing. The device is restored after the case.",
        examples: &["null"],
        device: true,
        ..About::CALL
    };
}
