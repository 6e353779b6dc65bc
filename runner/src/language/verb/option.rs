// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `option`.

use super::prelude::*;

verb! {
    /// What `option` takes.
    pub struct IommuOption {
        /// The option.
        pub name: OptionName,
        /// The address space whose `huge_pages` it is. The default is the device's own. `rlimit_mode` is for all of IOMMUFD.
        #[example("other")]
        pub ioas: Option<Object>,
        /// The value to set. Without it, the option is only read.
        #[example(0)]
        pub set: Option<Dynamic<Size>> as Number,
    }
}

words! {
    /// An option of IOMMUFD.
    pub enum OptionName {
        /// 1 if an address space may use pages above the smallest, as it may at first; 0 if not.
        HugePages = "huge_pages",
        /// 0 if pinned memory is accounted to the user, 1 if to the process.
        RlimitMode = "rlimit_mode",
    }
}

impl Known for IommuOption {
    const ABOUT: About = About {
        does: "Read or set an option of IOMMUFD. Saves `value`.",
        examples: &["{ name: huge_pages }"],
        saves: Saves::Fields(&["value"]),
        iommufd: true,
        reads: true,
        space: true,
        ..About::CALL
    };
}
