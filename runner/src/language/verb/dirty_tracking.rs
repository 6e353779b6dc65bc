// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `dirty_tracking`.

use super::prelude::*;

verb! {
    /// What `dirty_tracking` takes.
    pub struct DirtyTracking {
        /// Whether to start or to stop.
        #[example(true)]
        pub enable: bool,
        /// The page table, only on the backend iommufd: one that a `hwpt` step saved.
        #[example("table")]
        pub hwpt: Option<Object>,
    }
}

impl Known for DirtyTracking {
    const ABOUT: About = About {
        does: "Start or stop recording which pages the device writes.",
        examples: &["{ enable: true }"],
        space: true,
        ..About::CALL
    };

    fn mistakes(&self, site: &Site) -> Vec<Diagnostic> {
        without_hwpt("dirty_tracking", &self.hwpt, site).into_iter().collect()
    }
}
