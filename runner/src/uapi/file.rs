// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening and closing the kernel's device files, traced.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::{Tracer, trace::zero};
use crate::model::Errno;

pub fn open(path: &Path, tracer: &Tracer) -> Result<OwnedFd, Errno> {
    tracer.call(
        "open",
        format!("\"{}\", O_RDWR|O_CLOEXEC", path.display()),
        || match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Ok(OwnedFd::from(file)),
            Err(error) => Err(Errno::of(&error)),
        },
        |fd| fd.as_raw_fd().to_string(),
    )
}

/// The same file, opened once more and only to be read.
pub fn open_again_to_read(file: &OwnedFd, tracer: &Tracer) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let run = || OpenOptions::new().read(true).open(&path).map(OwnedFd::from).map_err(|error| Errno::of(&error));
    tracer.call("open", format!("\"{path}\", O_RDONLY|O_CLOEXEC"), run, |fd| fd.as_raw_fd().to_string())
}

/// Makes a file of `size` bytes on a tmpfs, which has no name and goes with the descriptor: in `/dev/shm`, or in the folder for
/// temporary files. `None` where neither is a tmpfs.
pub fn temporary(size: u64, tracer: &Tracer) -> Option<Result<OwnedFd, Errno>> {
    let folders = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let is_tmpfs = |folder: &PathBuf| statfs(folder).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
    let folder = folders.into_iter().find(is_tmpfs)?;
    let run = || {
        let options = OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).open(&folder);
        let made = options.and_then(|file| file.set_len(size).map(|()| file));
        made.map(OwnedFd::from).map_err(|error| Errno::of(&error))
    };
    let fields = format!("\"{}\", O_RDWR|O_CLOEXEC|O_TMPFILE", folder.display());
    Some(tracer.call("open", fields, run, |fd| fd.as_raw_fd().to_string()))
}

/// Closes a file; dropping it does the same, unseen by the trace.
pub fn close(fd: OwnedFd, tracer: &Tracer) {
    let number = fd.as_raw_fd().to_string();
    let run = || {
        drop(fd);
        Ok(())
    };
    let _ = tracer.call("close", number, run, zero);
}
