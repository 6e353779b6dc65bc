// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with an expression.

use std::ops::Range;

use crate::{
    language::text::complaint::Complaint, language::text::diagnostic::Diagnostic, language::text::path::Path,
    model::code::Code,
};

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// One line, lower case.
    pub message: String,
    /// The bytes of the text that was given to evaluate.
    pub range: Range<usize>,
    /// What was expected; stands beside the caret. May be empty.
    pub expected: String,
    /// What to do, one sentence each.
    pub help: Vec<String>,
}

impl ExpressionError {
    pub(super) fn new(message: impl Into<String>, range: Range<usize>) -> Self {
        ExpressionError { message: message.into(), range, expected: String::new(), help: Vec::new() }
    }

    pub(super) fn expected(mut self, what: impl std::fmt::Display) -> Self {
        self.expected = format!("expected {what}");
        self
    }

    pub(super) fn help(mut self, sentence: impl Into<String>) -> Self {
        self.help.push(sentence.into());
        self
    }

    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.range = self.range.start + by..self.range.end + by;
        self
    }

    /// This error as a diagnostic, for an expression that stands at `path`.
    pub fn diagnostic(&self, path: Path) -> Diagnostic {
        Diagnostic {
            help: self.help.clone(),
            label: self.expected.clone(),
            ..Diagnostic::error(Code::Expression, path, self.message.as_str()).inside(self.range.clone())
        }
    }
}

impl std::fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.help.iter().try_for_each(|sentence| write!(f, "; {sentence}"))
    }
}

impl std::error::Error for ExpressionError {}

impl From<ExpressionError> for Complaint {
    fn from(error: ExpressionError) -> Self {
        let complaint = Complaint::new(Code::Expression, error.message);
        Complaint { help: error.help, label: error.expected, inside: Some(error.range), ..complaint }
    }
}
