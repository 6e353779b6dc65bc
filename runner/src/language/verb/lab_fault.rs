// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `lab_fault`.

use super::prelude::*;

words! {
    /// What to break in the lab. Elsewhere each of these is an error, and nothing is done.
    pub enum LabFault {
        /// The guest's kernel panics.
        Panic = "panic",
        /// The guest is gone at once, without a word.
        Reboot = "reboot",
        /// The process that runs the case aborts.
        Crash = "crash",
        /// That process takes memory until the kernel kills it.
        ExhaustMemory = "exhaust_memory",
        /// That process computes for ever and does not listen.
        Spin = "spin",
        /// That process waits in the kernel for something that never comes, and cannot be killed.
        Stuck = "stuck",
        /// The call gives EIO the first time in a guest, and succeeds from then on.
        FailOnce = "fail_once",
    }
}

impl Keyed for LabFault {
    fn keys(&self) -> Keys<'_> {
        vec![("", Key::Word)]
    }
}

impl Known for LabFault {
    const ABOUT: About = About {
        does: "Break the lab's guest or the process that runs the case, to test that the run survives it. An error outside the lab.",
        examples: &["panic"],
        is_followed: false,
        ..About::CALL
    };
}
