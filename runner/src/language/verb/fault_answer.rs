// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `fault_answer`.

use super::prelude::*;

verb! {
    /// A queue of page requests, and the answer to a group of them.
    pub struct FaultAnswer {
        /// The queue, by the name that an `ioctl` with `IOMMU_FAULT_QUEUE_ALLOC` was saved under.
        #[example("queue")]
        pub on: Name as OpenFile,
        /// The cookie of the group's requests.
        #[example("{{ asked.faults[0].cookie }}")]
        pub cookie: Dynamic<Size> as Number(Fit::Bits(32)),
        /// The answer.
        pub code: FaultCode,
    }
}

words! {
    /// What a device is answered that asked for pages.
    pub enum FaultCode {
        /// The pages are there, and the device is to try again.
        Success = "success",
        /// There are no such pages.
        Invalid = "invalid",
    }
}

impl Known for FaultAnswer {
    const ABOUT: About = About {
        does: "Answer the page requests of a device that have a cookie in common.",
        examples: &[r#"{ on: queue, cookie: "{{ asked.faults[0].cookie }}", code: success }"#],
        fixture: Stands::Anywhere,
        iommufd: true,
        ..About::CALL
    };
}
