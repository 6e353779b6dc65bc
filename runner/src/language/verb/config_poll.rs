// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_poll`.

use super::prelude::*;

verb! {
    /// A register of the configuration space and the value to wait for.
    pub struct ConfigPoll {
        /// The capability whose registers `offset` counts from. Without it, from the beginning of the configuration space.
        #[example("pm")]
        pub capability: Option<Structure>,
        /// Where it is, in bytes.
        #[example("0x0")]
        pub offset: Dynamic<Size> as Offset,
        /// How wide it is.
        #[default(32)]
        pub bits: Bits = default,
        /// Which of its bits are compared. The default is all.
        #[example("0x1")]
        pub mask: Option<Dynamic<Size>> as Number(bits.fit()),
        /// The value that these bits are to have.
        #[example("{{ device.vendor }}")]
        pub is: Dynamic<Size> as Number(bits.fit()),
        /// How long to wait for it before the step fails with ETIMEDOUT.
        #[example("100ms")] #[default("1s")]
        pub timeout: Option<Duration>,
    }
}

impl Known for ConfigPoll {
    const ABOUT: About = About {
        does: "Read a register of the configuration space until it has a value, such as of a device that comes back from a reset. Saves `value`, or fails with ETIMEDOUT.",
        examples: &[r#"{ offset: "0x0", bits: 16, is: "{{ device.vendor }}" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        never_is(&self.mask, &self.is, site).into_iter().collect()
    }
}
