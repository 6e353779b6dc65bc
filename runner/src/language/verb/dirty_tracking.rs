// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `dirty_tracking`.

use serde::Serialize;

use super::about::{About, Keys, Known, Site, Takes};
use super::mistakes::without_hwpt;
use super::shared::Object;
use crate::language::{Diagnostic, keys};

keys! {
    /// What `dirty_tracking` takes.
    #[derive(Serialize)]
    pub struct DirtyTracking {
        /// Whether to start or to stop.
        #[schemars(example = true)]
        pub enable: bool,
        /// The page table, only on the backend iommufd: one that a `hwpt` step saved.
        #[schemars(example = &"table")]
        pub hwpt: Option<Object>,
    }
}

impl Known for DirtyTracking {
    const ABOUT: About = About {
        does: "Start or stop recording which pages the device writes.",
        examples: &["{ enable: true }"],
        ..About::CALL
    };
}

impl Takes for DirtyTracking {
    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        without_hwpt("dirty_tracking", &self.hwpt, site).into_iter().collect()
    }

    fn keys(&self) -> Keys<'_> {
        let DirtyTracking { enable, hwpt } = self;
        Keys::default().word("enable", enable).object("hwpt", hwpt)
    }
}
