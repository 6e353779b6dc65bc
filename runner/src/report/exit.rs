// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exit code of a run.

use super::run::Run;
use crate::model::Exit;

impl Run {
    /// The code for what a run came to, the strongest statement first.
    ///
    /// Interrupted is said first, because whoever stopped the run knows that it is incomplete and nobody should take its
    /// result for one. A failure outranks errors: it is a verdict on the kernel, whatever else went wrong. A case that
    /// was planned and not run for another reason is no verdict, and neither is a run that did not tell its end: whatever
    /// happened after its last case is not known. A case that was asked (`--ask`) counts as skipped and did run.
    pub fn exit(&self) -> Exit {
        let counts = self.counts();
        if self.interrupted() {
            Exit::Interrupted
        } else if counts.failed > 0 {
            Exit::Failed
        } else if counts.errors > 0 || !self.complete() {
            Exit::NoVerdict
        } else if counts.passed + counts.flaky + counts.known_issues == 0 && !self.cases.iter().any(|case| case.asked) {
            Exit::NothingRan
        } else {
            Exit::Ok
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Event,
        model::Verdict,
        report::fixture::{finished, planned, started, with_reason},
    };

    /// The code for a run of as many cases, of which the first have these verdicts.
    fn code(cases: u32, verdicts: &[Verdict], end: Option<bool>) -> Exit {
        let mut events = vec![started()];
        events.extend((0..cases).map(|n| Event::CasePlanned(planned(n, "s", "iommufd", &format!("c{n}")))));
        events.extend((0..).zip(verdicts).map(|(n, verdict)| Event::CaseFinished(with_reason(n, *verdict, "reason"))));
        events.extend(end.map(finished));
        Run::from_events(events).exit()
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
}
