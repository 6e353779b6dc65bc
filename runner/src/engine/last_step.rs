// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a worker is doing: a line that it leaves where the runner looks when it is late or dead.
//!
//! It lies in memory that both have. A message for each step would wake the runner each time, which takes longer than many steps.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// The longest line, in bytes.
const MOST: usize = 4096;

/// What a worker is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    /// The verb of a step, or a sentence without one.
    pub what: String,
    /// Where the step is written: `file:line`.
    pub place: Option<String>,
    /// What it will do, as a scenario, if nobody wrote that down.
    pub scenario: Option<String>,
}

impl From<String> for Doing {
    /// Something that no step says.
    fn from(what: String) -> Doing {
        Doing { what, place: None, scenario: None }
    }
}

/// `map at a.yaml:7`
impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} at {place}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl Doing {
    /// What several threads are doing, at the place of the last.
    pub fn all<'d>(doing: impl Iterator<Item = &'d Doing>) -> Doing {
        doing
            .cloned()
            .reduce(|all, next| Doing { what: format!("{all}, and {}", next.what), ..next })
            .unwrap_or_else(|| String::new().into())
    }
}

pub struct LastStep(File);

impl LastStep {
    /// An empty one, which processes that are started from here have too.
    pub fn new() -> io::Result<LastStep> {
        // Not closed on exec: the worker opens it by its number.
        let file: OwnedFd = memfd_create("last_step", MFdFlags::empty())?;
        Ok(LastStep(file.into()))
    }

    /// The runner's, in the worker.
    pub fn of_runner(number: i32) -> io::Result<LastStep> {
        OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{number}")).map(LastStep)
    }

    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// A step begins: if the worker is not heard of again, it was this one.
    pub fn say(&self, doing: &Doing) {
        // The place comes first, for a text that is too long.
        let lines = [doing.place.as_deref().unwrap_or_default(), &doing.what].map(|text| text.replace('\n', " "));
        let mut bytes = lines.join("\n").into_bytes();
        bytes.truncate(MOST - 1);
        bytes.push(b'\n');
        let _ = self.0.write_all_at(&bytes, 0); // a failed write cannot be reported from here
    }

    pub fn clear(&self) {
        self.say(&String::new().into());
    }

    /// The last step that began; `None` before the first.
    pub fn last(&self) -> Option<Doing> {
        let mut bytes = [0; MOST];
        let length = self.0.read_at(&mut bytes, 0).ok()?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        let (place, rest) = text.split_once('\n')?;
        let (what, _) = rest.split_once('\n')?;
        let place = Some(place.to_owned()).filter(|place| !place.is_empty());
        (!what.is_empty()).then(|| Doing { what: what.to_owned(), place, scenario: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_is_read_whole_whatever_was_there_before() {
        let runners = LastStep::new().unwrap();
        assert_eq!(runners.last(), None);
        let worker = LastStep::of_runner(runners.number()).unwrap();
        let step = |what: &str, place: &str| Doing { what: what.into(), place: Some(place.into()), scenario: None };
        worker.say(&step("unmap_all", "scenarios/a.yaml:31"));
        worker.say(&step("map at\n", "a at b.yaml:7"));
        assert_eq!(runners.last(), Some(step("map at ", "a at b.yaml:7")));
        worker.say(&"x".repeat(2 * MOST).into());
        assert_eq!(runners.last().unwrap().what.len(), MOST - 2);
        let both = Doing::all([step("map", "a.yaml:1"), step("unmap", "a.yaml:2")].iter());
        assert_eq!(
            (both.to_string().as_str(), both.place.as_deref()),
            ("map at a.yaml:1, and unmap at a.yaml:2", Some("a.yaml:2"))
        );
        runners.clear();
        assert_eq!(runners.last(), None);
    }
}
