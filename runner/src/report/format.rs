//! The reports that are files.

use std::io::{self, Write};
use std::sync::Arc;

use crate::report::run::Run;
use crate::report::{html, json, junit, tap};

/// A kind of report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For Jenkins.
    Junit,
    /// For a browser.
    Html,
    /// For `prove`.
    Tap,
    /// For programs.
    Json,
}

impl Format {
    /// What it is called where files are listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Junit => "JUnit",
            Self::Html => "HTML",
            Self::Tap => "TAP",
            Self::Json => "JSON",
        }
    }

    /// The option that asks for it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Junit => "--junit",
            Self::Html => "--html",
            Self::Tap => "--tap",
            Self::Json => "--json",
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written, or the journal cannot be read any more.
    pub fn write(self, run: &Arc<Run>, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Junit => junit::write(run, out),
            Self::Html => html::write(run, out),
            Self::Tap => tap::write(run, out),
            Self::Json => json::write(run, out),
        }
    }
}
