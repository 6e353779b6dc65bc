// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any request by its name: for arguments that no sensible program would pass.
//!
//! [`find`] knows each request of VFIO and IOMMUFD with its struct's fields; [`Request::prepare`] fills in the argument as
//! the caller likes it, right or wrong, and [`prepared::Prepared::call`] hands it to the kernel.
//!
//! # What keeps this safe
//! - The argument lies alone in memory of its own, with nothing behind it: however large `argsz` claims it to be, the
//!   kernel writes there or fails with `EFAULT`.
//! - An address in the argument is 0, or lies in a [`Mapping`](super::Mapping) that the caller holds, or where no process
//!   has memory ([`pointer::NOWHERE`]). Where the kernel writes through it, all the bytes that it may write lie there, and not in a
//!   device's registers. Where it pins memory for a device, the stretch begins there, and cannot reach other memory:
//!   nothing is behind a mapping either.
//! - A number means different requests on different files, so the rules are those of the file that it is called on.
//!
//! This holds for the kernel's headers up to 7.3: what a later kernel reads from behind a struct is not known here.

mod arrays;
mod ask;
pub(super) mod capabilities;
mod decoded;
mod features;
mod layout;
mod mock;
mod pointer;
mod prepared;
mod table;
mod words;

pub use decoded::Decoded;
pub use features::{FEATURES, FLAGS, Feature, Method, PROBE};
pub use layout::{
    Argument, Array, Capability, Chain, Count, Direction, Effect, Field, File, Means, Place, Request, Words,
};
pub use pointer::{Does, Pointer, When};
pub use prepared::{Elements, Lies};
pub use table::{all, find, shown};
