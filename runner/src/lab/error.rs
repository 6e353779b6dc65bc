// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong between `vfiospec lab` and the guest's first line.

use std::{fmt, path::Path};

use crate::model::Exit;

/// Why there is no lab, and what to do about it.
///
/// ```text
/// failed to unpack the kernel's source: dpkg-deb: error: archive is truncated
///   the download /home/a/.cache/vfiospec/apt/… was damaged and has been removed
///   help: run the command again
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabError {
    /// What the process exits with: [`Exit::Usage`] for options that this QEMU or this kernel cannot meet, [`Exit::Interrupted`] for Ctrl-C,
    /// and [`Exit::NoVerdict`] for what is missing or fails on this machine.
    pub exit: Exit,
    pub what: String,
    /// What was read and what was expected, the tail of a log; any number of lines.
    pub detail: Option<String>,
    /// What to do; the command that an administrator runs, where programs are missing.
    pub help: Option<String>,
}

impl LabError {
    pub fn new(what: impl Into<String>) -> Self {
        Self { exit: Exit::NoVerdict, what: what.into(), detail: None, help: None }
    }

    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what) }
    }

    /// Ctrl-C while `doing` ("building the kernel").
    pub fn interrupted(doing: &str) -> Self {
        Self { exit: Exit::Interrupted, ..Self::new(format!("interrupted while {doing}")) }
    }

    /// `failed to <verb> <path>: <error>`, with a hint where the error's number suggests one.
    pub fn io(verb: &str, path: &Path, error: &std::io::Error) -> Self {
        let new = Self::new(format!("failed to {verb} {}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::StorageFull => {
                new.help("free some space there, or name another folder with VFIOSPEC_CACHE (it needs about 4 GiB)")
            }
            std::io::ErrorKind::PermissionDenied => {
                new.help("name a folder you may write with VFIOSPEC_CACHE, or give yourself access")
            }
            _ => new,
        }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        self.detail = (!detail.trim().is_empty()).then_some(detail);
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Why there is no lab, in one line; `None` for an interrupt.
    pub fn reason(&self) -> Option<&str> {
        (self.exit != Exit::Interrupted).then_some(&self.what)
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for line in self.detail.iter().flat_map(|detail| detail.lines()) {
            write!(f, "\n  {line}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LabError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_read_and_what_to_do() {
        let error = LabError::new("failed to build the kernel").detail("a.c:1: error\nmake: ***").help("read it");
        assert_eq!(error.to_string(), "failed to build the kernel\n  a.c:1: error\n  make: ***\n  help: read it");
        assert_eq!(error.exit, Exit::NoVerdict);
        assert_eq!(LabError::usage("x").exit, Exit::Usage);
        assert_eq!(LabError::interrupted("waiting").exit, Exit::Interrupted);
    }

    #[test]
    fn a_full_disk_suggests_another_folder() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = LabError::io("write", Path::new("/c/x"), &full);
        assert!(error.help.unwrap().contains("VFIOSPEC_CACHE"));
    }
}
