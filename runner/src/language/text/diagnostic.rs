// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mistake in a file, and how it is shown: the place, the line, a caret, what was expected, what to do.
//!
//! ```text
//! error[unknown-key]: unknown key `expct` in a case
//!   --> scenarios/kernel/dma_mapping.yaml:14:5
//!    |
//! 14 |     expct: ok
//!    |     ^^^^^ expected one of `name`, `expect`
//!    |
//!    = help: did you mean `expect`?
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::path::Path;
use crate::model::code::Code;

/// What of the place at a path is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Target {
    /// The key (the path's last step).
    Key,
    /// The value.
    Value,
    /// The key where it is written again, for duplicate keys; 1 is its second time.
    Repeat(usize),
}

/// A second place worth showing: "first given here".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Where in the document.
    pub path: Path,
    /// Key or value.
    pub target: Target,
    /// What is said beside the place.
    pub label: String,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Kebab-case, such as `unknown-key`; stable, tests and documentation refer to it.
    pub code: Code,
    /// Where in the document.
    pub path: Path,
    /// Key or value.
    pub target: Target,
    /// The byte range within the scalar's text, for mistakes inside expressions.
    pub inside: Option<Range<usize>>,
    /// The byte range within the file, for mistakes of syntax, which have no path.
    pub span: Option<Range<usize>>,
    /// What is wrong, naming what was read; one line, lower case.
    pub title: String,
    /// What was expected; stands beside the caret. May be empty.
    pub label: String,
    /// Other places that belong to the mistake.
    pub notes: Vec<Note>,
    /// What to do, one sentence each.
    pub help: Vec<String>,
    /// The name that the mistake is about, where it is one of an unknown or missing name.
    pub subject: Option<String>,
}

impl Diagnostic {
    /// An error at the value of `path`.
    pub fn error(code: Code, path: Path, title: impl Into<String>) -> Self {
        Diagnostic {
            code,
            path,
            target: Target::Value,
            inside: None,
            span: None,
            title: title.into(),
            label: String::new(),
            notes: Vec::new(),
            help: Vec::new(),
            subject: None,
        }
    }

    /// Points at the key, or at another of its occurrences, instead of the value.
    #[must_use]
    pub fn at(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// Points at a part of the scalar's text, in bytes.
    #[must_use]
    pub fn inside(mut self, range: Range<usize>) -> Self {
        self.inside = Some(range);
        self
    }

    /// Sets the text beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Shows a second place.
    #[must_use]
    pub fn note(mut self, path: Path, target: Target, label: impl Into<String>) -> Self {
        self.notes.push(Note { path, target, label: label.into() });
        self
    }

    /// Says which name the mistake is about.
    #[must_use]
    pub fn about(mut self, name: impl Into<String>) -> Self {
        self.subject = Some(name.into());
        self
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn help(mut self, sentence: impl Into<String>) -> Self {
        self.help.push(sentence.into());
        self
    }
}
