// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which lines of the kernel ran in the guests of a run.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{Failure, reports::not_written};
use crate::file;
use crate::lab::{Counters, Prepared};
use crate::model::{Exit, count};
use crate::report::coverage::{self, Coverage};
use crate::report::terminal::Terminal;

/// The tracefile in the folder of a coverage.
pub const TRACEFILE: &str = "coverage.info";

/// The folder beside it with pages for people.
const PAGES: &str = "html";

/// What the guests counted.
#[derive(Debug, Default)]
pub struct Reached {
    guests: Vec<Vec<Counters>>,
    /// How many guests ended before they could tell.
    lost: usize,
}

impl Reached {
    /// A guest has come to its end, and told this.
    pub fn told(&mut self, counters: Vec<Counters>) {
        self.guests.push(counters);
    }

    /// A guest ended otherwise: it died, hung, or was taken away.
    pub fn lost(&mut self) {
        self.lost += 1;
    }

    /// Writes the tracefile and the pages into `folder`, and returns what is to be said.
    pub fn write(
        &self,
        folder: &Path,
        prepared: &Prepared,
        interrupt: &AtomicBool,
        terminal: &Terminal,
    ) -> Result<String, Failure> {
        let (tracefile, pages) = (folder.join(TRACEFILE), folder.join(PAGES));
        let mut all = Coverage::default();
        for counters in &self.guests {
            let documents = prepared.explain(counters, interrupt)?;
            let one = coverage::of_gcov(&documents, prepared.kernel()).map_err(|error| {
                Failure::new(Exit::ReportNotWritten, format!("failed to read what gcov wrote: {error}"))
            })?;
            all.add(one);
        }
        if all.files.is_empty() {
            // Nobody is to take an earlier run's for this one's.
            let _ = std::fs::remove_file(&tracefile);
            let why = if self.guests.is_empty() { "no guest came to its end" } else { "the kernel counted nothing" };
            return Err(Failure::new(
                Exit::ReportNotWritten,
                format!("failed to say which lines of the kernel ran: {why}"),
            ));
        }
        file::write_atomic(&tracefile, |out| coverage::write(&all, out)).map_err(not_written)?;
        prepared.pages(&tracefile, &pages, interrupt)?;
        let mut text = format!("\nwhich lines of Linux {} ran\n\n", crate::sanitize::line(prepared.kernel()));
        text += &coverage::short(&all, terminal);
        if self.lost > 0 {
            let guests = count(self.lost, "guest");
            text += &format!("\nnot counted: what ran in {guests} that died or did not come to the end\n");
        }
        text += &format!("\ncoverage: {}\npages: {}\n", tracefile.display(), pages.join("index.html").display());
        Ok(text)
    }
}
