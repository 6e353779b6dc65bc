// SPDX-License-Identifier: MIT OR Apache-2.0
//! An open file, whose closing is in the trace.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::uapi::{self, Tracer};

#[derive(Debug)]
pub struct File {
    /// There until the drop.
    fd: Option<OwnedFd>,
    pub tracer: Tracer,
}

impl File {
    pub fn new(fd: OwnedFd, tracer: &Tracer) -> File {
        File { fd: Some(fd), tracer: tracer.clone() }
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("open until dropped").as_fd()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take() {
            uapi::close(fd, &self.tracer);
        }
    }
}
