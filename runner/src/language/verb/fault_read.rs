// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `fault_read`.

use super::prelude::*;

verb! {
    /// A queue of page requests, and how long to wait for one.
    pub struct FaultRead {
        /// The queue, by the name that an `ioctl` with `IOMMU_FAULT_QUEUE_ALLOC` was saved under.
        #[example("queue")]
        pub on: Name as OpenFile,
        /// How long to wait.
        #[example("100ms")] #[default("1s")]
        pub timeout: Option<Duration>,
    }
}

impl Known for FaultRead {
    const ABOUT: About = About {
        does: "Wait until a device asks for pages (PRI), and read its requests, or fail with ETIMEDOUT. Saves `faults`, a list of them: \
            `.addr`, `.read`, `.write`, `.pasid` (none without one), `.group`, `.last` (of its group), `.dev_id` and `.cookie`, by which \
            `fault_answer` answers the whole group.",
        examples: &["{ on: queue }"],
        saves: Saves::Fields(&["faults"]),
        fixture: Stands::Anywhere,
        iommufd: true,
        ..About::CALL
    };
}
