// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `event_wait`.

use super::prelude::*;

verb! {
    /// An event to wait for.
    pub struct EventWait {
        /// An eventfd that an `open` saved.
        #[example("error")]
        pub event: Name as OpenedFile,
        /// How long to wait for it before the step fails with ETIMEDOUT. `0s` only checks.
        #[example("100ms")] #[default("1s")]
        pub timeout: Option<Duration>,
    }
}

impl Known for EventWait {
    const ABOUT: About = About {
        does: "Wait until an eventfd is signalled. Saves `count`, how often it was since the last wait, or fails with ETIMEDOUT.",
        examples: &["{ event: error }"],
        saves: Saves::Fields(&["count"]),
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
