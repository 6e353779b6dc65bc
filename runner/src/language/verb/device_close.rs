// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `device_close`.

use super::about::{About, Keys, Known, Stands, Takes};
use super::shared::{NoArguments, takes};

takes!(DeviceClose(NoArguments));

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

impl Takes for DeviceClose {
    fn keys(&self) -> Keys<'_> {
        let DeviceClose(NoArguments {}) = self;
        Keys::default()
    }
}
