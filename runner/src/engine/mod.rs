// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs cases on this host.
//!
//! ```text
//! the runner: run()                          a worker process: worker::main
//!
//! plan ──▶ schedule ──case──▶ process ══JSON lines══▶ Engine ──▶ backend, uapi
//!                                │                       │
//! events ◀───────────────────────┘ ◀══════results════════┘
//! ```
//!
//! [`run()`] hands cases to a worker, and takes its results. It interrupts a worker whose case is late, starts another after a crash, and
//! gives a device up that a case left stuck in the kernel. `Engine` lives in the worker: it opens the devices, runs the steps of a case,
//! has the observers look before and after, and proves that the case left nothing behind.
//!
//! In the worker, each file imports only what stands above it here:
//!
//! ```text
//! ledger    what is mapped where, as calls and rules say; `leaves` compares it with the page table
//! fixture   the open device, kept from case to case; `device`, `devices`, `objects`, `regions` are what a case holds
//! answers   what the steps came to, if a case is only asked
//! any       which backend a case gets that takes any
//! context   all that a case knows and holds, as data
//! verb/     what each verb does with the context, and the sequence that runs steps
//! judge     what the kernel's log and known issues make of a verdict
//! case      `Engine`: runs a case from its conditions to its verdict
//! ```
//!
//! To begin, read `Engine::run`.

mod answers;
mod any;
mod case;
mod context;
mod device;
mod devices;
mod failure;
mod faults;
mod fixture;
mod follow;
mod iova;
mod judge;
mod kmemleak;
mod known_issue;
mod last_step;
mod leaves;
mod ledger;
mod log;
mod objects;
mod observers;
mod procedure;
mod process;
mod regions;
mod run;
pub mod schedule;
mod verb;
mod words;
pub mod worker;

pub use run::{Left, run};
pub use schedule::Schedule;
pub use verb::resume;
