//! What a worker is doing: a line that it leaves where the runner looks when it is late or dead.
//!
//! It lies in memory that both have. A message for each step would wake the runner each time, which takes longer than many steps.

use std::{
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

/// The line.
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

    /// The number of its file.
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// A step begins: if the worker is not heard of again, it was this one.
    pub fn say(&self, what: &str) {
        let mut line: Vec<u8> =
            what.bytes().take(MOST - 1).map(|byte| if byte == b'\n' { b' ' } else { byte }).collect();
        line.push(b'\n');
        let _ = self.0.write_all_at(&line, 0); // without memory for a page there is no word of what it does
    }

    /// The last step that began; `None` before the first.
    pub fn last(&self) -> Option<String> {
        let mut line = [0; MOST];
        let length = self.0.read_at(&mut line, 0).ok()?;
        let end = line[..length].iter().position(|byte| *byte == b'\n')?;
        (end > 0).then(|| String::from_utf8_lossy(&line[..end]).into_owned())
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
        worker.say("unmap_all at scenarios/a.yaml:31");
        worker.say("map at\na.yaml:7");
        assert_eq!(runners.last().unwrap(), "map at a.yaml:7");
        worker.say(&"x".repeat(2 * MOST));
        assert_eq!(runners.last().unwrap().len(), MOST - 1);
        runners.say("");
        assert_eq!(runners.last(), None);
    }
}
