// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `power`.

use super::prelude::*;

verb! {
    /// A state of power.
    pub struct Power {
        /// Which one.
        pub state: PowerState,
    }
}

words! {
    /// How much of a device is awake, as the PCI power management specification numbers it.
    pub enum PowerState {
        /// All of it.
        D0 = "d0",
        /// Light sleep, which a device may leave out.
        D1 = "d1",
        /// Deeper sleep, which a device may leave out.
        D2 = "d2",
        /// Only its configuration space; a device may be reset by waking up.
        D3hot = "d3hot",
    }
}

impl Known for Power {
    const ABOUT: About = About {
        does: "Put the device into a state of power, by the register of its capability pm. Saves `state`, which the device is in then. The device is woken up after the case.",
        examples: &["{ state: d3hot }"],
        saves: Saves::Fields(&["state"]),
        device: true,
        ..About::CALL
    };
}
