//! The verb `close`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Key, Keys, Known, Stands, Takes};
use crate::language::Name;

/// A file that was opened.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The name that the `open` was saved under.
    #[schemars(example = &"cdev")]
    pub file: Name,
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
