// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case that is known to fail: as known, in another way, no longer, or for too long.

use super::failure::Problem;
use crate::{
    language::{Date, KnownIssue, Path, Scope},
    model::{Verdict, code::Code},
};

/// What a known issue makes of a verdict.
pub enum Judged {
    /// This verdict, with its problem.
    As(Verdict, Option<Box<Problem>>),
    /// The known issue: the reason in one line, and the failure.
    Known(String, Box<Problem>),
    /// Nothing failed, but not all was seen: why it is not known whether the issue is still there.
    Unseen(String),
}

/// Judges a case at `path` that has this known issue. `blind` says what could not be seen of it.
pub fn judge(
    known: &KnownIssue,
    path: &Path,
    scope: &Scope,
    (verdict, problem): (Verdict, Option<Box<Problem>>),
    blind: Option<String>,
) -> Judged {
    judge_on(Date::today(), known, path, scope, (verdict, problem), blind)
}

fn judge_on(
    today: Date,
    known: &KnownIssue,
    path: &Path,
    scope: &Scope,
    (verdict, problem): (Verdict, Option<Box<Problem>>),
    blind: Option<String>,
) -> Judged {
    let at = path.join("known_issue");
    if !matches!(verdict, Verdict::Passed | Verdict::Failed) {
        return Judged::As(verdict, problem);
    }
    let wrong = |at: Path, error| Judged::As(Verdict::Error, Some(Problem::expression(at, &error)));
    match known.when.as_ref().map_or(Ok(true), |when| when.resolve(scope)) {
        Ok(true) => {}
        Ok(false) => return Judged::As(verdict, problem),
        Err(error) => return wrong(at.join("when"), error),
    }
    let mut reason = match known.reason.render(scope) {
        Ok(reason) => reason,
        Err(error) => return wrong(at.join("reason"), error),
    };
    if let Some(link) = &known.link {
        reason.push_str(&format!(", see {link}"));
    }
    let Some(problem) = problem else {
        if let Some(blind) = blind {
            return Judged::Unseen(format!("it cannot be seen here whether this is still so: {reason} ({blind})"));
        }
        let problem = Problem::new(Code::KnownIssue, at.join("reason"), "the case passed, and is known to fail");
        let problem = problem.label("expected to fail for this reason");
        return Judged::As(
            Verdict::Failed,
            Some(problem.help("where this is mended, remove `known_issue`, or narrow its `when`")),
        );
    };
    if let Some(message) = known.message.as_ref().filter(|message| !problem.what.title.contains(message.as_str())) {
        let help = format!("it is known to fail, but with `{message}`: {reason}");
        return Judged::As(Verdict::Failed, Some(problem.help(help)));
    }
    if today > known.until {
        let help = format!("it was known until {}: {reason}", known.until);
        return Judged::As(Verdict::Failed, Some(problem.help(help)));
    }
    Judged::Known(format!("known issue: {reason} ({})", problem.what.title), problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Dynamic, Template};

    fn known(when: Option<&str>, message: Option<&str>) -> KnownIssue {
        KnownIssue {
            when: when.map(|when| Dynamic::Expression(when.into())),
            message: message.map(str::to_owned),
            reason: Template::new("it warns on {{ iommu }}").unwrap(),
            link: Some("https://bugs.example.org/1".into()),
            until: "2027-06-30".parse().unwrap(),
        }
    }

    fn judged(today: &str, known: &KnownIssue, failed: Option<&str>) -> (Verdict, String) {
        judged_by(today, known, failed, None)
    }

    fn judged_by(today: &str, known: &KnownIssue, failed: Option<&str>, blind: Option<&str>) -> (Verdict, String) {
        let mut scope = Scope::new();
        scope.set("iommu", "intel");
        let verdict = if failed.is_some() { Verdict::Failed } else { Verdict::Passed };
        let problem = failed.map(|title| Problem::new(Code::Outcome, Path::root(), title));
        match judge_on(
            today.parse().unwrap(),
            known,
            &Path::root(),
            &scope,
            (verdict, problem),
            blind.map(str::to_owned),
        ) {
            Judged::Known(reason, _) => (Verdict::KnownIssue, reason),
            Judged::Unseen(reason) => (Verdict::Skipped, reason),
            Judged::As(verdict, problem) => {
                let told = |problem: Box<Problem>| [vec![problem.what.title], problem.what.help].concat().join("; ");
                (verdict, problem.map(told).unwrap_or_default())
            }
        }
    }

    #[test]
    fn it_is_known_until_its_day_and_only_where_and_as_it_is_said() {
        let logged = Some("the kernel logged: WARNING: x");
        let as_known =
            "known issue: it warns on intel, see https://bugs.example.org/1 (the kernel logged: WARNING: x)".to_owned();
        let issue = known(Some("{{ iommu == 'intel' }}"), Some("logged: WARNING"));
        assert_eq!(judged("2027-06-30", &issue, logged), (Verdict::KnownIssue, as_known));
        let (verdict, told) = judged("2027-07-01", &issue, logged);
        assert!(verdict == Verdict::Failed && told.contains("it was known until 2027-06-30: it warns"), "{told}");
        let (verdict, told) = judged("2027-06-30", &issue, Some("map gave success, expected EINVAL"));
        assert!(verdict == Verdict::Failed && told.contains("but with `logged: WARNING`"), "{told}");
        let elsewhere = known(Some("{{ iommu == 'amd' }}"), None);
        assert_eq!(judged("2027-06-30", &elsewhere, None), (Verdict::Passed, String::new()));
        assert_eq!(judged("2027-06-30", &elsewhere, logged).0, Verdict::Failed);
    }

    #[test]
    fn an_unexpected_pass_is_a_failure() {
        let (verdict, told) = judged("2027-06-30", &known(None, None), None);
        assert_eq!(verdict, Verdict::Failed);
        assert!(told.starts_with("the case passed, and is known to fail; where this is mended"), "{told}");
    }

    #[test]
    fn where_not_all_was_seen_a_pass_is_not_unexpected() {
        let unseen = Some("pagesize: only root can read /proc/kcore");
        let judged = |known: &KnownIssue, failed| judged_by("2027-06-30", known, failed, unseen);
        let (verdict, told) = judged(&known(None, None), None);
        assert_eq!(verdict, Verdict::Skipped);
        assert!(told.ends_with("bugs.example.org/1 (pagesize: only root can read /proc/kcore)"), "{told}");
        assert_eq!(judged(&known(None, None), Some("x")).0, Verdict::KnownIssue);
        assert_eq!(judged(&known(Some("{{ iommu == 'amd' }}"), None), None).0, Verdict::Passed);
    }
}
