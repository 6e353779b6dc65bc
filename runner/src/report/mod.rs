//! From the stream of [events](crate::event) to what people and Jenkins read.
//!
//! While a run goes on, [`journal`] keeps every event and [`progress`] shows it. Afterwards [`run`] folds a journal into
//! results, and each report is a pure function of those: [`junit`] for Jenkins, [`summary`] for the terminal.

pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
pub mod journal;
pub mod junit;
pub mod progress;
pub mod run;
pub mod sanitize;
pub mod summary;
pub mod terminal;
