// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `event_signal`.

use super::prelude::*;

verb! {
    /// An event to signal.
    pub struct EventSignal {
        /// An eventfd that an `open` saved.
        #[example("resample")]
        pub event: Name as OpenedFile,
    }
}

impl Known for EventSignal {
    const ABOUT: About = About {
        does: "Add 1 to the count of an eventfd, as the kernel does when an interrupt arrives.",
        examples: &["{ event: resample }"],
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
