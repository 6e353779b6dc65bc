// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which fixes a kernel has: what the cases say that name them (`fixes`).

use std::{collections::HashMap, io, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Fix, Release, Verdict};
use crate::report::note::NoteKind;
use crate::report::run::{Case, Run};
use crate::report::words::NO_REASON;

/// Whether a kernel has a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// A case failed that shows its absence.
    Missing,
    /// No case shows either: all were skipped, or one ended without a verdict, or its checks were not made.
    CannotTell,
    /// All cases passed that ran.
    There,
    /// The kernel is older than the bug, by its version, and no case failed.
    NotAffected,
}

impl Presence {
    /// All of them, those first that somebody has to look at.
    pub const ALL: [Presence; 4] = [Presence::Missing, Presence::CannotTell, Presence::There, Presence::NotAffected];

    /// What it means, as in a legend or after a number.
    pub fn meaning(self) -> &'static str {
        match self {
            Presence::Missing => "missing",
            Presence::CannotTell => "cannot tell",
            Presence::There => "there",
            Presence::NotAffected => "not affected",
        }
    }

    /// Whether nobody has to do anything.
    pub fn is_good(self) -> bool {
        match self {
            Presence::There | Presence::NotAffected => true,
            Presence::Missing | Presence::CannotTell => false,
        }
    }

    /// The verdict that looks like it: its symbol and its colour.
    pub fn like(self) -> Verdict {
        match self {
            Presence::Missing => Verdict::Failed,
            Presence::CannotTell => Verdict::Skipped,
            Presence::There | Presence::NotAffected => Verdict::Passed,
        }
    }
}

/// A kernel, with all environments that have it, each with other devices or another IOMMU.
#[derive(Debug, Clone)]
pub struct Kernel<'a> {
    /// What the user calls it, or `Linux 6.12.107`; empty if it is the only one and has no name.
    pub label: String,
    /// `uname -r`
    version: &'a str,
    /// Whether the user named it. Then it is another one than a kernel of the same version with another name.
    named: bool,
    environments: Vec<usize>,
}

/// The kernels that the cases ran on. A fix is there or missing in a kernel, and each of its environments shows some fixes.
pub fn kernels(run: &Run) -> Vec<Kernel<'_>> {
    let mut all: Vec<Kernel> = Vec::new();
    for (at, environment) in run.environments.iter().enumerate() {
        let version = environment.parts.first().map(|part| part.started.kernel.as_str()).unwrap_or_default();
        let named = environment.named;
        let label = if named { environment.label.clone() } else { format!("Linux {version}") };
        match all.iter_mut().find(|kernel| kernel.named == named && kernel.label == label) {
            Some(known) => known.environments.push(at),
            None => all.push(Kernel { label, version, named, environments: vec![at] }),
        }
    }
    if let [Kernel { label, named: false, .. }] = all.as_mut_slice() {
        label.clear();
    }
    all
}

/// What the cases say of a fix on one kernel.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Seen {
    /// The fix.
    pub fix: Fix,
    /// The kernel: `uname -r`.
    pub kernel: String,
    /// The index of the kernel among [`kernels`].
    #[serde(skip)]
    pub column: usize,
    /// The environments with this kernel whose cases name the fix: indices in `environments`, from 0.
    pub environments: Vec<usize>,
    /// Whether the kernel has the fix.
    pub presence: Presence,
    /// The first release that has it: that of the kernel's own series, or else mainline's.
    pub since: Option<Release>,
    /// Whether the kernel should have it, by its version.
    pub due: bool,
    /// The release that brought the bug, if the kernel is older, by its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bug_to_come: Option<Release>,
    /// The ids of the cases that say so: those that failed, ended without a verdict, were skipped, or passed.
    pub cases: Vec<String>,
    /// Why, unless it is there.
    pub reasons: Vec<Arc<str>>,
}

/// `iommufd: Do not free what is in use (f00ba4c0ffee), in 6.12.9 and later`
fn described(Fix { title, commit, .. }: &Fix, since: Option<Release>) -> String {
    let since = since.map(|since| format!(", in {since} and later")).unwrap_or_default();
    let commit = commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
    format!("{title}{commit}{since}")
}

impl Seen {
    /// The fix in one line, with the first release that this kernel's users get it by.
    pub fn line(&self) -> String {
        described(&self.fix, self.since)
    }

