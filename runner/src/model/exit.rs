// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the process says when it ends: one code a cause, never a count.

use std::process::ExitCode;

/// Every exit code of `vfiospec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was as expected, or every case was asked; skipped cases beside these do not change that.
    Ok = 0,
    /// The kernel did something else than a scenario expects, or a known issue passed unexpectedly.
    Failed = 1,
    /// The command line is wrong, or a scenario is not valid; nothing was run.
    Usage = 2,
    /// At least one case has no verdict: environment or device is broken, or the run ended early.
    NoVerdict = 3,
    /// Not one case ran: none was selected, or all were skipped.
    NothingRan = 4,
    /// The results are in the journal, but a report could not be written.
    ReportNotWritten = 5,
    /// A bug of vfiospec.
    Bug = 70,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// The exit codes, for `--help`.
    pub const HELP: &str = "\
Exit codes:
  0    every case that ran gave what its scenario expects; with --ask, was asked to its end
  1    a case failed, or passed against expectation
  2    wrong usage, or an invalid scenario
  3    no verdict: the environment or a device is broken, or the run ended early
  4    nothing ran: no case was selected, or all were skipped
  5    a report was not written
  70   a bug of vfiospec
  130  interrupted";
}

/// What `git bisect run` is to hear in the place of an exit code: 0 for a good commit, 1 for a bad one, 125 for one that cannot be judged,
/// because its kernel does not build or boot or its cases have no verdict, and 128 to end the search where that would judge no commit.
pub fn for_bisect(code: u8) -> u8 {
    const UNTESTABLE: u8 = 125;
    const STOP: u8 = 128;
    let is = |exit: Exit| code == exit as u8;
    match code {
        _ if is(Exit::Ok) || is(Exit::Failed) || is(Exit::Interrupted) => code,
        _ if is(Exit::NoVerdict) || is(Exit::NothingRan) => UNTESTABLE,
        _ => STOP,
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verdict_judges_a_commit() {
        use Exit::{Bug, Failed, Interrupted, NoVerdict, NothingRan, Ok, ReportNotWritten, Usage};
        let heard = [Ok, Failed, NoVerdict, NothingRan, Usage, ReportNotWritten, Bug, Interrupted];
        assert_eq!(heard.map(|exit| for_bisect(exit as u8)), [0, 1, 125, 125, 128, 128, 128, 130]);
    }

    #[test]
    fn help_names_every_code() {
        use Exit::{Bug, Failed, Interrupted, NoVerdict, NothingRan, Ok, ReportNotWritten, Usage};
        let all = [Ok, Failed, Usage, NoVerdict, NothingRan, ReportNotWritten, Bug, Interrupted];
        let named: Vec<_> =
            Exit::HELP.lines().skip(1).map(|line| line.split_whitespace().next().expect("a code")).collect();
        assert_eq!(named, all.map(|exit| (exit as u8).to_string()));
    }
}
