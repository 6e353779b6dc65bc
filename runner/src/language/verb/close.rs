// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `close`.

use super::prelude::*;

verb! {
    /// A file that was opened.
    pub struct Close {
        /// The name that the `open` was saved under.
        #[example("cdev")]
        pub file: Name as OpenedFile,
    }
}

impl Known for Close {
    const ABOUT: About = About {
        does: "Close a file that was opened; at the end of the case all are closed.",
        examples: &["{ file: cdev }"],
        asserts: false,
        fixture: Stands::Anywhere,
        ..About::CALL
    };
}
