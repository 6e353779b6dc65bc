// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case that is known to fail: as known, in another way, no longer, or for too long.

use super::failure::Problem;
use crate::{
    language::{Date, KnownIssue, Path, Scope, Source},
    model::{Verdict, code::Code},
    plan::{Plan, Planned},
};

/// A known issue of a case, and where it is written.
pub struct Issue<'p> {
    issue: &'p KnownIssue,
    at: Path,
    /// The inventory, if it is written there, and not in the scenario.
    source: Option<&'p Source>,
}

impl<'p> Issue<'p> {
    /// What is known of a case: first what the inventory says of it, then what its scenario says.
    pub fn of(plan: &'p Plan, planned: &'p Planned) -> Vec<Issue<'p>> {
        let source = plan.site.as_ref().map(|site| &site.source);
        let of_site = planned.marks.issues.iter();
        let of_site = of_site.map(|marked| Issue { issue: &marked.1, at: marked.0.clone(), source });
        let (case, path) = plan.case(planned);
        let own = case.known_issue.iter();
        let own = own.map(|issue| Issue { issue, at: path.join("known_issue"), source: None });
        of_site.chain(own).collect()
    }
}

/// What a known issue makes of a verdict.
pub enum Judged {
    /// This verdict, with its problem.
    As(Verdict, Option<Box<Problem>>),
    /// The known issue, and the failure.
    Known(Known, Box<Problem>),
    /// Nothing failed, but not all was seen: why it is not known whether the issue is still there.
    Unseen(String),
}

/// A known issue that a case has.
pub struct Known {
    /// The reason in one line.
    pub reason: String,
    /// Where it is described.
    pub link: Option<String>,
}

/// Judges a case of which this is known. The first issue that changes its verdict decides. `blind` says what could not be seen of it.
pub fn judge(all: &[Issue], scope: &Scope, outcome: (Verdict, Option<Box<Problem>>), blind: Option<&str>) -> Judged {
    judge_on(Date::today(), all, scope, outcome, blind)
}

fn judge_on(
    today: Date,
    all: &[Issue],
    scope: &Scope,
    (verdict, mut problem): (Verdict, Option<Box<Problem>>),
    blind: Option<&str>,
) -> Judged {
    for known in all {
        match judge_by(today, known, scope, (verdict, problem), blind) {
            Judged::As(same, told) if same == verdict => problem = told,
            changed => return changed,
        }
    }
    Judged::As(verdict, problem)
}

fn judge_by(
    today: Date,
    Issue { issue: known, at, source }: &Issue,
    scope: &Scope,
    (verdict, problem): (Verdict, Option<Box<Problem>>),
    blind: Option<&str>,
) -> Judged {
    if !matches!(verdict, Verdict::Passed | Verdict::Failed) {
        return Judged::As(verdict, problem);
    }
    let within = |problem: Box<Problem>| Box::new(Problem { source: source.cloned(), ..*problem });
    let wrong = |at: Path, error| Judged::As(Verdict::Error, Some(within(Problem::expression(at, &error))));
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
        let problem = within(problem.label("expected to fail for this reason"));
        return Judged::As(
            Verdict::Failed,
            Some(problem.help("where this is mended, remove the known issue, or narrow its `when`")),
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
    let reason = format!("known issue: {reason} ({})", problem.what.title);
    Judged::Known(Known { reason, link: known.link.clone() }, problem)
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
        let all = [Issue { issue: known, at: Path::root().join("known_issue"), source: None }];
        told(judge_on(today.parse().unwrap(), &all, &scope, (verdict, problem), blind))
    }

    fn told(judged: Judged) -> (Verdict, String) {
        match judged {
            Judged::Known(known, _) => (Verdict::KnownIssue, known.reason),
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
    fn of_several_issues_the_first_decides_that_changes_the_verdict() {
        let (own, site) = (known(None, Some("timed out")), known(None, Some("the kernel logged")));
        let source = Source::new("lab.yaml", "known_issues: [{ reason: x }]\n");
        let of_site = || Issue { issue: &site, at: Path::root(), source: Some(&source) };
        let all = [of_site(), Issue { issue: &own, at: Path::root(), source: None }];
        let judged = |failed: Option<&str>| {
            let verdict = if failed.is_some() { Verdict::Failed } else { Verdict::Passed };
            let problem = failed.map(|title| Problem::new(Code::Outcome, Path::root(), title));
            let scope = Scope::new().with("iommu", "intel");
            judge_on("2027-06-30".parse().unwrap(), &all, &scope, (verdict, problem), None)
        };
        assert_eq!(told(judged(Some("the kernel logged: x"))).0, Verdict::KnownIssue);
        assert_eq!(told(judged(Some("timed out"))).0, Verdict::KnownIssue);
        let (verdict, both) = told(judged(Some("map gave EINVAL")));
        assert!(verdict == Verdict::Failed && both.contains("`the kernel logged`") && both.contains("`timed out`"));
        let Judged::As(Verdict::Failed, Some(problem)) = judged(None) else { panic!("it passed") };
        assert_eq!(problem.source.map(|source| source.name).as_deref(), Some("lab.yaml"));
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
