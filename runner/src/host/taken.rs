// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which devices are taken: by a vfiospec that runs, which holds a lock, or by one that was killed, which left a note.
//!
//! The lock is on a file of sysfs that everybody can read, so that all users have the same, and it ends with its process. The note is in
//! `/run`: a reboot clears it, and also undoes what the note describes.

use std::fs::{self, File};
use std::io;
use std::os::{fd::OwnedFd, unix::fs::MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno as Nix;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::Root;
use super::pci::attribute;
use crate::model::Bdf;

const FOLDER: &str = "run/vfiospec";

/// A device that no other vfiospec uses meanwhile.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<OwnedFd>,
}

/// Who has a device: a process, with its command line. Where neither is known, the text is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    pub process: Option<u32>,
    pub command: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.process {
            Some(process) => write!(f, "another vfiospec (process {process}: {})", self.command),
            None => f.write_str("another vfiospec"),
        }
    }
}

impl Lock {
    /// Takes the lock. Where there is no file to lock, nobody else has it either.
    ///
    /// # Errors
    /// Who has it.
    pub(super) fn take(root: &Root, bdf: Bdf) -> Result<Option<Lock>, Holder> {
        let path = root.join(attribute(bdf, "vendor"));
        let Ok(file) = File::open(&path) else { return Ok(None) };
        let inode = file.metadata().map(|file| file.ino()).unwrap_or_default();
        match Flock::lock(OwnedFd::from(file), FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Some(Lock { _file: file })),
            Err((_, Nix::EWOULDBLOCK)) => Err(holder(root, inode)),
            Err(_) => Ok(None),
        }
    }
}

/// The process that has a lock on the file of this number (`/proc/locks`: number, FLOCK, ADVISORY, WRITE, process, device:inode, …).
fn holder(root: &Root, inode: u64) -> Holder {
    let locks = root.text("proc/locks").unwrap_or_default();
    let process = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1) == Some(&"FLOCK") && fields.get(5)?.rsplit(':').next()? == inode.to_string();
        is_it.then(|| fields[4].parse::<u32>().ok()).flatten()
    });
    let words = process.and_then(|process| fs::read(root.join(format!("proc/{process}/cmdline"))).ok());
    let words = String::from_utf8_lossy(&words.unwrap_or_default()).replace('\0', " ");
    Holder { process, command: words.trim_end().to_owned() }
}

/// What a device was before it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub bdf: String,
    /// The driver that it had; `None` if it had none.
    pub driver: Option<String>,
    /// What `driver_override` was; empty if it was unset.
    pub driver_override: String,
    /// The process that took it.
    pub process: u32,
    /// The network interfaces that were up, without anybody using them.
    #[serde(default)]
    pub up: Vec<String>,
}

/// What a run that took a device has left about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    Note(Note),
    /// The file, and what is wrong with it.
    Unreadable(PathBuf, String),
}

fn path(root: &Root, bdf: Bdf) -> PathBuf {
    root.join(Path::new(FOLDER).join(format!("{bdf}.json")))
}

impl Note {
    /// Leaves the note, before the device is taken. It comes into being whole.
    pub(super) fn leave(&self, root: &Root, bdf: Bdf) -> io::Result<()> {
        let path = path(root, bdf);
        fs::create_dir_all(root.join(FOLDER))?;
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }

    /// Of this process.
    pub(super) fn new(bdf: Bdf, driver: Option<String>, driver_override: String) -> Note {
        Note { bdf: bdf.to_string(), driver, driver_override, process: std::process::id(), up: Vec::new() }
    }

    /// What is known about a device that was taken and not given back.
    pub(super) fn about(root: &Root, bdf: Bdf) -> Left {
        let path = path(root, bdf);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Left::Nothing,
            Err(error) => return Left::Unreadable(path, error.to_string()),
        };
        match serde_json::from_slice::<Note>(&text) {
            Ok(note) if note.bdf == bdf.to_string() => Left::Note(note),
            Ok(note) => Left::Unreadable(path, format!("it is about {}", note.bdf)),
            Err(error) => Left::Unreadable(path, error.to_string()),
        }
    }

    /// The device was given back.
    pub(super) fn remove(root: &Root, bdf: Bdf) {
        let _ = fs::remove_file(path(root, bdf));
    }
}

/// The devices that were taken and not given back, also by a vfiospec that still runs.
pub fn all() -> Vec<Bdf> {
    all_in(&Root::default())
}

fn all_in(root: &Root) -> Vec<Bdf> {
    let names = root.names(FOLDER);
    names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn one_at_a_time_has_a_device() {
        let tree = Tree::new("lock");
        let first = Lock::take(&tree.root(), tree.bdf()).expect("nobody has it");
        assert!(first.is_some());
        let inode = fs::metadata(tree.root().join(attribute(tree.bdf(), "vendor"))).unwrap().ino();
        let locks = format!(
            "1: POSIX  ADVISORY  READ 7 00:05:{inode} 0 EOF\n2: FLOCK  ADVISORY  WRITE 42 00:05:{inode} 0 EOF\n"
        );
        tree.put("proc/locks", &locks);
        tree.put("proc/42/cmdline", "vfiospec\0run\0--device\x000000:03:00.0\0");
        let told = Lock::take(&tree.root(), tree.bdf()).unwrap_err().to_string();
        assert_eq!(told, "another vfiospec (process 42: vfiospec run --device 0000:03:00.0)");
        drop(first);
        assert!(Lock::take(&tree.root(), tree.bdf()).is_ok_and(|lock| lock.is_some()), "it ends with its process");
        let absent = "ff:1f.7".parse().unwrap();
        assert!(Lock::take(&tree.root(), absent).is_ok_and(|lock| lock.is_none()));
    }

    #[test]
    fn a_note_is_read_back_and_a_broken_one_is_told_apart_from_none() {
        let tree = Tree::new("note");
        let (root, bdf) = (tree.root(), tree.bdf());
        assert_eq!(Note::about(&root, bdf), Left::Nothing);
        let note = Note { up: vec!["eth0".into()], ..Note::new(bdf, Some("igb".into()), String::new()) };
        note.leave(&root, bdf).unwrap();
        assert_eq!((Note::about(&root, bdf), all_in(&root)), (Left::Note(note), vec![bdf]));
        for (text, wrong) in [
            ("{", "EOF while parsing"),
            (r#"{"bdf":"0000:04:00.0","driver":null,"driver_override":"","process":7}"#, "it is about 0000:04:00.0"),
        ] {
            tree.put(&format!("{FOLDER}/{bdf}.json"), text);
            assert!(
                matches!(Note::about(&root, bdf), Left::Unreadable(file, why) if file.ends_with("0000:03:00.0.json") && why.contains(wrong))
            );
        }
        Note::remove(&root, bdf);
        assert!(all_in(&root).is_empty());
    }
}
