// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `features`.

use super::prelude::*;
use crate::uapi::request::FEATURES;

verb!(Features(NoArguments));

impl Known for Features {
    const ABOUT: About = About {
        does: "Probe every feature of VFIO_DEVICE_FEATURE; takes nothing. Saves those that the device has by their names, each with a list of \
            what it can: `get`, `set`.",
        examples: &["null"],
        saves: Saves::Varies,
        device: true,
        reads: true,
        ..About::CALL
    };

    fn fields(&self) -> Option<Vec<&'static str>> {
        Some(FEATURES.iter().map(|feature| feature.name).collect())
    }
}
