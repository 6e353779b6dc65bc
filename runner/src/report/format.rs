// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report that is a file. Each format is one file of this module and one row of [`FORMATS`](super::FORMATS).

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::report::run::Run;

/// A kind of report.
#[derive(Debug)]
pub struct Format {
    /// What people call it.
    pub name: &'static str,
    /// The option that asks for it, without its dashes.
    pub option: &'static str,
    /// The help of that option.
    pub help: &'static str,
    /// Writes the report of a run. Fails if the report cannot be written, or if a journal was changed since it was read.
    pub write: fn(&Arc<Run>, &Style, &mut dyn Write) -> io::Result<()>,
}

/// What the user chooses beside the format.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// The folder for the long texts of the cases that failed or have no verdict: JUnit names these files, and keeps less of their texts.
    pub attachments: Option<PathBuf>,
    /// Whether a flaky case passes in JUnit, with its failures beside that (`flakyFailure`), and is not skipped.
    pub flaky_passes: bool,
    /// Whether each case of JUnit has properties, as its suite has them. The schema of Jenkins' xunit plugin allows none.
    pub case_properties: bool,
}
