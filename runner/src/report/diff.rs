// SPDX-License-Identifier: MIT OR Apache-2.0
//! What changed from one run to another: two kernels, two firmwares, two days.

use std::{collections::HashMap, io};

use clap::builder::styling::Style;

use crate::model::{Verdict, count};
use crate::report::fixes::{self, Presence};
use crate::report::run::{Case, Run, State};
use crate::report::terminal::{BOLD, DIM, GREEN, RED, Terminal, YELLOW, mark, wrapped};
use crate::report::{answers, measured};
use crate::{report::words::place, sanitize::line};

/// How many cases of each kind are listed; the others are counted.
const LISTED: usize = 200;

/// A case is slower or faster if its time has changed by this factor …
const FACTOR: u64 = 2;

/// … and by at least this many microseconds.
const LEAST: u64 = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NewlyFailing,
    NoVerdictAnyMore,
    NewlyFlaky,
    Fixed,
    FailsOtherwise,
    KnownNow,
    KnownNoMore,
    Skips,
    AnswersOtherwise,
    Slower,
    Faster,
    Vanished,
    Appeared,
}

/// Each kind of change with its heading and the style of that; those first that somebody has to look at.
const KINDS: [(Kind, &str, Style); 13] = [
    (Kind::NewlyFailing, "newly failing", RED.bold()),
    (Kind::NoVerdictAnyMore, "without a verdict now", YELLOW.bold()),
    (Kind::NewlyFlaky, "newly flaky", YELLOW.bold()),
    (Kind::Fixed, "fixed", GREEN.bold()),
    (Kind::FailsOtherwise, "failing for another reason", BOLD),
    (Kind::KnownNow, "known now", BOLD),
    (Kind::KnownNoMore, "known no more", BOLD),
    (Kind::Skips, "changed skips", BOLD),
    (Kind::AnswersOtherwise, "answered otherwise", BOLD),
    (Kind::Slower, "slower", BOLD),
    (Kind::Faster, "faster", BOLD),
    (Kind::Vanished, "only in A", BOLD),
    (Kind::Appeared, "only in B", BOLD),
];

pub struct Diff<'a> {
    a: &'a Run,
    b: &'a Run,
    changes: Vec<Change<'a>>,
    in_both: usize,
}

struct Change<'a> {
    kind: Kind,
    old: Option<&'a Case>,
    new: Option<&'a Case>,
}

