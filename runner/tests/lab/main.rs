// SPDX-License-Identifier: MIT OR Apache-2.0
//! What needs more of the machine than a clone: guests with a real kernel, the kernel's own programs, an editor's language server.
//!
//! Guests take most of the time, so that all of these tests are one program, in which two guests run at a time and tests that only look
//! at results share one. What a machine does not have is not tested, and counts as ignored, with the reason; where `CI` is set it fails.
//!
//! A test is a function that returns [`Tested`], named in the `TESTS` of its module: `#[test]` does nothing here.

#[allow(dead_code)] // what only tests/cli uses
#[path = "../common/mod.rs"]
mod common;
mod guests;

mod arm;
mod ask;
mod devices;
mod editor;
mod explain;
mod explore;
mod field;
mod host_device;
mod identity;
mod kernels;
mod lab;
mod machines;
mod memory;
mod objects;
mod observers;
mod packs;
mod parity;
mod patched;
mod pictures;
mod processes;
mod report;
mod report_junit;
mod stock;
mod survival;
mod table;
mod tools;

use std::process::ExitCode;

use common::fixture;
use guests::Place;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Whether the test could be made; it panics if it fails.
type Tested = Result<(), NotTested>;

/// Why something cannot be tested on this machine.
#[derive(Debug, Clone)]
struct NotTested(String);

impl NotTested {
    /// CI has no excuse.
    #[track_caller]
    fn because(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!ci, "CI needs this: {reason}");
        Self(reason)
    }
}

struct Test {
    name: &'static str,
    run: fn() -> Tested,
    /// Only with `--ignored`.
    ignored: bool,
}

/// The tests of a module by name.
macro_rules! tests {
    ($($name:ident),* $(,)? $(; ignored: $($ignored:ident),* $(,)?)?) => {
        &[
            $(crate::Test { name: concat!(module_path!(), "::", stringify!($name)), run: $name, ignored: false },)*
            $($(crate::Test { name: concat!(module_path!(), "::", stringify!($ignored)), run: $ignored, ignored: true },)*)?
        ]
    };
}
use tests;

/// What takes longest first, so that no single test is left over at the end.
const ALL: [&[Test]; 26] = [
    devices::TESTS,
    ask::TESTS,
    kernels::TESTS,
    lab::TESTS,
    tools::TESTS,
    machines::TESTS,
    arm::TESTS,
    memory::TESTS,
    processes::TESTS,
    parity::TESTS,
    patched::TESTS,
    pictures::TESTS,
    survival::TESTS,
    host_device::TESTS,
    field::TESTS,
    identity::TESTS,
    objects::TESTS,
    explain::TESTS,
    explore::TESTS,
    observers::TESTS,
    packs::TESTS,
    editor::TESTS,
    report::TESTS,
    report_junit::TESTS,
    stock::TESTS,
    table::TESTS,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Many more than guests run at a time: most wait for a place, or for a run that they share.
    arguments.test_threads.get_or_insert(16);
    let trial = |test: &'static Test| {
        let run = || match (test.run)() {
            Ok(()) => Ok::<_, Failed>(Completion::Completed),
            Err(NotTested(reason)) => Ok(Completion::ignored_with(reason)),
        };
        // Without the name of this program, as libtest does.
        let name = test.name.split_once("::").map_or(test.name, |(_, name)| name);
        Trial::ignorable_test(name, run).with_ignored_flag(test.ignored)
    };
    let trials: Vec<Trial> = ALL.into_iter().flatten().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
