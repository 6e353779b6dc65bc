// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_poll`.

use super::prelude::*;

verb! {
    /// A register of the configuration space and the value to wait for.
    pub struct ConfigPoll {
        /// The capability whose registers `offset` counts from. Without it, from the beginning of the configuration space.
        #[example("pm")]
        pub capability: Option<Structure>,
        /// The name of a register of the header, such as `command`, or where it is, in bytes.
        #[example("vendor_id")]
        pub offset: ConfigPlace,
        /// How wide it is. The default is as wide as the register of this name, or 32.
        #[example(16)]
        pub bits: Option<Bits>,
        /// Which of its bits are compared. The default is all.
        #[example("0x1")]
        pub mask: Option<RegisterValue> as Plain(offset.fit(bits)),
        /// The value that these bits are to have.
        #[example("{{ device.vendor }}")]
        pub is: RegisterValue as Plain(offset.fit(bits)),
        /// How long to wait for it before the step fails with ETIMEDOUT.
        #[example("100ms")] #[default("1s")]
        pub timeout: Option<Duration>,
    }
}

impl Known for ConfigPoll {
    const ABOUT: About = About {
        does: "Read a register of the configuration space until it has a value, such as of a device that comes back from a reset. Saves `value`, or fails with ETIMEDOUT.",
        examples: &[r#"{ offset: vendor_id, is: "{{ device.vendor }}" }"#],
        saves: Saves::Fields(&["value"]),
        device: true,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        let ConfigPoll { capability, offset, bits: _, mask, is, timeout: _ } = self;
        let mut mistakes: Vec<_> = offset.wrong(capability, site).into_iter().collect();
        mistakes.extend(is.wrong(offset, "is", site));
        mistakes.extend(mask.iter().flat_map(|mask| mask.wrong(offset, "mask", site)));
        let mask = mask.as_ref().and_then(|mask| mask.literal(offset));
        mistakes.extend(never_is(mask, is.literal(offset), site));
        mistakes
    }
}
