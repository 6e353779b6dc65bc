// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `kernel_memory`.

use super::prelude::*;

verb!(KernelMemory(NoArguments));

impl Known for KernelMemory {
    const ABOUT: About = About {
        does: "Read how much memory the kernel holds for itself; takes nothing. Saves in bytes `objects` (SUnreclaim, what it allocated and \
            cannot give back) and `page_tables` (SecPageTables, those of IOMMUs, since Linux 6.10). It is that of the whole machine: outside \
            the lab the case is skipped.",
        examples: &["null"],
        saves: Saves::Fields(&["objects", "page_tables"]),
        expects: Expects::Nothing("`kernel_memory` always succeeds: `check` what it saved"),
        asserts: false,
        fixture: Stands::Anywhere,
        reads: true,
        ..About::CALL
    };
}
