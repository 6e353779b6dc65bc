// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words that all rooms share: names and values that mean the same in a scenario, a plan, a run and a report.
//!
//! This module is below all others and imports none of them.

mod backend;
mod bdf;
mod case_id;
pub mod code;
mod device;
mod errno;
mod exit;
mod fix;
mod random;
mod text;
mod verdict;

pub use exit::{Exit, for_bisect};
pub use fix::{Commit, Fix, Release};
pub use verdict::{Observed, Verdict};

pub(crate) use backend::{ANY_BACKEND, BackendName};
pub(crate) use bdf::Bdf;
pub(crate) use case_id::{CaseId, device_in};
pub(crate) use device::{Capability, DeviceKind, Identity};
pub(crate) use errno::Errno;
pub(crate) use random::Random;
pub(crate) use text::{count, fingerprint, size};
