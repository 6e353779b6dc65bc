// SPDX-License-Identifier: MIT OR Apache-2.0
//! What needs nothing but the binary and the library: no lab, no root, no other program.
//!
//! `cargo test --test cli schemas` runs those of one module. What needs more is in `tests/lab`.

#[allow(dead_code)] // what only tests/lab uses
#[path = "../common/mod.rs"]
mod common;

mod ask;
mod cli;
mod coverage;
mod diagnostics;
mod explain;
mod guide;
mod hostile;
mod lab;
mod packs;
mod report;
mod report_junit;
mod report_lab;
mod report_merge;
mod report_summary;
mod scale;
mod schemas;

use common::fixture;
