// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's files: a newc archive (linux/Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed,
//! because unpacking costs the guest more than reading.

use std::{collections::BTreeSet, path::PathBuf};

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
}

/// The part of the job that the guest's init reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    /// A person's shell on the console instead of `argv`.
    pub shell: bool,
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
        for folder in ["dev", "proc", "sys", "tmp", "root"] {
            archive.folder(folder);
        }
        archive.entry("dev/console", TERMINAL, (5, 1), &[]);
        archive
    }

    pub fn program(&mut self, path: &str, bytes: &[u8]) {
        self.file(path, PROGRAM, bytes);
    }

    pub fn data(&mut self, path: &str, bytes: &[u8]) {
        self.file(path, DATA, bytes);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            self.folder(&path[..at]);
        }
        self.entry(path, mode, (0, 0), bytes);
    }

    fn folder(&mut self, path: &str) {
        if self.folders.insert(path.to_owned()) {
            self.entry(path, FOLDER, (0, 0), &[]);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
        self.inode += 1;
        let length = |length: usize| u32::try_from(length).expect("a file of the guest is smaller than 4 GiB");
        let (links, nobody, no_time, no_sum) = (1, 0, 0, 0);
        let (size, name_size) = (length(bytes.len()), length(name.len() + 1));
        let header =
            [self.inode, mode, nobody, nobody, links, no_time, size, 0, 0, device.0, device.1, name_size, no_sum];
        self.bytes.extend_from_slice(b"070701");
        for number in header {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(bytes);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back as the kernel does: name, mode, content.
    fn read(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let whole = bytes.len();
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |at: usize| {
                let text = std::str::from_utf8(&bytes[6 + at * 8..14 + at * 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).unwrap();
            let skip = |bytes: &[u8], to: usize| (whole - bytes.len() + to).next_multiple_of(4) - (whole - bytes.len());
            bytes = &bytes[skip(bytes, 110 + name_size)..];
            let content = bytes[..size].to_vec();
            bytes = &bytes[skip(bytes, size)..];
            if name == "TRAILER!!!" {
                assert!(bytes.is_empty());
                return entries;
            }
            entries.push((name, mode, content));
        }
    }

    #[test]
    fn an_archive_reads_back_with_each_folder_once_and_before_its_files() {
        let mut archive = Archive::new();
        archive.program("/init", b"ELF.");
        archive.data("/a/b/one.yaml", b"12345");
        archive.data("a/b/two.yaml", b"");
        let entries = read(&archive.finish());
        let names = entries.iter().map(|entry| entry.0.as_str()).collect::<Vec<_>>();
        let expected =
            ["dev", "proc", "sys", "tmp", "root", "dev/console", "init", "a", "a/b", "a/b/one.yaml", "a/b/two.yaml"];
        assert_eq!(names, expected);
        assert_eq!(entries[6], ("init".into(), PROGRAM, b"ELF.".to_vec()));
        assert_eq!(entries[9].2, b"12345");
    }
}
