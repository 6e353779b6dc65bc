// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `device_close`.

use super::prelude::*;

verb!(DeviceClose(NoArguments));

impl Known for DeviceClose {
    const ABOUT: About = About {
        does: "Close the device that `device_open` opened; at the end of the case all are closed. Takes nothing.",
        examples: &["null"],
        device: true,
        fixture: Stands::Alone,
        is_followed: false,
        ..About::CALL
    };
}
