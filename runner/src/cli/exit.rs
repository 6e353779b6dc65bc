//! What the process says when it ends: one code a cause, never a count.

use std::process::ExitCode;

use crate::report::run::Run;

/// Every exit code of `vfiospec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was as expected; skipped cases beside passed ones do not change that.
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

/// The exit codes, for `--help`.
pub const HELP: &str = "\
Exit codes:
  0    every case that ran gave what its scenario expects
  1    a case failed, or passed against expectation
  2    wrong usage, or an invalid scenario
  3    no verdict: the environment or a device is broken, or the run ended early
  4    nothing ran: no case was selected, or all were skipped
  5    a report was not written
  70   a bug of vfiospec
  130  interrupted";

impl Exit {
    /// The code for what a run came to, the strongest statement first.
    ///
    /// Interrupted is said first, because whoever stopped the run knows that it is incomplete and nobody should take its
    /// result for one. A failure outranks errors: it is a verdict on the kernel, whatever else went wrong. A case that
    /// was planned and not run for another reason is no verdict, and neither is a run that did not tell its end: whatever
    /// happened after its last case is not known.
    pub fn of(run: &Run) -> Self {
        let counts = run.counts();
        if run.interrupted() {
            Self::Interrupted
        } else if counts.failed > 0 {
            Self::Failed
        } else if counts.errors > 0 || !run.complete() {
            Self::NoVerdict
        } else if counts.passed + counts.flaky + counts.known_issues == 0 {
            Self::NothingRan
        } else {
            Self::Ok
        }
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
    use crate::event::{Event, Verdict};
    use crate::report::fixture::{finished, planned, started, with_reason};

    /// The code for a run of as many cases, of which the first have these verdicts.
    fn code(cases: u32, verdicts: &[Verdict], end: Option<bool>) -> Exit {
        let mut events = vec![started()];
        events.extend((0..cases).map(|n| Event::CasePlanned(planned(n, "s", "iommufd", &format!("c{n}")))));
        events.extend((0..).zip(verdicts).map(|(n, verdict)| Event::CaseFinished(with_reason(n, *verdict, "reason"))));
        events.extend(end.map(finished));
        Exit::of(&Run::from_events(events))
    }

    #[test]
    fn the_strongest_statement_is_the_exit_code() {
        use Verdict::{Error, Failed, KnownIssue, Passed, Skipped};
        let whole = |verdicts: &[Verdict]| code(verdicts.len() as u32, verdicts, Some(false));
        assert_eq!(whole(&[Passed, Passed]), Exit::Ok);
        assert_eq!(whole(&[Passed, Skipped]), Exit::Ok);
        assert_eq!(whole(&[Passed, Error, Failed, Skipped]), Exit::Failed);
        assert_eq!(whole(&[Passed, Error, Skipped]), Exit::NoVerdict);
        assert_eq!(whole(&[Skipped, Skipped]), Exit::NothingRan);
        assert_eq!(whole(&[]), Exit::NothingRan);
        assert_eq!(whole(&[KnownIssue]), Exit::Ok, "it failed as it was known to");
    }

    #[test]
    fn a_run_cut_short_never_looks_good() {
        use Verdict::{Failed, Passed};
        assert_eq!(code(3, &[Passed], None), Exit::NoVerdict);
        assert_eq!(code(3, &[Passed], Some(false)), Exit::NoVerdict);
        assert_eq!(code(3, &[Failed], None), Exit::Failed);
        assert_eq!(code(3, &[Failed], Some(true)), Exit::Interrupted);
        assert_eq!(code(3, &[], None), Exit::NoVerdict);
        assert_eq!(code(1, &[Passed], None), Exit::NoVerdict, "it died after its last case");
        assert_eq!(code(1, &[Failed], None), Exit::Failed);
    }

    #[test]
    fn help_names_every_code() {
        use Exit::{Bug, Failed, Interrupted, NoVerdict, NothingRan, Ok, ReportNotWritten, Usage};
        let all = [Ok, Failed, Usage, NoVerdict, NothingRan, ReportNotWritten, Bug, Interrupted];
        let named: Vec<_> = HELP.lines().skip(1).map(|line| line.split_whitespace().next().expect("a code")).collect();
        assert_eq!(named, all.map(|exit| (exit as u8).to_string()));
    }
}
