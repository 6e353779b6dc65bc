//! From the stream of [events](crate::event) to what people and Jenkins read.
//!
//! While a run goes on, [`journal`] keeps every event and [`progress`] shows it. Afterwards [`merge`] makes of one or more journals
//! a [`run`], an index, and each report is a pure function of that: [`junit`] for Jenkins, [`summary`] for the terminal.

pub mod diff;
mod exit;
pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
pub mod format;
pub mod html;
pub mod journal;
pub mod json;
pub mod junit;
pub mod merge;
pub mod progress;
pub mod run;
pub mod sanitize;
pub mod summary;
pub mod tap;
pub mod terminal;
