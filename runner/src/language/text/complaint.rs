// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a value, before anybody knows where it stands.

use std::{fmt, ops::Range};

use super::{diagnostic::Diagnostic, path::Path, suggest};
use crate::model::code::Code;

/// A mistake in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What kind of mistake it is.
    pub code: Code,
    /// What is wrong, naming what was read.
    pub title: String,
    /// What was expected; stands beside the caret.
    pub label: String,
    /// What to do, one sentence each.
    pub help: Vec<String>,
    /// The byte range within the scalar's text, for mistakes inside expressions.
    pub inside: Option<Range<usize>>,
}

impl Complaint {
    /// A complaint with a title that names what was read.
    pub fn new(code: Code, title: impl fmt::Display) -> Self {
        Complaint { code, title: title.to_string(), label: String::new(), help: Vec::new(), inside: None }
    }

    /// The complaint about a key that a mapping does not have.
    pub fn unknown_key(key: &str, place: &str, known: &[&str]) -> Self {
        let mut complaint = Complaint::new(Code::UnknownKey, format_args!("unknown key `{key}` in {place}"));
        complaint.label = suggest::expected_one_of(known.iter().copied());
        complaint.help.extend(suggest::did_you_mean(key, known.iter().copied()));
        if known.is_empty() {
            complaint.help.push(format!("remove `{key}`"));
        }
        complaint
    }

    /// The complaint about an unknown word.
    pub fn unknown_word(code: Code, what: &str, read: &str, known: &[&str]) -> Self {
        let mut complaint = Complaint::new(code, format_args!("unknown {what} `{read}`"));
        complaint.label = suggest::expected_one_of(known.iter().copied());
        complaint.help.extend(suggest::did_you_mean(read, known.iter().copied()));
        complaint
    }

    /// Sets what was expected, without the word "expected".
    #[must_use]
    pub fn expected(mut self, what: impl fmt::Display) -> Self {
        self.label = format!("expected {what}");
        self
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn help(mut self, sentence: impl fmt::Display) -> Self {
        self.help.push(sentence.to_string());
        self
    }

    /// The complaint as the diagnostic of the value at a path.
    pub fn diagnostic(self, path: Path) -> Diagnostic {
        let Complaint { code, title, label, help, inside } = self;
        Diagnostic { inside, help, ..Diagnostic::error(code, path, title).label(label) }
    }
}

/// On one line, for values that are not in a file.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if !self.label.is_empty() {
            write!(f, ": {}", self.label)?;
        }
        self.help.iter().try_for_each(|sentence| write!(f, "; {sentence}"))
    }
}

impl std::error::Error for Complaint {}
