//! What changed from one run to another: two kernels, two firmwares, two days.

use std::collections::HashMap;
use std::io;

use crate::{
    model::Verdict,
    report::{
        run::{Case, Run, State},
        sanitize::line,
        summary::{place, wrapped},
        terminal::{BOLD, DIM, GREEN, RED, Terminal, YELLOW, mark},
    },
};

/// So many cases of each kind are listed, the others are counted.
const LISTED: usize = 200;

/// A time counts as changed by this factor, either way …
const FACTOR: u64 = 2;

/// … if it is also this many microseconds.
const LEAST: u64 = 100_000;

/// What kind of change it is, those first that somebody has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    NewlyFailing,
    NoVerdictAnyMore,
    NewlyFlaky,
    Fixed,
    FailsOtherwise,
    KnownNow,
    KnownNoMore,
    Skips,
    Slower,
    Faster,
    Vanished,
    Appeared,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::NewlyFailing,
        Self::NoVerdictAnyMore,
        Self::NewlyFlaky,
        Self::Fixed,
        Self::FailsOtherwise,
        Self::KnownNow,
        Self::KnownNoMore,
        Self::Skips,
        Self::Slower,
        Self::Faster,
        Self::Vanished,
        Self::Appeared,
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::NewlyFailing => "newly failing",
            Self::NoVerdictAnyMore => "without a verdict now",
            Self::NewlyFlaky => "newly flaky",
            Self::Fixed => "fixed",
            Self::FailsOtherwise => "failing for another reason",
            Self::KnownNow => "known now",
            Self::KnownNoMore => "known no more",
            Self::Skips => "changed skips",
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::Vanished => "only in A",
            Self::Appeared => "only in B",
        }
    }
}

/// What changed between two runs.
pub struct Diff<'a> {
    a: &'a Run,
    b: &'a Run,
    changes: Vec<(Kind, Option<&'a Case>, Option<&'a Case>)>,
    in_both: usize,
}

