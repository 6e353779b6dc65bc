// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report that is a file. Each format is one file of this module and one row of [`FORMATS`](super::FORMATS).

use std::io::{self, Write};
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
    pub write: fn(&Arc<Run>, &mut dyn Write) -> io::Result<()>,
}