    /// What does not fit together, if the fix is missing: the kernel's version says something else.
    pub fn odd(&self) -> Option<String> {
        (self.presence == Presence::Missing).then(|| expected(&self.fix, &self.kernel)).flatten()
    }
}

/// Why a failure on this kernel is unexpected: by its version it should have the fix, or is older than the bug.
fn expected(fix: &Fix, kernel: &str) -> Option<String> {
    if let Some(since) = fix.bug_to_come(kernel) {
        return Some(format!("the bug came with Linux {since}, so Linux {kernel} should not have it"));
    }
    fix.is_due(kernel).then(|| format!("Linux {kernel} should have it"))
}

/// What a failure of a case says of its fixes; `None` for one that has none, and for any other verdict.
pub fn lacks(run: &Run, case: &Case) -> Option<String> {
    if case.verdict != Verdict::Failed {
        return None;
    }
    let kernel = run.kernel(case);
    let line = |fix: &Fix| {
        let odd = expected(fix, kernel).map(|odd| format!(" ({odd})")).unwrap_or_default();
        described(fix, fix.release_for(kernel)) + &odd
    };
    match &*case.fixes {
        [] => None,
        [fix] => Some(format!("this kernel lacks: {}", line(fix))),
        several => {
            let all: Vec<_> = several.iter().map(line).collect();
            Some(format!("this kernel lacks one of these: {}", all.join("; ")))
        }
    }
}

/// Every fix that a case names, on each kernel, in the order of the plan.
///
/// # Errors
/// If a journal was changed since it was read.
pub fn seen(run: &Run) -> io::Result<Vec<Seen>> {
    let kernels = kernels(run);
    let mut known: Vec<(usize, &Fix, Vec<&Case>)> = Vec::new();
    let mut places: HashMap<(usize, &str), usize> = HashMap::new();
    for case in &run.cases {
        let environment = run.suite(case).environment;
        let Some(column) = kernels.iter().position(|kernel| kernel.environments.contains(&environment)) else {
            continue;
        };
        for fix in case.fixes.iter() {
            let place = *places.entry((column, fix.key())).or_insert_with(|| {
                known.push((column, fix, Vec::new()));
                known.len() - 1
            });
            known[place].2.push(case);
        }
    }
    known.into_iter().map(|(column, fix, cases)| one(run, &kernels[column], column, fix, &cases)).collect()
}

fn one(run: &Run, kernel: &Kernel, column: usize, fix: &Fix, cases: &[&Case]) -> io::Result<Seen> {
    let of = |wanted: &[Verdict]| -> Vec<&Case> {
        cases.iter().copied().filter(|case| wanted.contains(&case.verdict)).collect()
    };
    let unmade = |case: &Case| case.notes.iter().find(|note| note.kind == NoteKind::NotMade).map(|note| note.line());
    let failed = of(&[Verdict::Failed]);
    let undecided = of(&[Verdict::Error, Verdict::Flaky, Verdict::KnownIssue]);
    let passed = of(&[Verdict::Passed]);
    let bug_to_come = fix.bug_to_come(kernel.version);
    let (presence, those) = if !failed.is_empty() {
        (Presence::Missing, failed)
    } else if !undecided.is_empty() {
        (Presence::CannotTell, undecided)
    } else if bug_to_come.is_some() {
        (Presence::NotAffected, passed)
    } else if passed.iter().any(|case| unmade(case).is_none()) {
        (Presence::There, passed)
    } else if !passed.is_empty() {
        (Presence::CannotTell, passed)
    } else {
        (Presence::CannotTell, of(&[Verdict::Skipped]))
    };
    let mut reasons: Vec<Arc<str>> = Vec::new();
    if let Some(since) = bug_to_come.filter(|_| presence == Presence::NotAffected) {
        reasons.push(format!("the bug came with Linux {since}").into());
    }
    for case in those.iter().filter(|_| !presence.is_good()) {
        let reason = match (case.verdict, &case.reason) {
            (Verdict::Passed, _) => unmade(case).map(Arc::from),
            (_, Some(reason)) => Some(reason.clone()),
            (_, None) => run.full(case)?.result.message.map(Arc::from),
        };
        let reason = reason.unwrap_or_else(|| NO_REASON.into());
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let mut environments: Vec<usize> = cases.iter().map(|case| run.suite(case).environment).collect();
    environments.dedup();
    Ok(Seen {
        fix: fix.clone(),
        kernel: kernel.version.to_owned(),
        column,
        environments,
        presence,
        since: fix.release_for(kernel.version),
        due: fix.is_due(kernel.version),
        bug_to_come,
        cases: those.into_iter().map(|case| run.id(case)).collect(),
        reasons,
    })
}

/// The same fix on all kernels; that of a kernel is missing where none of its cases names it.
pub struct Row<'a> {
    pub seen: Vec<Option<&'a Seen>>,
}

