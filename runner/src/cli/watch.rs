// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--watch`: the same again whenever a file changes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use std::{collections::BTreeMap, fs, thread};

use crate::{model::count, suite::collect};

/// How often the files are looked at. That costs less than a crate for file system events, and sees changes over any file system.
const TICK: Duration = Duration::from_millis(200);

/// What shows that a file has changed.
type Stamp = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Does it now and after each change of a file below the paths, until the flag is set.
pub fn on_change(paths: &[PathBuf], interrupt: &AtomicBool, mut act: impl FnMut()) {
    while !interrupt.load(Ordering::Relaxed) {
        let before = stamp(paths);
        act();
        if interrupt.load(Ordering::Relaxed) {
            return;
        }
        eprintln!("vfiospec: waiting for a change of {}; Ctrl-C ends", count(before.len(), "file"));
        while !interrupt.load(Ordering::Relaxed) && stamp(paths) == before {
            thread::sleep(TICK);
        }
        // An editor that writes in several goes is done by then.
        thread::sleep(TICK / 4);
    }
}

fn stamp(paths: &[PathBuf]) -> Stamp {
    let mut files = Vec::new();
    for path in paths {
        // What is not there, or not at the moment, may come.
        let _ = collect(path, &mut files);
    }
    let of = |path: &Path| fs::metadata(path).map(|file| (file.modified().ok(), file.len())).unwrap_or_default();
    files.into_iter().map(|path| (path.clone(), of(&path))).collect()
}