impl<'a> Diff<'a> {
    /// Compares the cases of the same id.
    ///
    /// # Errors
    /// When a journal cannot be read any more.
    pub fn of(a: &'a Run, b: &'a Run) -> io::Result<Diff<'a>> {
        let mut before: HashMap<String, &Case> = a.cases.iter().map(|case| (a.id(case), case)).collect();
        let mut changes = Vec::new();
        let mut in_both = 0;
        for new in &b.cases {
            let Some(old) = before.remove(&b.id(new)) else {
                changes.push((Kind::Appeared, None, Some(new)));
                continue;
            };
            in_both += 1;
            if let Some(kind) = kind(a, old, b, new)? {
                changes.push((kind, Some(old), Some(new)));
            }
        }
        let vanished = a.cases.iter().filter(|case| before.contains_key(&a.id(case)));
        changes.extend(vanished.map(|old| (Kind::Vanished, Some(old), None)));
        Ok(Diff { a, b, changes, in_both })
    }

    /// Whether a case fails that had not.
    pub fn newly_failing(&self) -> bool {
        self.count(Kind::NewlyFailing) > 0
    }

    /// Whether a case had a verdict that it has no longer.
    pub fn lost_verdicts(&self) -> bool {
        self.count(Kind::NoVerdictAnyMore) > 0
    }

    fn count(&self, kind: Kind) -> usize {
        self.changes.iter().filter(|(of, ..)| *of == kind).count()
    }

    /// As text for `terminal`; the names are those of A and B.
    ///
    /// # Errors
    /// When a journal cannot be read any more.
    pub fn render(&self, terminal: &Terminal, names: [&str; 2]) -> io::Result<String> {
        let mut text = String::new();
        for (letter, run, name) in [("A", self.a, names[0]), ("B", self.b, names[1])] {
            let place = run.parts().next().map(|part| place(&part.started)).unwrap_or_default();
            let about = format!("{}: {place}", line(name));
            for (at, l) in wrapped(&line(&about), terminal.width, 3).iter().enumerate() {
                let before = if at == 0 { terminal.paint(BOLD, letter) } else { " ".into() };
                text += &format!("{before}  {}\n", terminal.paint(DIM, l));
            }
        }
        for kind in Kind::ALL.into_iter().filter(|kind| self.count(*kind) > 0) {
            let style = match kind {
                Kind::NewlyFailing => RED.bold(),
                Kind::NoVerdictAnyMore | Kind::NewlyFlaky => YELLOW.bold(),
                Kind::Fixed => GREEN.bold(),
                _ => BOLD,
            };
            let count = self.count(kind);
            text += &format!("\n{}\n", terminal.paint(style, format_args!("{count} {}", kind.heading())));
            for (_, old, new) in self.changes.iter().filter(|(of, ..)| *of == kind).take(LISTED) {
                text += &self.change(terminal, kind, *old, *new)?;
            }
            if count > LISTED {
                text += &format!("  and {} more\n", count - LISTED);
            }
        }
        let kinds = Kind::ALL.into_iter().filter(|kind| self.count(*kind) > 0);
        let mut counts: Vec<_> = kinds.map(|kind| format!("{} {}", self.count(kind), kind.heading())).collect();
        if counts.is_empty() {
            counts.push("no difference".into());
        }
        let cases = format!("{} {} in both:", self.in_both, if self.in_both == 1 { "case" } else { "cases" });
        text += &format!("\n{} {}\n", terminal.paint(BOLD, cases), counts.join(", "));
        if self.in_both == 0 {
            let help = "a case is known by its pack, scenario, backend, device and name: give a device the same name in both runs";
            text += &format!("{}\n", terminal.paint(DIM, help));
        }
        Ok(text)
    }

    fn change(&self, terminal: &Terminal, kind: Kind, old: Option<&Case>, new: Option<&Case>) -> io::Result<String> {
        let arrow = if terminal.unicode { "→" } else { "->" };
        let mark = |case: &Case| mark(terminal, case.verdict);
        let (marks, id) = match (old, new) {
            (Some(old), Some(new)) => (format!("{} {arrow} {}", mark(old), mark(new)), self.b.id(new)),
            (Some(case), None) => (mark(case), self.a.id(case)),
            (None, Some(case)) => (mark(case), self.b.id(case)),
            (None, None) => return Ok(String::new()),
        };
        let mut text = format!("  {marks}  {}\n", line(&id));
        for l in self.explanation(kind, old, new)? {
            for l in wrapped(&line(&l), terminal.width, 6) {
                text += &format!("      {}\n", terminal.paint(DIM, l));
            }
        }
        Ok(text)
    }

    /// What to know of a change.
    fn explanation(&self, kind: Kind, old: Option<&Case>, new: Option<&Case>) -> io::Result<Vec<String>> {
        let (Some(old), Some(new)) = (old, new) else { return Ok(Vec::new()) };
        let message = |run: &Run, case: &Case| Ok::<_, io::Error>(run.full(case)?.result.message);
        let ms = |case: &Case| format!("{} ms", case.micros / 1000);
        let either = [("A", message(self.a, old)?), ("B", message(self.b, new)?)];
        let either = either.into_iter().filter_map(|(letter, message)| Some(format!("{letter}: {}", message?)));
        Ok(match kind {
            Kind::NewlyFailing | Kind::NoVerdictAnyMore | Kind::NewlyFlaky => {
                let full = self.b.full(new)?.result;
                let at = full.at.map(|at| format!("at {at}"));
                full.message.into_iter().chain(at).collect()
            }
            Kind::Fixed => either.take(1).collect(),
            Kind::FailsOtherwise | Kind::KnownNow | Kind::KnownNoMore | Kind::Skips => either.collect(),
            Kind::Slower | Kind::Faster => vec![format!("{}, then {}", ms(old), ms(new))],
            Kind::Vanished | Kind::Appeared => Vec::new(),
        })
    }
}

