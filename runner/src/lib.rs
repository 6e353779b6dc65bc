// SPDX-License-Identifier: MIT OR Apache-2.0
//! vfiospec runs YAML scenarios against the real ioctls of VFIO and IOMMUFD.
//!
//! Data flows one way, and the modules follow it:
//!
//! ```text
//! language ──scenarios──▶ suite ──▶ plan ──cases──▶ engine ──events──▶ report
//!                                                     │
//!                                                     ▼
//!                                                  backend ──▶ uapi ──▶ the kernel
//! ```
//!
//! - [`language`] turns YAML into typed scenarios, or into diagnostics.
//! - [`suite`] finds the scenarios and packs that the user names, and loads them.
//! - [`plan`] makes a flat list of cases with stable ids: matrix × backends × devices.
//! - [`engine`] runs the cases on this host, in worker processes, and emits an [`event`] for whatever happens.
//! - [`report`] stores the events and makes every report from them.
//! - [`backend`] has the five ways to map memory for a device; [`uapi`] has the requests, and the only unsafe code.
//! - [`host`] knows this machine: PCI devices, drivers, the kernel's log, the IOMMU's page tables.
//! - [`lab`] boots a guest with an emulated IOMMU, in which all of this runs, too.
//! - [`session`] starts and watches what runs cases: workers on this host, guests in the lab.
//! - [`cli`] is the command line, one file a verb; [`explain`] has the page of each code of a message.
//! - [`model`] is the vocabulary that all of them share, and imports none of them.
//!
//! The modules that are public are for the tests, the benchmark and the fuzzer.
//!
//! To follow a case through the code, begin with [`engine::run()`].

#![deny(unsafe_code)]
#![allow(rustdoc::private_intra_doc_links)] // The documentation is for those who change it, and has the private items.

#[cfg(test)]
extern crate self as vfiospec; // The made-up runs in tests/common are shared with the integration tests.

mod backend;
mod cli;
mod engine;
pub mod event;
pub mod explain;
pub mod file;
mod host;
pub mod lab;
pub mod language;
pub mod model;
pub mod plan;
pub mod report;
mod sanitize;
mod session;
mod suite;
#[allow(unsafe_code)] // The one place: every block says why it is sound.
mod uapi;

pub use cli::main;
