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
mod verdict;

pub use backend::{BackendName, UnknownBackend};
pub use bdf::{Bdf, NotBdf};
pub use case_id::{CaseId, NotCaseId, device_in};
pub use device::{Capability, DeviceKind};
pub use errno::Errno;
pub use exit::Exit;
pub use verdict::{Observed, Verdict};
