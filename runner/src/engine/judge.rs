// SPDX-License-Identifier: MIT OR Apache-2.0
//! The judges of a case that has run: what the kernel logged, and what is known of the case, may change its verdict.

use super::failure::{End, Problem};
use super::known_issue::{self, Issue, Judged};
use super::{context::Findings, faults::Faults, log, observers::taint};
use crate::event::{ASKED, Observation, Unchecked};
use crate::language::{Case, Logged, Path, Scope, Source};
use crate::model::{Observed, Verdict};
use crate::{host::facts, host::kmsg::Window, model::code::Code, uapi::Tracer};

/// All judges, in the order that they judge in.
const JUDGES: [fn(&mut Judgement); 6] = [expected_fault, kernel_log, new_taint, nothing_asserted, known, asked];

/// What the kernel says of itself while a case runs.
pub struct Watch {
    window: Option<Window>,
    taint: Option<u64>,
}

impl Watch {
    /// Watches from now on.
    pub fn begin(marker: &str) -> Watch {
        // Without access to the log (not root) there is no window on it, and no lines.
        Watch { window: Window::open(marker).ok(), taint: facts::taint() }
    }
}

/// A case that has run, and what the judges make of it.
pub struct Judgement<'e> {
    pub case: &'e Case,
    /// The path of the case.
    pub path: Path,
    source: &'e Source,
    /// What is known of it.
    known: Vec<Issue<'e>>,
    pub scope: &'e Scope,
    pub found: Findings,
    pub verdict: Verdict,
    /// Why it was skipped, or which known issue it is.
    pub reason: Option<String>,
    /// Where the known issue is described.
    pub link: Option<String>,
    pub problem: Option<Box<Problem>>,
    pub kernel_log: Vec<String>,
    /// Whether a judge let a case fail whose device is open.
    pub overruled: bool,
    watch: Watch,
    faults: &'e mut Faults,
    tracer: &'e Tracer,
}

impl<'e> Judgement<'e> {
    /// Judges a case that ended.
    pub fn judge(
        (case, path, source): (&'e Case, Path, &'e Source),
        known: Vec<Issue<'e>>,
        end: Result<(), End>,
        (scope, found): (&'e Scope, Findings),
        mut watch: Watch,
        faults: &'e mut Faults,
        tracer: &'e Tracer,
    ) -> Judgement<'e> {
        let (verdict, reason, problem) = match end {
            Ok(()) => (Verdict::Passed, None, None),
            Err(End::Skipped(reason)) => (Verdict::Skipped, Some(reason), None),
            Err(End::Failed(problem)) => (Verdict::Failed, None, Some(problem)),
            Err(End::Error(problem)) => (Verdict::Error, None, Some(problem)),
        };
        let records = watch.window.as_mut().and_then(|window| window.records().ok()).unwrap_or_default();
        let kernel_log = records.into_iter().map(|record| record.text).collect();
        let overruled = false;
        let mut judgement = Judgement {
            case,
            path,
            source,
            known,
            scope,
            found,
            verdict,
            reason,
            link: None,
            problem,
            kernel_log,
            overruled,
            watch,
            faults,
            tracer,
        };
        JUDGES.iter().for_each(|judge| judge(&mut judgement));
        judgement
    }

    fn fail(&mut self, problem: Box<Problem>) {
        (self.verdict, self.reason, self.problem) = (Verdict::Failed, None, Some(problem));
        self.found.trace = self.tracer.take();
        self.overruled = true;
    }

    fn expects_fault(&self) -> bool {
        self.case.kernel_log.expect == Some(Logged::IommuFault)
    }

    /// Takes over what an observer of the kernel saw.
    fn saw(&mut self, seen: Observation) {
        if seen.state == Observed::Broken && matches!(self.verdict, Verdict::Passed | Verdict::Skipped) {
            let title = seen.detail.clone().unwrap_or_default();
            let mut problem = Problem::new(Code::KernelLog, self.path.join("name"), title).label("while this case ran");
            if self.kernel_log.iter().any(|line| log::is_fault(line)) {
                problem = problem.help(
                    "where the case wants the IOMMU to refuse, `kernel_log: { expect: iommu_fault }` on it says so",
                );
            }
            let never = &self.case.kernel_log.never;
            if !self.kernel_log.iter().any(|line| log::contains(line, never)) {
                problem = problem.help(
                    "where it is known and right, `kernel_log: { allow: [TEXT] }` on the case allows lines with that text",
                );
            }
            self.fail(problem);
        }
        self.found.observers.push(seen);
    }
}