impl<'a> Row<'a> {
    /// Those that are there: at least one.
    pub fn all(&self) -> impl Iterator<Item = &'a Seen> {
        self.seen.iter().copied().flatten()
    }

    /// The fix in one line. Several kernels are told the release of mainline.
    pub fn line(&self) -> String {
        let Some(first) = self.all().next() else { return String::new() };
        let since = if self.seen.len() == 1 { first.since } else { first.fix.release_for("") };
        described(&first.fix, since)
    }
}

/// A row for each fix; those first that somebody has to look at.
pub fn rows<'a>(kernels: &[Kernel], all: &'a [Seen]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for seen in all {
        let place = *places.entry(seen.fix.key()).or_insert_with(|| {
            rows.push(Row { seen: vec![None; kernels.len()] });
            rows.len() - 1
        });
        rows[place].seen[seen.column] = Some(seen);
    }
    rows.sort_by_key(|row| row.all().map(|seen| seen.presence).min());
    rows
}

/// How many fixes are like this, such as `2 missing`; `None` for 0.
pub fn counted<'a>(all: impl Iterator<Item = &'a Seen>, presence: Presence) -> Option<String> {
    let count = all.filter(|seen| seen.presence == presence).count();
    (count > 0).then(|| format!("{count} {}", presence.meaning()))
}

