// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order cases run, how often, and what their results come to.

use std::hash::{BuildHasher, RandomState};
use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, ValueEnum};

use crate::{engine::Schedule, event::RunStarted, model::Exit, plan::shuffle};

/// In which order cases run, how often, and when the run ends.
#[derive(Debug, Clone, Default, Args)]
pub struct Course {
    /// Run the cases in a random order; the same seed gives the same order. The seed is printed, and kept in the journal
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, help_heading = "How they run")]
    shuffle: Option<Option<u64>>,

    /// Run each case so often: it fails if it fails once
    #[arg(long, value_name = "N", conflicts_with = "retries", help_heading = "How they run")]
    repeat: Option<NonZeroU32>,

    /// Try a case that fails or has no verdict so often again; if it passes then, it is reported as flaky
    #[arg(long, value_name = "N", help_heading = "How they run")]
    retries: Option<u32>,

    /// End with 1 if a case was flaky, as if it had failed
    #[arg(long, requires = "retries", help_heading = "How they run")]
    fail_on_flaky: bool,

    /// Show each call of the running case as it is made
    #[arg(long, help_heading = "How they run")]
    trace: bool,

    /// Ask what the kernel answers: run each case to its end whatever its steps return, judge nothing, and print for each step what each
    /// backend answered, ready to be pasted as `expect`. The cases count as skipped, except where the machine itself was harmed
    #[arg(long, conflicts_with_all = ["repeat", "retries"], help_heading = "How they run")]
    ask: bool,

    /// Stop at the first case that fails or has no verdict
    #[arg(long, help_heading = "How they run")]
    fail_fast: bool,

    /// Stop at the first case that does not pass, and open a shell while its device is as it left it; `exit` ends the run
    ///
    /// In the lab the shell is the guest's, on this terminal.
    #[arg(long, help_heading = "How they run")]
    pub keep_on_failure: bool,

    /// What it means if nothing ran: a failure (exit code 4), or a success
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "How they run")]
    no_tests: NoTests,

    /// Continue the run that this journal records, after it was stopped or killed or the host went down. Repeat its other options. A case
    /// that took the host down is not run again
    #[arg(long, value_name = "JOURNAL", conflicts_with = "rerun", help_heading = "How they run")]
    pub resume: Option<PathBuf>,

    /// Also run the cases again under which the host, or the lab's guest, went down
    #[arg(long, requires = "resume", help_heading = "How they run")]
    pub retry_died: bool,
}

/// What a run of nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum NoTests {
    /// a success
    Pass,
    /// a failure, with exit code 4
    #[default]
    Fail,
}

impl Course {
    /// Runs each case once, in the plan's order, and may stop at the first that does not pass. With a journal it continues the run that the
    /// journal records.
    pub fn in_order(fail_fast: bool, resume: Option<PathBuf>) -> Course {
        Course { fail_fast, resume, ..Course::default() }
    }

    /// The schedule of the selected cases, and the seed of their order.
    pub fn schedule(&self, mut order: Vec<u32>, past: Option<&RunStarted>) -> (Schedule, Option<u64>) {
        let seed = self.shuffle.map(|seed| {
            let fresh = || RandomState::new().hash_one(0);
            seed.or(past.and_then(|started| started.shuffle)).unwrap_or_else(fresh)
        });
        if let Some(seed) = seed {
            shuffle(&mut order, seed);
            eprintln!("vfiospec: the cases run in the order of --shuffle={seed}");
        }
        let schedule = Schedule {
            order,
            repeat: self.repeat.map_or(1, NonZeroU32::get),
            retries: self.retries.unwrap_or(0),
            fail_fast: self.fail_fast || self.keep_on_failure,
            keep: self.keep_on_failure,
            trace: self.trace,
            ask: self.ask,
            ..Schedule::default()
        };
        (schedule, seed)
    }

    /// The exit code of a run that came to `exit`.
    pub fn exit(&self, exit: Exit, flaky: usize) -> Exit {
        match exit {
            Exit::NothingRan if self.no_tests == NoTests::Pass => Exit::Ok,
            Exit::Ok if self.fail_on_flaky && flaky > 0 => Exit::Failed,
            exit => exit,
        }
    }
}
