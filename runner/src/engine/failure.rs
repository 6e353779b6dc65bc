// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a case ends early, and how that is told: with the YAML line that did not come true.

use crate::language::{Diagnostic, ExpressionError, Path, Source, Target, carets, render};
use crate::model::code::Code;

/// The end of a case that did not pass.
#[derive(Debug)]
pub enum End {
    /// The kernel did something else than the scenario expects.
    Failed(Box<Problem>),
    /// No verdict: something that the case needs failed.
    Error(Box<Problem>),
    /// The case cannot apply here, for this reason.
    Skipped(String),
}

impl End {
    /// Says of a failure in other words what went wrong.
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

    /// Changes what is said of a failure or an error.
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
#[derive(Debug)]
pub struct Problem {
    /// In one line, such as `unmap gave ENOENT (no such file or directory), expected success and 4KiB`.
    pub title: String,
    /// A word for the kind, as for diagnostics.
    pub code: Code,
    /// Beside the caret.
    pub label: String,
    /// What to do, or what else is known.
    pub help: Vec<String>,
    /// Where it is written.
    pub at: Path,
    /// Which part of the text there, in bytes.
    pub inside: Option<std::ops::Range<usize>>,
    /// The file that it is written in, where that is not the scenario's.
    pub source: Option<Source>,
}

impl Problem {
    /// A problem with what is written at `at`.
    pub fn new(code: Code, at: Path, title: impl Into<String>) -> Box<Problem> {
        Box::new(Problem {
            code,
            at,
            title: title.into(),
            label: String::new(),
            help: Vec::new(),
            inside: None,
            source: None,
        })
    }

    /// Says it in other words.
    #[must_use]
    pub fn title(mut self: Box<Self>, title: impl Into<String>) -> Box<Self> {
        self.title = title.into();
        self
    }

    /// Sets the text beside the caret.
    #[must_use]
    pub fn label(mut self: Box<Self>, label: impl Into<String>) -> Box<Self> {
        self.label = label.into();
        self
    }

    /// Adds a sentence of help.
    #[must_use]
    pub fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help.push(help.into());
        self
    }

    /// As an expression's failure tells it.
    pub fn expression(at: Path, error: &ExpressionError) -> Box<Problem> {
        let mut problem = Problem::new(Code::Expression, at, error.message.clone());
        problem.help.clone_from(&error.help);
        problem.inside = Some(error.range.clone());
        problem
    }

    /// The problem as the terminal and the reports show it, without colour.
    pub fn render(&self, source: &Source) -> String {
        render(self.source.as_ref().unwrap_or(source), &[self.diagnostic()], false)
    }

    /// The lines of [`Problem::render`] with carets.
    pub fn carets(&self, source: &Source) -> Vec<u32> {
        carets(self.source.as_ref().unwrap_or(source), &self.diagnostic())
    }

    fn diagnostic(&self) -> Diagnostic {
        let mut diagnostic =
            Diagnostic::error(self.code, self.at.clone(), self.title.clone()).label(self.label.clone());
        diagnostic.help.clone_from(&self.help);
        diagnostic.inside.clone_from(&self.inside);
        diagnostic
    }

    /// `file:line:column` of what did not come true.
    pub fn place(&self, source: &Source) -> String {
        let source = self.source.as_ref().unwrap_or(source);
        let location = source.locate(&self.at, Target::Value);
        format!("{}:{}:{}", source.name, location.line, location.column)
    }
}