/// `1 fix`, `2 fixes`
pub fn number(count: usize) -> String {
    if count == 1 { "1 fix".into() } else { format!("{count} fixes") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CaseResult, DeviceUsed, Event, PlannedCase, RunStarted, Unchecked};
    use crate::model::Commit;
    use crate::report::fixture::{finished, passed, planned, started, with_reason};
    use crate::report::journal::Text;
    use crate::report::merge::Journal;

    fn fix(title: &str, commit: &str) -> Fix {
        let releases = ["7.4", "7.3.5"].map(|text| Release::parse(text).expect("a release"));
        Fix { title: title.into(), commit: Commit::parse(commit), releases: releases.into(), broken_since: vec![] }
    }

    fn run(cases: &[(&[Fix], CaseResult)]) -> Run {
        let mut events = vec![started()];
        events.extend((0..).zip(cases).map(|(at, (fixes, _))| {
            let planned = planned(at, "s", "iommufd", &format!("c{at}"));
            Event::CasePlanned(PlannedCase { fixes: fixes.to_vec(), ..planned })
        }));
        events.extend(
            (0..).zip(cases).map(|(case, (_, result))| Event::CaseFinished(CaseResult { case, ..result.clone() })),
        );
        events.push(finished(false));
        Run::from_events(events)
    }

    fn but(verdict: Verdict) -> CaseResult {
        with_reason(0, verdict, verdict.meaning())
    }

    fn blind() -> CaseResult {
        let unchecked = Unchecked { what: "pagesize".into(), reason: "no dump".into(), by_choice: false };
        CaseResult { unchecked: vec![unchecked], ..passed(0) }
    }

    #[test]
    fn a_fix_is_there_if_all_passed_that_ran_and_missing_if_one_failed() {
        use Verdict::{Error, Failed, Flaky, KnownIssue, Skipped};
        let one = [fix("iommufd: Fix it", "f00ba4c0ffee")];
        let table: [(&[CaseResult], _, &[&str]); 9] = [
            (&[passed(0), passed(0)], Presence::There, &[]),
            (&[passed(0), but(Skipped)], Presence::There, &[]),
            (&[passed(0), blind()], Presence::There, &[]),
            (&[passed(0), but(Failed), but(Error)], Presence::Missing, &["failed"]),
            (&[passed(0), but(Error)], Presence::CannotTell, &["no verdict"]),
            (&[passed(0), but(KnownIssue)], Presence::CannotTell, &["known issue"]),
            (&[passed(0), but(Flaky)], Presence::CannotTell, &["flaky"]),
            (&[but(Skipped), but(Skipped)], Presence::CannotTell, &["skipped"]),
            (&[blind(), but(Skipped)], Presence::CannotTell, &["pagesize not checked: no dump"]),
        ];
        for (results, presence, reasons) in table {
            let cases: Vec<(&[Fix], _)> = results.iter().map(|result| (&one[..], result.clone())).collect();
            let seen = seen(&run(&cases)).expect("readable");
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].presence, presence, "{results:?}");
            assert!(seen[0].reasons.iter().map(|reason| &**reason).eq(reasons.iter().copied()), "{seen:?}");
        }
    }

    #[test]
    fn a_kernel_that_is_older_than_the_bug_is_not_affected() {
        let broken_since = vec![Release::parse("99.1").expect("a release")];
        let one = [Fix { broken_since, ..fix("iommufd: Fix it", "f00ba4c0ffee") }];
        for (result, presence, reason) in [
            (passed(0), Presence::NotAffected, "the bug came with Linux 99.1"),
            (but(Verdict::Skipped), Presence::NotAffected, "the bug came with Linux 99.1"),
            (but(Verdict::Error), Presence::CannotTell, "no verdict"),
            (but(Verdict::Failed), Presence::Missing, "failed"),
        ] {
            let seen = seen(&run(&[(&one, result)])).expect("readable");
            assert_eq!((seen[0].presence, &*seen[0].reasons[0]), (presence, reason));
            let is_odd = seen[0].odd().is_some_and(|odd| odd.starts_with("the bug came with Linux 99.1, so"));
            assert_eq!(is_odd, presence == Presence::Missing);
        }
    }

    /// The same kernel, IOMMU and device, with another machine around it; and another device.
    #[test]
    fn all_machines_of_a_kernel_are_one_column() {
        let one = fix("iommufd: Fix it", "f00ba4c0ffee");
        let journal = |ids: &str, result: &CaseResult| {
            let Event::RunStarted(begin) = started() else { panic!("the start of a run") };
            let devices = begin.devices.iter().map(|device| DeviceUsed { ids: ids.into(), ..device.clone() }).collect();
            let planned = PlannedCase { fixes: vec![one.clone()], ..planned(0, "s", "iommufd", "c") };
            Text::events(vec![
                Event::RunStarted(RunStarted { devices, ..begin }),
                Event::CasePlanned(planned),
                Event::CaseFinished(result.clone()),
                finished(false),
            ])
        };
        let skipped = but(Verdict::Skipped);
        for (journals, presence) in [
            ([("1:1", passed(0)), ("1:1", skipped.clone()), ("2:2", skipped.clone())], Presence::There),
            ([("1:1", passed(0)), ("1:1", passed(0)), ("2:2", but(Verdict::Failed))], Presence::Missing),
            ([("1:1", skipped.clone()), ("1:1", skipped.clone()), ("2:2", skipped)], Presence::CannotTell),
        ] {
            let journals = journals.iter().map(|(ids, result)| Journal { label: None, text: journal(ids, result) });
            let run = Run::read(journals.collect()).expect("readable");
            assert_eq!(run.environments.len(), 2);
            let seen = seen(&run).expect("readable");
            assert_eq!((seen.len(), seen[0].presence, &seen[0].environments), (1, presence, &vec![0, 1]));
            assert_eq!(kernels(&run).len(), 1);
        }
    }

    #[test]
    fn a_failure_says_what_the_kernel_lacks() {
        let [one, other] = [fix("iommufd: Fix it", "f00ba4c0ffee"), fix("vfio: Fix that", "unknown")];
        let run = run(&[
            (std::slice::from_ref(&one), but(Verdict::Failed)),
            (&[one.clone(), other], but(Verdict::Failed)),
            (std::slice::from_ref(&one), but(Verdict::Error)),
            (std::slice::from_ref(&one), passed(0)),
            (&[], but(Verdict::Failed)),
        ]);
        let said: Vec<_> = run.cases.iter().map(|case| lacks(&run, case).unwrap_or_default()).collect();
        let one = "this kernel lacks: iommufd: Fix it (f00ba4c0ffee), in 7.3.5 and later";
        let two = "this kernel lacks one of these: iommufd: Fix it (f00ba4c0ffee), in 7.3.5 and later; vfio: Fix that, \
                   in 7.3.5 and later";
        assert_eq!(said, [one, two, "", "", ""]);
    }
}
