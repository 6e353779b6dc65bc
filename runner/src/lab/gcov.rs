// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel counted of itself, read by the compiler's own gcov: its format changes with each version of the compiler.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::apt::Archive;
use super::boot::{self, RunFolder};
use super::cache::{self, Cache};
use super::child::{self, Ending, Runner};
use super::kernel::Counted;
use super::prepare::{Prepared, builders};
use super::protocol::Counters;
use super::{error::LabError, progress::Progress, tools};

/// What reads counters and shows them beside the source.
#[derive(Debug, Clone)]
pub(super) struct Gcov {
    counted: Counted,
    program: PathBuf,
    grcov: PathBuf,
}

impl Gcov {
    /// The gcov of the compiler that built the kernel, and grcov.
    pub fn get(counted: &Counted, cache: &Cache, progress: Progress, interrupt: &AtomicBool) -> Result<Self, LabError> {
        let arch = counted.arch;
        let builder = builders(arch).pop().expect("something builds a kernel");
        let found = || Some((builder.cached(cache)?, tools::COVERAGE.cached(cache)?));
        let (builder, grcov) = match found() {
            Some(found) => found,
            None => {
                let _lock = cache.lock("prepare", progress, interrupt)?;
                let archive = Archive::new(cache, progress, interrupt);
                (builder.get(&archive)?, tools::COVERAGE.get(&archive)?)
            }
        };
        let prefix = arch.row().cross.map(|cross| cross.prefix).unwrap_or_default();
        let program = builder.join("usr/bin").join(format!("{prefix}gcov"));
        Ok(Self { counted: counted.clone(), program, grcov: grcov.join("usr/bin/grcov") })
    }
}

impl Prepared {
    /// What the counters of one guest mean, as gcov's documents of JSON: one for each object.
    pub fn explain(&self, counters: &[Counters], interrupt: &AtomicBool) -> Result<String, LabError> {
        let Some(Gcov { counted, program, .. }) = &self.gcov else { return Ok(String::new()) };
        let folder = RunFolder::create(&self.cache, self.progress, interrupt)?;
        let mut files = Vec::new();
        for Counters { object, data } in counters {
            let notes = counted.objects.join(format!("{object}.gcno"));
            let file = folder.path(&format!("{object}.gcda"));
            cache::create(file.parent().unwrap_or(&file))?;
            boot::write(&file, data)?;
            let beside = file.with_extension("gcno");
            symlink(&notes, &beside).map_err(|error| LabError::io("create", &beside, &error))?;
            files.push(file);
        }
        let mut gcov = child::command(&program.to_string_lossy(), Ending::Killed);
        gcov.args(["--json-format", "--stdout", "--branch-probabilities"]).args(files).current_dir(folder.path(""));
        let doing = "reading what the kernel counted";
        Runner { doing, interrupt, ending: Ending::Killed, log: None }.read(gcov)
    }

    /// Writes pages with the source of the lines in a tracefile of LCOV's format.
    pub fn pages(&self, tracefile: &Path, folder: &Path, interrupt: &AtomicBool) -> Result<(), LabError> {
        let Some(Gcov { counted, grcov, .. }) = &self.gcov else { return Ok(()) };
        let whole = std::path::absolute(tracefile).map_err(|error| LabError::io("find", tracefile, &error))?;
        cache::remove(folder)?;
        let mut command = child::command(&grcov.to_string_lossy(), Ending::Killed);
        command.arg(whole).args(["--output-types", "html", "--branch", "--output-path"]).arg(folder);
        command.arg("--source-dir").arg(&counted.source);
        Runner { doing: "writing the pages of the coverage", interrupt, ending: Ending::Killed, log: None }
            .succeed(command, |_| {})
    }
}
