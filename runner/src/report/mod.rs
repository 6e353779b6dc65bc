// SPDX-License-Identifier: MIT OR Apache-2.0
//! From [events](crate::event) to what people and Jenkins read.
//!
//! ```text
//! while a run goes on            afterwards
//!
//! events ──▶ journal ──────────▶ merge ──▶ run ──▶ format: junit, html, tap, ktap, lava, json
//!    │       lines of JSON                  │
//!    └─────▶ progress                       └────▶ summary, diff
//!            a bar on the terminal                 on the terminal
//! ```
//!
//! [`journal`] keeps every event, and [`progress`] shows it. [`merge`] reads one or more journals into a [`run::Run`], which is an index:
//! every report is a function of it, and asks it for the texts of one case at a time.
//!
//! To add a report that is a file, add a file of this module and a row of [`FORMATS`]. A report that is read on a terminal takes its
//! colours and its width from [`terminal`]. Whatever a kernel, a device or a user wrote passes [`crate::sanitize`].

mod answers;
mod attachments;
pub(crate) mod coverage;
pub(crate) mod diff;
mod environment;
mod exit;
mod explored;
pub(crate) mod fix_table;
mod fixes;
#[cfg(test)]
#[path = "../../tests/common/fixture.rs"]
pub(crate) mod fixture;
pub(crate) mod format;
mod html;
pub(crate) mod journal;
pub(crate) mod json;
mod junit;
mod ktap;
mod lava;
mod matrix;
mod measured;
pub(crate) mod merge;
mod note;
pub(crate) mod progress;
pub(crate) mod requirements;
pub(crate) mod run;
pub(crate) mod summary;
mod tap;
pub(crate) mod terminal;
pub(crate) mod trend;
mod words;

pub use format::Style;
pub use journal::{Text, read_file};
pub use json::schema;
pub use merge::Journal;
pub use run::{Counts, Full, Run, State};
pub use summary::render;
pub use terminal::Terminal;

/// All reports that are files, in the order of `--help`.
pub static FORMATS: [format::Format; 6] =
    [junit::FORMAT, html::FORMAT, tap::FORMAT, ktap::FORMAT, lava::FORMAT, json::FORMAT];