impl<'a> Diff<'a> {
    /// Compares the cases that have the same id.
    pub fn of(a: &'a Run, b: &'a Run) -> io::Result<Diff<'a>> {
        let mut before: HashMap<String, &Case> = a.cases.iter().map(|case| (a.id(case), case)).collect();
        let mut changes = Vec::new();
        let mut in_both = 0;
        for new in &b.cases {
            let Some(old) = before.remove(&b.id(new)) else {
                changes.push(Change { kind: Kind::Appeared, old: None, new: Some(new) });
                continue;
            };
            in_both += 1;
            if let Some(kind) = kind(a, old, b, new)? {
                changes.push(Change { kind, old: Some(old), new: Some(new) });
            }
        }
        let vanished = a.cases.iter().filter(|case| before.contains_key(&a.id(case)));
        changes.extend(vanished.map(|old| Change { kind: Kind::Vanished, old: Some(old), new: None }));
        Ok(Diff { a, b, changes, in_both })
    }

    pub fn newly_failing(&self) -> bool {
        self.count(Kind::NewlyFailing) > 0
    }

    /// Whether a case no longer has a verdict that it had before.
    pub fn lost_verdicts(&self) -> bool {
        self.count(Kind::NoVerdictAnyMore) > 0
    }

    fn count(&self, kind: Kind) -> usize {
        self.changes.iter().filter(|change| change.kind == kind).count()
    }

    /// The changes as text for `terminal`; `names` are those of A and B.
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
        text += &self.fixes(terminal)?;
        let mut counts = Vec::new();
        for (kind, heading, style) in KINDS {
            let count = self.count(kind);
            if count == 0 {
                continue;
            }
            counts.push(format!("{count} {heading}"));
            text += &format!("\n{}\n", terminal.paint(style, format_args!("{count} {heading}")));
            for change in self.changes.iter().filter(|change| change.kind == kind).take(LISTED) {
                text += &self.change(terminal, change)?;
            }
            if count > LISTED {
                text += &format!("  and {} more\n", count - LISTED);
            }
        }
        text += &self.measured(terminal)?;
        if counts.is_empty() {
            counts.push("no difference".into());
        }
        let cases = format!("{} in both:", count(self.in_both, "case"));
        text += &format!("\n{} {}\n", terminal.paint(BOLD, cases), counts.join(", "));
        if self.in_both == 0 {
            let help = "a case is known by its pack, scenario, backend, device and name: give a device the same name in both runs";
            text += &format!("{}\n", terminal.paint(DIM, help));
        }
        Ok(text)
    }

    /// Which bugs are fixed in the kernel of B, and which only that one has.
    fn fixes(&self, terminal: &Terminal) -> io::Result<String> {
        let (before, now) = (fixes::seen(self.a)?, fixes::seen(self.b)?);
        let before: HashMap<_, _> = before.iter().map(|seen| (seen.fix.key(), seen.presence)).collect();
        let mut text = String::new();
        type Changed = fn(Presence, Presence) -> bool;
        let kinds: [(Changed, &str, Style); 2] = [
            (|from, to| from.is_good() && to == Presence::Missing, "that only B has", RED.bold()),
            (|from, to| from == Presence::Missing && to.is_good(), "fixed in B", GREEN.bold()),
        ];
        for (is_such, heading, style) in kinds {
            let changed = now.iter().filter_map(|seen| Some((*before.get(seen.fix.key())?, seen)));
            let changed: Vec<_> = changed.filter(|(from, seen)| is_such(*from, seen.presence)).collect();
            if changed.is_empty() {
                continue;
            }
            let heading = format!("{} {heading}", count(changed.len(), "bug"));
            text += &format!("\n{}\n", terminal.paint(style, heading));
            let arrow = if terminal.unicode { " → " } else { " -> " };
            for (from, seen) in changed.iter().take(LISTED) {
                let marks = [*from, seen.presence].map(|presence| mark(terminal, presence.like())).join(arrow);
                let indent = if terminal.unicode { 9 } else { 10 };
                let title = wrapped(&line(&seen.line()), terminal.width, indent).join(&format!("\n{:indent$}", ""));
                text += &format!("  {marks}  {title}\n");
            }
            if changed.len() > LISTED {
                text += &format!("  and {} more\n", changed.len() - LISTED);
            }
        }
        Ok(text)
    }

    /// What both runs measured, as a table.
    fn measured(&self, terminal: &Terminal) -> io::Result<String> {
        let before: HashMap<String, &Case> =
            self.a.cases.iter().filter(|case| case.measured).map(|case| (self.a.id(case), case)).collect();
        let mut rows = Vec::new();
        for new in self.b.cases.iter().filter(|case| case.measured) {
            let id = self.b.id(new);
            let Some(old) = before.get(&id) else { continue };
            for (old, new) in measured::pairs((self.a, old), (self.b, new))? {
                let name = format!("{id}: {}", new.what);
                rows.push([measured::shown(&old), measured::shown(&new), measured::change(&old, &new), name]);
            }
        }
        if rows.is_empty() {
            return Ok(String::new());
        }
        let width = |column: usize| rows.iter().map(|row: &[String; 4]| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..3).map(width).collect();
        let arrow = if terminal.unicode { "→" } else { "->" };
        let mut text =
            format!("\n{}\n", terminal.paint(BOLD, format_args!("{} in both", count(rows.len(), "measurement"))));
        for [old, new, change, name] in rows.iter().take(LISTED) {
            let [a, b, c] = [widths[0], widths[1], widths[2]];
            text += &format!("  {old:>a$} {arrow} {new:>b$}  {change:>c$}  {}\n", line(name));
        }
        if rows.len() > LISTED {
            text += &format!("  and {} more\n", rows.len() - LISTED);
        }
        Ok(text)
    }

    fn change(&self, terminal: &Terminal, change: &Change) -> io::Result<String> {
        let both = [(self.a, change.old), (self.b, change.new)];
        let there = || both.into_iter().filter_map(|(run, case)| Some((run, case?)));
        let marks: Vec<_> = there().map(|(_, case)| mark(terminal, case.verdict)).collect();
        let id = there().next_back().map(|(run, case)| run.id(case)).unwrap_or_default();
        let arrow = if terminal.unicode { " → " } else { " -> " };
        let mut text = format!("  {}  {}\n", marks.join(arrow), line(&id));
        for l in self.explanation(change)? {
            for l in wrapped(&line(&l), terminal.width, 6) {
                text += &format!("      {}\n", terminal.paint(DIM, l));
            }
        }
        Ok(text)
    }

    fn explanation(&self, change: &Change) -> io::Result<Vec<String>> {
        let (Some(old), Some(new)) = (change.old, change.new) else { return Ok(Vec::new()) };
        let before = || Ok::<_, io::Error>(message(self.a, old)?.map(|message| format!("A: {message}")));
        let now = || Ok::<_, io::Error>(message(self.b, new)?.map(|message| format!("B: {message}")));
        let ms = |case: &Case| format!("{} ms", case.micros / 1000);
        Ok(match change.kind {
            Kind::NewlyFailing | Kind::NoVerdictAnyMore | Kind::NewlyFlaky => {
                let full = self.b.full(new)?.result;
                let at = full.at.map(|at| format!("at {at}"));
                full.message.into_iter().chain(at).collect()
            }
            Kind::Fixed => before()?.into_iter().collect(),
            Kind::FailsOtherwise | Kind::KnownNow | Kind::KnownNoMore | Kind::Skips => {
                before()?.into_iter().chain(now()?).collect()
            }
            Kind::AnswersOtherwise => {
                answers::changes(&self.a.full(old)?.result.answers, &self.b.full(new)?.result.answers)
            }
            Kind::Slower | Kind::Faster => vec![format!("{}, then {}", ms(old), ms(new))],
            Kind::Vanished | Kind::Appeared => Vec::new(),
        })
    }
}

