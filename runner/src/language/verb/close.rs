// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `close`.

use serde::Serialize;

use super::about::{About, Key, Keys, Known, Stands, Takes};
use crate::language::{Name, keys};

keys! {
    /// A file that was opened.
    #[derive(Serialize)]
    pub struct Close {
        /// The name that the `open` was saved under.
        #[schemars(example = &"cdev")]
        pub file: Name,
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

impl Takes for Close {
    fn keys(&self) -> Keys<'_> {
        let Close { file } = self;
        Keys::default().add("file", Key::Opened(file))
    }
}
