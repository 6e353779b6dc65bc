//! vfiospec runs YAML scenarios against the real ioctls of VFIO and IOMMUFD.
//!
//! Data flows one way, and the modules follow it:
//! [`language`] (text to typed scenarios, with diagnostics) → [`plan`] (matrix × backends × devices, a flat list of cases with
//! stable ids) → [`engine`] (runs one case on this host) → [`report`] (events to files and terminal).
//! Below all of them: [`model`] (the words that they share). Beside them: [`uapi`] (the only unsafe code), [`backend`] (five modes behind one trait), [`host`] (sysfs, devices, the kernel
//! log, what the IOMMU's page tables hold), [`lab`] (a guest with an emulated IOMMU), [`cli`] (one file a
//! verb), [`explain`] (what each code of a message means). At the bottom: [`model`] (the vocabulary that all share).

#![deny(unsafe_code)]

#[cfg(test)]
extern crate self as vfiospec; // The made-up runs in tests/common are shared with the integration tests.

pub mod backend;
pub mod cli;
pub mod engine;
pub mod event;
pub mod explain;
pub mod host;
pub mod lab;
pub mod language;
pub mod model;
pub mod plan;
pub mod report;
pub mod sanitize;
#[allow(unsafe_code)] // The one place: every block says why it is sound.
pub mod uapi;
