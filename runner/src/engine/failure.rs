// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a case ends early, with the line of YAML that did not come true.

use serde::{Deserialize, Serialize};

use crate::{
    language::{Diagnostic, ExpressionError, Path, Source, Target, carets, render},
    model::{Errno, code::Code},
    uapi::system,
};

/// The end of a case that did not pass.
#[derive(Debug, Serialize, Deserialize)]
pub enum End {
    /// The kernel did not do what the scenario expects.
    Failed(Box<Problem>),
    /// No verdict: something that the case needs failed.
    Error(Box<Problem>),
    /// The case cannot apply here, for this reason.
    Skipped(String),
}

impl End {
    /// A skip, if the kernel refused something because this process is not root's: what it did not let the step do.
    pub fn only_root_may(act: &str, refused: Errno) -> Option<End> {
        let is_refused = matches!(refused, Errno(libc::EACCES | libc::EPERM)) && !system::is_root();
        is_refused.then(|| End::Skipped(format!("only root may {act}")))
    }

    /// Replaces the title of a failure.
    #[must_use]
    pub fn title(self, title: String) -> End {
        match self {
            End::Failed(problem) => End::Failed(problem.title(title)),
            end => end,
        }
    }

    /// Adds a sentence of help to a failure or an error.
    #[must_use]
    pub fn help(self, sentence: String) -> End {
        self.map(|problem| problem.help(sentence))
    }

    /// Changes the problem of a failure or an error.
    #[must_use]
    pub fn map(self, change: impl FnOnce(Box<Problem>) -> Box<Problem>) -> End {
        match self {
            End::Failed(problem) => End::Failed(change(problem)),
            End::Error(problem) => End::Error(change(problem)),
            End::Skipped(reason) => End::Skipped(reason),
        }
    }
}

/// What went wrong, and where in the scenario that was expected otherwise.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    pub what: Diagnostic,
    /// The file that it is written in, unless that is the scenario's.
    pub source: Option<Source>,
}

impl Problem {
    /// A problem with what is written at `at`. The title is one line, such as `unmap gave ENOENT (no such file or directory), expected
    /// success and 4KiB`.
    pub fn new(code: Code, at: Path, title: impl Into<String>) -> Box<Problem> {
        Box::new(Problem { what: Diagnostic::error(code, at, title), source: None })
    }

    /// Replaces the title.
    #[must_use]
    pub fn title(mut self: Box<Self>, title: impl Into<String>) -> Box<Self> {
        self.what.title = title.into();
        self
    }

    /// Sets the text beside the caret.
    #[must_use]
    pub fn label(mut self: Box<Self>, label: impl Into<String>) -> Box<Self> {
        self.what.label = label.into();
        self
    }

    /// Adds a sentence of help.
    #[must_use]
    pub fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.what.help.push(help.into());
        self
    }

    /// The failure of an expression.
    pub fn expression(at: Path, error: &ExpressionError) -> Box<Problem> {
        let mut problem = Problem::new(Code::Expression, at, error.message.clone());
        problem.what.help.clone_from(&error.help);
        problem.what.inside = Some(error.range.clone());
        problem
    }

    /// The problem as the terminal and the reports show it, without colour.
    pub fn render(&self, source: &Source) -> String {
        render(self.source.as_ref().unwrap_or(source), std::slice::from_ref(&self.what), false)
    }

    /// The lines of [`Problem::render`] with carets.
    pub fn carets(&self, source: &Source) -> Vec<u32> {
        carets(self.source.as_ref().unwrap_or(source), &self.what)
    }

    /// `file:line:column` of what did not come true.
    pub fn place(&self, source: &Source) -> String {
        let source = self.source.as_ref().unwrap_or(source);
        let location = source.locate(&self.what.path, Target::Value);
        format!("{}:{}:{}", source.name, location.line, location.column)
    }
}