/// A case that expects a fault of the IOMMU has to have caused one.
fn expected_fault(judgement: &mut Judgement) {
    if judgement.expects_fault() && judgement.verdict == Verdict::Passed {
        if let Some(window) = &mut judgement.watch.window {
            judgement.faults.await_one(window, &mut judgement.kernel_log);
        }
        let at = judgement.path.join("kernel_log").join("expect");
        match judgement.faults.missing(judgement.watch.window.as_ref(), &judgement.kernel_log, at) {
            None => judgement.found.checks += 1,
            Some(Ok(missing)) => {
                judgement.found.checks += 1;
                match &mut judgement.found.answers {
                    Some(answers) => answers.missing(&missing, judgement.source),
                    None => judgement.fail(missing),
                }
            }
            Some(Err(unknown)) => judgement.found.unchecked.push(unknown),
        }
    }
    judgement.faults.remember(&judgement.kernel_log);
}

fn kernel_log(judgement: &mut Judgement) {
    let expects_fault = judgement.expects_fault() || judgement.found.refused;
    let lines = judgement.kernel_log.iter();
    let alarming: Vec<String> = lines.filter(|line| !(expects_fault && log::is_fault(line))).cloned().collect();
    let lost = judgement.watch.window.as_ref().map(Window::lost);
    judgement.saw(log::observe(lost, &alarming, &judgement.case.kernel_log));
}

/// After the log, which says what the taint is about.
fn new_taint(judgement: &mut Judgement) {
    let (lines, allowed) = (&judgement.kernel_log, &judgement.case.kernel_log.allow);
    judgement.saw(taint::observe(judgement.watch.taint, facts::taint(), lines, allowed));
}

/// A case that checked nothing has not passed.
fn nothing_asserted(judgement: &mut Judgement) {
    if judgement.verdict != Verdict::Passed || judgement.found.checks > 0 || judgement.found.answers.is_some() {
        return;
    }
    if let Some(Unchecked { what, reason, .. }) = judgement.found.unchecked.first() {
        judgement.verdict = Verdict::Skipped;
        judgement.reason = Some(format!("nothing of it can be checked here: {what}: {reason}"));
    } else {
        judgement.verdict = Verdict::Error;
        let problem = Problem::new(Code::AssertsNothing, judgement.path.join("name"), "the case has asserted nothing");
        judgement.problem = Some(problem.label("expected at least one call or check that can fail"));
    }
}

fn known(judgement: &mut Judgement) {
    if judgement.known.is_empty() {
        return;
    }
    if judgement.found.answers.is_some() && judgement.verdict == Verdict::Passed {
        return; // nothing was judged, so that this is no unexpected pass
    }
    let left_out = judgement.found.unchecked.iter().find(|check| !check.by_choice);
    let left_out = left_out.map(|Unchecked { what, reason, .. }| format!("{what}: {reason}"));
    let no_log = judgement.watch.window.is_none().then(|| "the kernel's log was not read".to_owned());
    let outcome = (judgement.verdict, judgement.problem.take());
    match known_issue::judge(&judgement.known, judgement.scope, outcome, left_out.or(no_log).as_deref()) {
        Judged::As(verdict, problem) => (judgement.verdict, judgement.problem) = (verdict, problem),
        Judged::Unseen(reason) => (judgement.verdict, judgement.reason) = (Verdict::Skipped, Some(reason)),
        Judged::Known(known, problem) => {
            judgement.verdict = Verdict::KnownIssue;
            (judgement.reason, judgement.link, judgement.problem) = (Some(known.reason), known.link, Some(problem));
        }
    }
}

/// A case that was only asked has neither passed nor failed.
fn asked(judgement: &mut Judgement) {
    if judgement.found.answers.is_some() && judgement.verdict == Verdict::Passed {
        (judgement.verdict, judgement.reason) = (Verdict::Skipped, Some(ASKED.to_owned()));
    }
}
