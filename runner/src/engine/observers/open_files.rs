// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that the process has open.

use super::{Look, Observer, Shared, State};
use crate::host::facts;

pub struct OpenFiles;

impl Observer for OpenFiles {
    fn name(&self) -> &'static str {
        "open_files"
    }

    fn look(&self, _: &Shared) -> Look {
        let count = facts::open_files().ok_or("/proc/self/fd cannot be read")?;
        Ok(State::from([(0, count as u64)]))
    }

    fn wrong(&self, before: &State, now: &State) -> Option<String> {
        (before != now).then(|| format!("{} files are open, and {} were before the case", now[&0], before[&0]))
    }
}
