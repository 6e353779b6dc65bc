// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `config_read`.

use super::prelude::*;

verb! {
    /// A register of the configuration space.
    pub struct ConfigRead {
        /// The capability whose registers `offset` counts from. Without it, from the beginning of the configuration space.
        #[example("pm")]
        pub capability: Option<Structure>,
        /// The name of a register of the header, such as `command`, or where it is, in bytes.
        #[example("command")]
        pub offset: ConfigPlace,
        /// How wide it is. The default is as wide as the register of this name, or 32.
        #[example(16)]
        pub bits: Option<Bits>,
    }
}

impl Known for ConfigRead {
    const ABOUT: About = About {
        does: "Read a register of the configuration space. Saves `value`, and `set`, a list of the bits that are set by their names, of a \
            register of the header whose bits have names.",
        examples: &["{ offset: command }", r#"{ offset: "0x4", bits: 16 }"#],
        saves: Saves::Varies,
        device: true,
        reads: true,
        ..About::CALL
    };

    fn fields(&self) -> Option<Vec<&'static str>> {
        Some(std::iter::once("value").chain(self.offset.with_bits().map(|_| "set")).collect())
    }

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        self.offset.wrong(&self.capability, site).into_iter().collect()
    }
}
