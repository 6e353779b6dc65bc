// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `lab_fault`.

use crate::language::words;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::about::{About, Keys, Known, Takes};

words!(LabFault);

/// What to break in the lab. Elsewhere each of these is an error, and nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabFault {
    /// The guest's kernel panics.
    Panic,
    /// The guest is gone at once, without a word.
    Reboot,
    /// The process that runs the case aborts.
    Crash,
    /// That process takes memory until the kernel kills it.
    ExhaustMemory,
    /// That process computes for ever and does not listen.
    Spin,
    /// That process waits in the kernel for something that never comes, and cannot be killed.
    Stuck,
    /// The call gives EIO the first time in a guest, and succeeds from then on.
    FailOnce,
}

impl Known for LabFault {
    const ABOUT: About = About {
        does: "Break the lab's guest or the process that runs the case, to test that the run survives it. An error outside the lab.",
        examples: &["panic"],
        is_followed: false,
        ..About::CALL
    };
}

impl Takes for LabFault {
    fn keys(&self) -> Keys<'_> {
        Keys::default().word("", self)
    }
}
