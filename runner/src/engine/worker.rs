// SPDX-License-Identifier: MIT OR Apache-2.0
//! The process that issues the ioctls. What goes wrong in it costs the case that was running, and the runner stays.
//!
//! It is this binary again (`vfiospec worker`), and both speak JSON lines: [`ToWorker`] on its standard input, [`FromWorker`] on
//! its standard output. It ends when its input does.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::OnceLock;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::{
    case::Engine,
    last_step::{Doing, LastStep},
};
use crate::{
    event::CaseResult,
    plan::Setup,
    uapi::{Call, signal},
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToWorker {
    /// First: what to plan from. The texts rather than their files, so that both plan the same.
    Setup {
        setup: Setup,
        /// The number of the file that takes what the worker is doing.
        last_step: i32,
        trace: bool,
        ask: bool,
        keep: bool,
    },
    /// After [`FromWorker::Kept`].
    GoOn,
    Run {
        /// The case's number in the run.
        case: u32,
        /// Its number in the worker's plan, which has no more scenarios than the run needs.
        at: u32,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum FromWorker {
    /// A case was ended by the runner's interrupt.
    Interrupted {
        /// What is known; the runner sets verdict and reason.
        result: Box<CaseResult>,
        /// The case waited for neither kernel nor device.
        ours: bool,
    },
    Called {
        /// Decoded, as in a trace.
        call: String,
    },
    Exploring {
        /// The calls that follow, as a scenario.
        scenario: String,
    },
    /// The case did not pass. Nothing of it is taken back before the runner says to go on.
    Kept,
    /// The worker panicked and ends; which is a bug in vfiospec.
    Panicked {
        /// The text, and where in our source it happened.
        what: String,
    },
    Finished(Box<CaseResult>),
}

/// What the worker was told first, for a child that replaces itself.
static SETUP: OnceLock<String> = OnceLock::new();

/// What the runner told this worker first; `None` in any other process.
pub fn setup() -> Option<&'static str> {
    SETUP.get().map(String::as_str)
}

/// Makes this process one that may issue ioctls: its panics and interrupts are told. `setup` is what the runner told the worker first.
pub fn begin(setup: &str) -> Result<(), String> {
    let _ = SETUP.set(setup.to_owned());
    // The runner puts it into the case's result. A line on standard error would be lost among the runner's own.
    panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("without a text");
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        say(&FromWorker::Panicked { what: format!("{text}{place}") });
    }));
    signal::catch().map_err(|errno| format!("failed to catch interrupts: {errno}"))
}

/// Passes a call on to the runner.
pub fn called(call: &Call) {
    say(&FromWorker::Called { call: call.to_string() });
}

/// Waits while somebody looks at what a case left.
fn kept() {
    say(&FromWorker::Kept);
    // A runner that is gone looks at nothing any more.
    let _ = io::stdin().read_line(&mut String::new());
}

/// Speaks with the runner until it closes our input. Fails only if the two cannot speak, or plan differently.
pub fn main() -> Result<(), String> {
    // A scenario that asks for all the memory there is costs its case and nobody else.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    // A runner that is killed leaves no worker at work on its device.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    // No signal comes for a runner that was killed before that call, but its end of the pipe is closed.
    if is_alone() {
        return Ok(());
    }
    let next = || -> Result<Option<ToWorker>, String> {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        if read.map_err(|error| format!("failed to read from the runner: {error}"))? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| format!("failed to understand the runner: {error}: {line}"))
    };
    let first = next()?;
    begin(&serde_json::to_string(&first).expect("these types always have a JSON form"))?;
    let Some(ToWorker::Setup { setup, last_step, trace, ask, keep }) = first else {
        return Err("the runner did not begin with a setup; `worker` is not for people".into());
    };
    let last_step = LastStep::of_runner(last_step)
        .map_err(|error| format!("failed to open what the runner left for us: {error}"))?;
    let mut engine = Engine::new(setup.plan()?, setup.devices, &setup.only, ask);
    if trace {
        engine.trace(called);
    }
    if keep {
        engine.keep(kept);
    }
    let mut step = |doing: Doing| {
        if trace {
            say(&FromWorker::Called { call: format!("# {doing}") });
        }
        if let Some(scenario) = &doing.scenario {
            say(&FromWorker::Exploring { scenario: scenario.clone() });
        }
        last_step.say(&doing);
    };
    while let Some(message) = next()? {
        let ToWorker::Run { case, at } = message else {
            return Err(format!("the runner sent this out of turn: {message:?}"));
        };
        signal::forget();
        let begin = Instant::now();
        let result = Box::new(CaseResult { case, ..engine.run(at, &mut step) });
        say(&match signal::interrupted() {
            None => FromWorker::Finished(result),
            Some(at) => FromWorker::Interrupted { result, ours: !at.waiting && signal::waited() * 2 < begin.elapsed() },
        });
    }
    Ok(())
}

/// Whether nobody writes to our input any more, though there may be something left to read.
fn is_alone() -> bool {
    let input = io::stdin();
    let mut polled = [PollFd::new(input.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).is_ok()
        && polled[0].revents().is_some_and(|seen| seen.contains(PollFlags::POLLHUP))
}

/// Sends one line to the runner. If the runner is gone, nobody needs it.
fn say(message: &FromWorker) {
    let mut line = serde_json::to_vec(message).expect("these types always have a JSON form");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}
