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
        /// The address space that `huge_pages` is of; the device's own unless given. `rlimit_mode` is of the whole IOMMUFD.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
        /// The value to give it; without, it is only asked for.
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
        does: "Ask for an option of IOMMUFD, or set it. Saves `value`.",
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
