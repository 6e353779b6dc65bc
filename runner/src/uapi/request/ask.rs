// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests that only read, with room for all that the kernel has to say.

use std::os::fd::BorrowedFd;

use super::{Decoded, Request};
use crate::{model::Errno, uapi::Tracer};

impl Request {
    /// What the kernel says of a file: the fields that it writes, lists and capabilities. It is asked again with more room if its first
    /// answer says that it needs that.
    pub fn ask(
        &'static self,
        fd: BorrowedFd,
        values: &[(&str, u64)],
        tracer: &Tracer,
    ) -> Result<Vec<(&'static str, Decoded)>, Errno> {
        let call = |argsz| {
            let prepared =
                self.prepare(values, &[], argsz, &[], &[]).expect("the values are those of the request's fields");
            prepared.call(fd, tracer).expect("there are no addresses in what is asked")
        };
        let first = call(None);
        first.value?;
        let needed = first.fields.iter().find(|(name, _)| *name == "argsz").map_or(0, |(_, argsz)| *argsz);
        match u32::try_from(needed) {
            Ok(needed) if needed as usize > self.size => {
                let again = call(Some(needed));
                again.value.map(|_| again.decoded)
            }
            _ => Ok(first.decoded),
        }
    }
}
