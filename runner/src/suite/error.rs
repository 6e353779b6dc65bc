// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with the scenarios that a command is given.

use crate::{language::Invalid, model::code::Code};

/// Everything that is wrong, found in one go.
#[derive(Debug, Default)]
pub struct Error {
    /// What is wrong with a file as a whole, or with what was asked for.
    pub problems: Vec<Problem>,
    /// The texts that are no valid scenarios or packs.
    pub invalid: Vec<Invalid>,
    pub files: usize,
}

#[derive(Debug)]
pub struct Problem {
    pub code: Code,
    /// The file or folder; empty for none.
    pub file: String,
    /// One sentence; further lines are indented.
    pub message: String,
    pub help: Option<String>,
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        Error { problems: vec![problem], ..Error::default() }
    }
}
