//! Opening and closing the kernel's device files, traced.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::{Errno, Tracer};

/// Opens a device file for reading and writing, closed on exec.
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

/// Closes a file; dropping it does the same, unseen by the trace.
pub fn close(fd: OwnedFd, tracer: &Tracer) {
    let number = fd.as_raw_fd().to_string();
    let run = || {
        drop(fd);
        Ok(())
    };
    let _ = tracer.call("close", number, run, |()| "0".into());
}
