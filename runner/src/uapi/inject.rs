// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults that the kernel injects into its own allocations (`Documentation/fault-injection/fault-injection.rst`).
//!
//! A number in `/proc/thread-self/fail-nth` makes the allocation of that number fail which this thread makes next, once. It is there during
//! ioctls, reads, writes and mmaps of files only, so that nothing else fails.

use std::{cell::RefCell, fs, fs::File, fs::OpenOptions, io, os::unix::fs::FileExt, path::PathBuf};

const FILE: &str = "/proc/thread-self/fail-nth";
const DEBUGFS: &str = "/sys/kernel/debug";

/// The kernel's fault injection, set up for this thread. What was changed for it is put back when it is dropped.
#[derive(Debug)]
pub struct FailNth {
    changed: Vec<(PathBuf, String)>,
    /// Whether it was set up before, by one that is dropped later.
    is_inner: bool,
}

#[derive(Debug)]
struct Armed {
    file: File,
    /// The number of the allocation that is to fail, from the next such call on; 0 once it has failed.
    left: u32,
    failed: bool,
}

thread_local! {
    static ARMED: RefCell<Option<Armed>> = const { RefCell::new(None) };
}

impl FailNth {
    /// Sets it up. While one is kept, others of the same thread cost nothing.
    ///
    /// # Errors
    /// Why this kernel, or this process, cannot have it.
    pub fn new() -> Result<FailNth, String> {
        let mut all = FailNth { changed: Vec::new(), is_inner: with(|_| ()).is_some() };
        if all.is_inner {
            return Ok(all);
        }
        let file = OpenOptions::new().read(true).write(true).open(FILE);
        let file = file.map_err(|error| {
            format!("needs fault injection in the kernel (CONFIG_FAULT_INJECTION): {FILE}: {error}")
        })?;
        // Otherwise only allocations fail that may not wait.
        let slab = PathBuf::from(DEBUGFS).join("failslab/ignore-gfp-wait");
        let set = all.set(slab.clone(), "N");
        set.map_err(|error| {
            format!(
                "needs root, a kernel that is not locked down, and fault injection of CONFIG_FAILSLAB: {}: {error}",
                slab.display()
            )
        })?;
        let entries = fs::read_dir(DEBUGFS).into_iter().flatten().flatten();
        for folder in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("fail")) {
            // Not all of them have all of these. Each failure would be a stack trace in the kernel's log.
            // A page table is one page, and by default fail_page_alloc lets only larger ones fail.
            let settings =
                [("verbose", "0"), ("ignore-gfp-wait", "N"), ("ignore-gfp-highmem", "N"), ("min-order", "0")];
            for (name, value) in settings {
                _ = all.set(folder.path().join(name), value);
            }
        }
        ARMED.set(Some(Armed { file, left: 0, failed: false }));
        Ok(all)
    }

    fn set(&mut self, path: PathBuf, value: &str) -> io::Result<()> {
        let before = fs::read_to_string(&path)?;
        if before.trim() != value {
            fs::write(&path, value)?;
            self.changed.push((path, before));
        }
        Ok(())
    }

    /// Lets the allocation of this number fail, counted over such calls of this thread from now on.
    pub fn arm(&self, nth: u32) {
        with(|armed| (armed.left, armed.failed) = (nth, false));
    }

    /// Lets nothing fail any more. Returns whether an allocation has failed.
    pub fn disarm(&self) -> bool {
        with(|armed| {
            armed.left = 0;
            armed.failed
        })
        .unwrap_or(false)
    }
}

impl Drop for FailNth {
    fn drop(&mut self) {
        if !self.is_inner {
            ARMED.set(None);
        }
        for (path, before) in self.changed.iter().rev() {
            // Nobody is there to hear of it: these are settings of a kernel for tests.
            _ = fs::write(path, before);
        }
    }
}

/// Whether an allocation of this thread's calls was made to fail since [`FailNth::arm`].
pub fn has_failed() -> bool {
    with(|armed| armed.failed).unwrap_or(false)
}

fn with<T>(change: impl FnOnce(&mut Armed) -> T) -> Option<T> {
    ARMED.with_borrow_mut(|armed| armed.as_mut().map(change))
}

/// Makes a call in which an allocation may be to fail. Returns also whether one has.
pub(super) fn around<T>(run: impl FnOnce() -> T) -> (T, bool) {
    // No more than the call itself runs while it is armed: what else this thread does could fail, too.
    let armed = with(|armed| armed.left > 0 && armed.write(armed.left)).unwrap_or(false);
    let outcome = run();
    if !armed {
        return (outcome, false);
    }
    let failed = with(|armed| {
        armed.left = armed.read();
        armed.failed = armed.left == 0;
        // What is left is for the next call.
        armed.write(0);
        armed.failed
    });
    (outcome, failed.unwrap_or(false))
}

impl Armed {
    /// Writing may itself be what fails: then it is written again.
    fn write(&self, nth: u32) -> bool {
        let text = nth.to_string();
        (0..2).any(|_| self.file.write_at(text.as_bytes(), 0).is_ok())
    }

    /// How many allocations are left until the one that fails; 0 if it has failed.
    fn read(&self) -> u32 {
        let mut bytes = [0; 16];
        // Reading may itself be what fails, and so no allocation of the call has.
        let Ok(len) = self.file.read_at(&mut bytes, 0) else { return 1 };
        std::str::from_utf8(&bytes[..len]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_fails_where_nothing_is_armed() {
        assert_eq!(around(|| 7), (7, false));
    }
}
