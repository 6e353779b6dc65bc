// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starts and watches what runs cases: workers on this machine, guests in the lab; and keeps what they tell.

mod course;
mod coverage;
mod devices;
mod error;
mod exec;
mod guests;
mod here;
mod inside;
pub mod interrupt;
mod lender;
mod output;
mod reports;
mod resume;

pub use course::Course;
pub use coverage::{Reached, TRACEFILE};
pub use devices::{Named, Taking, at_site, grant, named, release};
pub use error::Failure;
pub use exec::{exec, job};
pub use guests::{LabRun, SCENARIOS};
pub use here::{HereRun, run_for_host, run_here, started};
pub use inside::inside;
pub use lender::{lend, lender, to_lend};
pub use output::{Begun, Output, nothing};
pub use reports::{JOURNAL, Outputs, Reports, print};
pub use resume::Resumed;
