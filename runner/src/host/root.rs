// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where /sys, /proc and /dev hang: `/`, or a folder that a test has made.

use std::path::{Path, PathBuf};
use std::{fs::File, io::Read};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

/// The real one, `/`.
impl Default for Root {
    fn default() -> Self {
        Root("/".into())
    }
}

impl Root {
    #[cfg(test)]
    pub fn at(folder: &Path) -> Root {
        Root(folder.into())
    }

    /// `path` below it; `path` has no leading slash.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// A file's text without the newline at its end; `None` if it cannot be read.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        // Some files, such as /proc/vmstat, are made anew for each read: with room from the beginning there are few.
        let mut text = String::with_capacity(16 << 10);
        // Nor does their size say anything: `take` spares the system calls that ask for it.
        File::open(self.join(path)).ok()?.take(u64::MAX).read_to_string(&mut text).ok()?;
        // The tag of a 9p share ends with a zero byte (`p9_mount_tag_show` in net/9p/trans_virtio.c).
        text.truncate(text.trim_end_matches(|c: char| c.is_whitespace() || c == '\0').len());
        Some(text)
    }

    /// The last part of what a link points to: sysfs's way to name a driver, a group, a bus.
    pub(super) fn link_name(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = std::fs::read_link(self.join(path)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    /// The names in a folder, sorted; none if there is no such folder.
    pub(super) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.join(path)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
