// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's files: a newc archive (linux/Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed,
//! because unpacking costs the guest more than reading.

use std::{collections::BTreeSet, io::Write, path::PathBuf};

use cpio::newc::{Builder, trailer};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Absolute paths in the guest and their content; the folders above are created.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// The same for files that are executable.
    pub programs: Vec<(PathBuf, Vec<u8>)>,
    /// The arguments of this binary in the guest, without the program's name; [`JOURNAL_PORT`](super::JOURNAL_PORT)
    /// is the path of the port that [`Guest::next_line`](super::Guest::next_line) reads.
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Whether guests that run at the same time have more processors than this machine. Under emulation those of each then take turns:
    /// processors that run at once spend much of their time on waking each other.
    pub crowded: bool,
    /// Whether a person may get the console ([`Guest::attach`](super::Guest::attach)).
    pub attachable: bool,
}

/// The part of the job that the guest's init reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    /// A person's shell on the console instead of `argv`.
    pub shell: bool,
    /// The kernel's modules to load first, in this order.
    pub modules: Vec<PathBuf>,
    /// Whether to tell what the kernel counted when the command has ended.
    pub counted: bool,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DATA: u32 = 0o100_644;
const TERMINAL: u32 = 0o020_600;

#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    inode: u32,
}

impl Archive {
    /// An archive with the folders to mount on and the console that the kernel gives to init.
    pub fn new() -> Self {
        let mut archive = Self::default();
        ["dev", "proc", "sys", "tmp", "root"].into_iter().for_each(|folder| archive.folder(folder));
        archive.entry(Builder::new("dev/console").mode(TERMINAL).rdev_major(5).rdev_minor(1), &[]);
        archive
    }

    pub fn program(&mut self, path: &str, bytes: &[u8]) {
        self.file(path, PROGRAM, bytes);
    }

    pub fn data(&mut self, path: &str, bytes: &[u8]) {
        self.file(path, DATA, bytes);
    }

    pub fn finish(self) -> Vec<u8> {
        trailer(self.bytes).expect("memory takes all")
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            self.folder(&path[..at]);
        }
        self.entry(Builder::new(path).mode(mode), bytes);
    }

    fn folder(&mut self, path: &str) {
        if self.folders.insert(path.to_owned()) {
            self.entry(Builder::new(path).mode(FOLDER), &[]);
        }
    }

    fn entry(&mut self, entry: Builder, bytes: &[u8]) {
        self.inode += 1;
        let size = u32::try_from(bytes.len()).expect("a file of the guest is smaller than 4 GiB");
        let mut writer = entry.ino(self.inode).nlink(1).write(&mut self.bytes, size);
        writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).expect("memory takes all");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use cpio::newc::Reader;

    use super::*;

    #[test]
    fn an_archive_reads_back_with_each_folder_once_and_before_its_files() {
        let mut archive = Archive::new();
        archive.program("/init", b"ELF.");
        archive.data("/a/b/one.yaml", b"12345");
        archive.data("a/b/two.yaml", b"");
        let bytes = archive.finish();
        let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
        loop {
            let mut reader = Reader::new(rest).unwrap();
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            rest = reader.finish().unwrap();
            entries.push((name, mode, content));
        }
        let names = entries.iter().map(|entry| entry.0.as_str()).collect::<Vec<_>>();
        let expected =
            ["dev", "proc", "sys", "tmp", "root", "dev/console", "init", "a", "a/b", "a/b/one.yaml", "a/b/two.yaml"];
        assert_eq!(names, expected);
        assert_eq!(entries[6], ("init".into(), PROGRAM, b"ELF.".to_vec()));
        assert_eq!(entries[9].2, b"12345");
    }
}