fn message(run: &Run, case: &Case) -> io::Result<Option<String>> {
    Ok(run.full(case)?.result.message)
}

fn kind(a: &Run, old: &Case, b: &Run, new: &Case) -> io::Result<Option<Kind>> {
    use Verdict::{Error, Failed, Flaky, KnownIssue, Passed, Skipped};
    Ok(match (old.verdict, new.verdict) {
        (Failed, Failed) | (Error, Error) => (message(a, old)? != message(b, new)?).then_some(Kind::FailsOtherwise),
        (_, Failed) => Some(Kind::NewlyFailing),
        (_, Error) => Some(Kind::NoVerdictAnyMore),
        (Skipped, Skipped) if old.asked && new.asked => {
            let (old, new) = (a.full(old)?.result.answers, b.full(new)?.result.answers);
            (!answers::changes(&old, &new).is_empty()).then_some(Kind::AnswersOtherwise)
        }
        (Skipped, Skipped) => (old.reason != new.reason).then_some(Kind::Skips),
        // A run that ended early says nothing about the kernel, and nobody chose to skip the case.
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
    use crate::event::{CaseResult, Event, Measured};
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
    fn what_both_runs_measured_is_a_table() {
        let measured = |each: &[u64], bytes| {
            let measured = vec![Measured::each("map".to_owned(), each.to_vec(), bytes)];
            CaseResult { measured, ..passed(0) }
        };
        let a = [
            ("memory", measured(&[100, 300, 200], Some(2 << 20))),
            ("page", measured(&[10], None)),
            ("gone", measured(&[1], None)),
        ];
        let b = [
            ("memory", measured(&[500, 500, 700], Some(2 << 20))),
            ("page", measured(&[5, 4], None)),
            ("new", passed(0)),
        ];
        let text = diff(&a, &b);
        let (_, table) = text.split_once("2 measurements in both\n").unwrap_or_else(|| panic!("{text}"));
        assert!(
            table.starts_with(
                "  200 us, 10000 MiB/s → 500 us, 4000 MiB/s  2.50 times as long  kernel.s.iommufd__edu.memory: map\n\
                 \u{20}               10 us →               4 us  0.40 times as long  kernel.s.iommufd__edu.page: map\n"
            ),
            "{text}"
        );
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