fn kind(a: &Run, old: &Case, b: &Run, new: &Case) -> io::Result<Option<Kind>> {
    use Verdict::{Error, Failed, Flaky, KnownIssue, Passed, Skipped};
    Ok(match (old.verdict, new.verdict) {
        (Failed, Failed) | (Error, Error) => {
            let message = |run: &Run, case: &Case| Ok::<_, io::Error>(run.full(case)?.result.message);
            (message(a, old)? != message(b, new)?).then_some(Kind::FailsOtherwise)
        }
        (_, Failed) => Some(Kind::NewlyFailing),
        (_, Error) => Some(Kind::NoVerdictAnyMore),
        (Skipped, Skipped) => (old.reason != new.reason).then_some(Kind::Skips),
        // A run that ended early says nothing about the kernel, and is no skip that somebody chose.
        (_, Skipped) if new.state == State::NotRun => Some(Kind::NoVerdictAnyMore),
        (Skipped, _) | (_, Skipped) => Some(Kind::Skips),
        (KnownIssue, KnownIssue) => None,
        (_, KnownIssue) => Some(Kind::KnownNow),
        (KnownIssue, _) => Some(Kind::KnownNoMore),
        (Failed | Error | Flaky, Passed) | (Failed | Error, Flaky) => Some(Kind::Fixed),
        (Passed, Flaky) => Some(Kind::NewlyFlaky),
        (Passed | Flaky, _) => match (old.micros, new.micros) {
            (old, new) if new >= old.saturating_mul(FACTOR) && new - old >= LEAST => Some(Kind::Slower),
            (old, new) if old >= new.saturating_mul(FACTOR) && old - new >= LEAST => Some(Kind::Faster),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CaseResult, Event};
    use crate::report::fixture::{finished, passed, planned, started, with_reason};

    fn run(results: &[(&str, CaseResult)], end: bool) -> Run {
        let mut events = vec![started()];
        events.extend((0..).zip(results).map(|(n, (name, _))| Event::CasePlanned(planned(n, "s", "iommufd", name))));
        events.extend(
            (0..).zip(results).map(|(n, (_, result))| Event::CaseFinished(CaseResult { case: n, ..result.clone() })),
        );
        events.extend(end.then(|| finished(false)));
        Run::from_events(events)
    }

    fn diff(a: &[(&str, CaseResult)], b: &[(&str, CaseResult)]) -> String {
        let (a, b) = (run(a, true), run(b, true));
        let terminal = Terminal { unicode: true, ..Terminal::PLAIN };
        Diff::of(&a, &b).expect("readable").render(&terminal, ["a.jsonl", "b.jsonl"]).expect("readable")
    }

    fn but(verdict: Verdict, message: &str) -> CaseResult {
        with_reason(0, verdict, message)
    }

    #[test]
    fn each_change_is_named_with_its_reason() {
        use Verdict::{Error, Failed, Flaky, KnownIssue, Skipped};
        let slow = CaseResult { micros: 900_000, ..passed(0) };
        let text = diff(
            &[
                ("breaks", passed(0)),
                ("heals", but(Failed, "map gave EINVAL")),
                ("fails", but(Failed, "map gave EINVAL")),
                ("same", but(Failed, "map gave EINVAL")),
                ("dies", passed(0)),
                ("wobbles", passed(0)),
                ("known", passed(0)),
                ("skipped", passed(0)),
                ("skips", but(Skipped, "no msix")),
                ("drags", passed(0)),
                ("hurries", slow.clone()),
                ("gone", passed(0)),
            ],
            &[
                ("breaks", but(Failed, "unmap gave ENOENT")),
                ("heals", passed(0)),
                ("fails", but(Failed, "map gave EPERM")),
                ("same", but(Failed, "map gave EINVAL")),
                ("dies", but(Error, "the device vanished")),
                ("wobbles", but(Flaky, "passed at attempt 2")),
                ("known", but(KnownIssue, "known issue: warns")),
                ("skipped", but(Skipped, "no reset")),
                ("skips", but(Skipped, "no msi")),
                ("drags", slow),
                ("hurries", passed(0)),
                ("new", passed(0)),
            ],
        );
        for part in [
            "A  a.jsonl: Linux 7.3.4, iommu intel, edu",
            "\n1 newly failing\n  ✓ → ✗  kernel.s.iommufd__edu.breaks\n      unmap gave ENOENT\n",
            "\n1 without a verdict now\n  ✓ → !  kernel.s.iommufd__edu.dies\n      the device vanished\n",
            "\n1 newly flaky\n  ✓ → ~  kernel.s.iommufd__edu.wobbles\n",
            "\n1 fixed\n  ✗ → ✓  kernel.s.iommufd__edu.heals\n      A: map gave EINVAL\n",
            "\n1 failing for another reason\n  ✗ → ✗  kernel.s.iommufd__edu.fails\n      A: map gave EINVAL\n      B: map gave EPERM\n",
            "\n1 known now\n  ✓ → ≈  kernel.s.iommufd__edu.known\n      B: known issue: warns\n",
            "\n2 changed skips\n  ✓ → –  kernel.s.iommufd__edu.skipped\n      B: no reset\n",
            "      A: no msix\n      B: no msi\n",
            "\n1 slower\n  ✓ → ✓  kernel.s.iommufd__edu.drags\n      182 ms, then 900 ms\n",
            "\n1 faster\n",
            "\n1 only in A\n  ✓  kernel.s.iommufd__edu.gone\n",
            "\n1 only in B\n  ✓  kernel.s.iommufd__edu.new\n",
            "\n11 cases in both: 1 newly failing, ",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        assert!(!text.contains("same"), "{text}");
    }

    #[test]
    fn equal_runs_have_no_difference() {
        let results = [("a", passed(0)), ("b", but(Verdict::Failed, "map gave EINVAL"))];
        assert!(diff(&results, &results).ends_with("\n\n2 cases in both: no difference\n"));
    }

    #[test]
    fn a_case_that_was_not_run_any_more_lost_its_verdict() {
        let (a, mut b) = (run(&[("a", passed(0))], true), vec![started()]);
        b.push(Event::CasePlanned(planned(0, "s", "iommufd", "a")));
        let b = Run::from_events(b);
        assert!(Diff::of(&a, &b).expect("readable").lost_verdicts());
    }

    #[test]
    fn runs_without_a_common_case_say_what_a_case_is_known_by() {
        assert!(diff(&[("a", passed(0))], &[("b", passed(0))]).contains("give a device the same name in both runs"));
    }
}
