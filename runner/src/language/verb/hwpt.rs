// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `hwpt`.

use crate::language::{keys, words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Saves, Takes};
use super::shared::Object;

words!(HwptFlag);

keys! {
    /// What `hwpt` takes.
    #[derive(Default, Serialize)]
    #[schemars(extend("type" = ["null", "object"]))] // `- verb:` means all its defaults
    pub struct Hwpt {
        /// The address space of the page table. The default is the device's own.
        #[schemars(example = &"other")]
        pub ioas: Option<Object>,
        /// What it has to be capable of.
        #[schemars(example = ["dirty_tracking"])]
        pub flags: Vec<HwptFlag> = empty,
    }
}

/// What a page table can support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HwptFlag {
    /// To be the parent of nested page tables.
    NestParent,
    /// To tell which pages devices wrote.
    DirtyTracking,
    /// To be attached for a PASID.
    Pasid,
}

impl Known for Hwpt {
    const ABOUT: About = About {
        does: "Create a page table in an address space for the device. Saves `id`.",
        examples: &["{ ioas: other }"],
        saves: Saves::Fields(&["id"]),
        makes_object: true,
        device: true,
        iommufd: true,
        ..About::CALL
    };
}

impl Takes for Hwpt {
    fn keys(&self) -> Keys<'_> {
        let Hwpt { ioas, flags } = self;
        Keys::default().object("ioas", ioas).word("flags", flags)
    }
}
