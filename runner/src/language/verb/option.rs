// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `option`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::Object;
use crate::language::{Dynamic, Size, keys, quantity::Number, words};

words!(OptionName);

keys! {
    /// What `option` takes.
    #[derive(Serialize)]
    pub struct IommuOption {
        /// The option.
        pub name: OptionName,
        /// The address space whose `huge_pages` it is. The default is the device's own. `rlimit_mode` is for all of IOMMUFD.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
        /// The value to set. Without it, the option is only read.
        #[schemars(example = 0)]
        #[schemars(with = "Dynamic<Number>")]
        pub set: Option<Dynamic<Size>> as Number::read,
    }
}

/// An option of IOMMUFD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptionName {
    /// 1 if an address space may use pages above the smallest, as it may at first; 0 if not.
    HugePages,
    /// 0 if pinned memory is accounted to the user, 1 if to the process.
    RlimitMode,
}

impl Known for IommuOption {
    const ABOUT: About = About {
        does: "Read or set an option of IOMMUFD. Saves `value`.",
        examples: &["{ name: huge_pages }"],
        saves: Saves::Fields(&["value"]),
        iommufd: true,
        ..About::CALL
    };
}

impl Takes for IommuOption {
    fn keys(&self) -> Keys<'_> {
        let IommuOption { name, ioas, set } = self;
        Keys::default().word("name", name).object("ioas", ioas).size("set", set)
    }
}
