//! What needs nothing but the binary and the library: no lab, no root, no other program.
//!
//! `cargo test --test cli schemas` runs those of one module. What needs more is in `tests/lab`.

#[allow(dead_code)] // what only tests/lab uses
#[path = "../common/mod.rs"]
mod common;
/// Made-up runs. They use events as the library's own tests do.
#[allow(dead_code)] // what only the library's tests use
#[path = "../../src/report/fixture.rs"]
mod fixture;

mod cli;
mod diagnostics;
mod explain;
mod guide;
mod hostile;
mod packs;
mod report;
mod report_junit;
mod scale;
mod schemas;

use vfiospec::{event, model}; // as the library calls them: for `fixture`
