// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a run ends on the terminal.
//!
//! ```text
//! Linux 7.3.4, iommu intel, edu 1234:11e8 at 0000:00:03.0
//!
//! ┌ vfio_type1_iommu
//! │ ┌ vfio_type1v2_iommu
//! │ │ ┌ iommufd
//! │ │ │  kernel.dma_mapping on edu
//! ✓ ✓ ✓  map_unmap[page=4KiB]
//! ✓ ✗ ✓  map_unmap[page=2MiB]
//!
//! ✗ kernel.dma_mapping.vfio_type1v2_iommu__edu.map_unmap[page=2MiB]
//!   error: unmap gave EINVAL, expected 2 MiB
//!   …
//!
//! 1 pagesize check not made: no page-table dump for this IOMMU
//!
//! 6 cases: 5 passed, 1 failed in 0.21 s
//! JUnit: reports/out/junit.xml
//! ```
//!
//! The marks come first and the names last, so that no name is ever too long for its column.

use std::{collections::HashSet, io, path::Path};

use crate::model::{Verdict, count};
use crate::report::matrix::{Devices, Matrix, Row};
use crate::report::run::{Case, Counts, Full, Run};
use crate::report::terminal::{BOLD, DIM, GREEN, RED, Terminal, YELLOW, mark, wrapped};
use crate::report::words::{self, NO_REASON, place};
use crate::report::{answers, explored, fixes};
use crate::sanitize::{line, text};

/// With more rows than this, the cases of a scenario that passed or were skipped on the same backends are folded into one row.
const ROWS: usize = 60;

/// So few cases that were skipped keep their rows.
const FEW: usize = 2;

/// How many failures are shown in full; the others take one line each.
const IN_FULL: usize = 20;

/// How many items of a list are shown; the others are counted.
const LISTED: usize = 200;

/// How many of the last calls and lines of the kernel log are shown for a failure.
const LAST_LINES: usize = 6;

/// How many cases are named that have proved less than their scenario asks for.
const NAMED: usize = 4;

/// The end of a run as text for `terminal`; `files` are the reports that were written, such as `("JUnit", path)`.
pub fn render(run: &Run, terminal: &Terminal, files: &[(&str, &Path)]) -> io::Result<String> {
    let page = Page { run, terminal, counts: run.counts() };
    let asked = run.cases.iter().any(|case| case.asked);
    // What was asked has a table of its own.
    let matrices = if asked { String::new() } else { page.matrices() };
    let mut blocks = vec![
        if run.cases.is_empty() { String::new() } else { environments(run, terminal) },
        matrices,
        page.failures()?,
        page.known(),
        page.skips(),
        page.notes(),
        page.explored()?,
    ];
    blocks.extend(asked.then(|| answers::render(run, terminal)).transpose()?);
    blocks.push(page.closing(files));
    blocks.retain(|block| !block.is_empty());
    Ok(blocks.join("\n"))
}

/// Where a run was, a line for each of its environments.
pub(super) fn environments(run: &Run, terminal: &Terminal) -> String {
    let all = run.environments.iter().map(|environment| {
        let place = environment.parts.first().map(|part| place(&part.started)).unwrap_or_default();
        match environment.label.as_str() {
            "" => terminal.dimmed(&place, 0),
            label => terminal.dimmed(&format!("{label}: {place}"), 0),
        }
    });
    all.collect()
}

struct Page<'a> {
    run: &'a Run,
    terminal: &'a Terminal,
    counts: Counts,
}

impl Page<'_> {
    /// One matrix with all environments side by side, or one for each if the terminal is too narrow for that.
    fn matrices(&self) -> String {
        let whole = Matrix::of(self.run, Devices::InGroups, None);
        let text: Vec<_> = if 2 * whole.columns.len() <= self.terminal.width / 2 {
            vec![self.matrix(&whole)]
        } else {
            let of = |at| Matrix::of(self.run, Devices::InGroups, Some(at));
            (0..self.run.environments.len()).map(|at| self.matrix(&of(at))).collect()
        };
        text.join("\n") + &self.legend()
    }

    fn matrix(&self, matrix: &Matrix) -> String {
        let columns = &matrix.columns;
        let (rail, corner) = if self.terminal.unicode { ("│", "┌") } else { ("|", ",") };
        let rails = |count| self.terminal.paint(DIM, vec![rail; count].join(" "));

        let mut text = String::new();
        for (at, column) in columns.iter().enumerate() {
            let gap = if at > 0 { " " } else { "" };
            let name = match self.run.environments[column.environment].label.as_str() {
                "" => line(&column.backend),
                label => line(&format!("{}, {label}", column.backend)),
            };
            text += &format!("{}{gap}{} {name}\n", rails(at), self.terminal.paint(DIM, corner));
        }
        let fold = matrix.rows() > ROWS;
        for group in &matrix.groups {
            let title = self.terminal.paint(BOLD, line(&group.title));
            let folded = if fold { self.folded(&group.rows) } else { Vec::new() };
            let is_shown = |row: &&Row| !folded.iter().any(|(verdicts, _)| *verdicts == self.verdicts(row));
            let shown: Vec<&Row> = group.rows.iter().filter(is_shown).collect();
            if let ([(verdicts, number)], true) = (&folded[..], shown.is_empty()) {
                text += &format!("{}  {title}: all of {number}\n", self.marks(verdicts.iter().copied()));
                continue;
            }
            text += &format!("{}  {title}\n", rails(columns.len()));
            let indent = 2 * columns.len() + 1;
            for row in shown.iter().take(LISTED) {
                let name = self.wrapped(&line(&row.name), indent).join(&format!("\n{}", " ".repeat(indent)));
                text += &format!("{}  {name}\n", self.marks(self.verdicts(row).into_iter()));
            }
            if shown.len() > LISTED {
                text += &format!("{}  and {} more that did not all pass\n", rails(columns.len()), shown.len() - LISTED);
            }
            for (verdicts, number) in folded {
                let number = if shown.is_empty() { count(number, "case") } else { format!("and {number} more") };
                text += &format!("{}  {number}\n", self.marks(verdicts.into_iter()));
            }
        }
        text
    }

    fn verdicts(&self, row: &Row) -> Vec<Option<Verdict>> {
        row.cells(self.run).map(|case| case.map(|case| case.verdict)).collect()
    }

    /// The verdicts that many rows have in common which nobody has to look at, each with the number of its rows.
    fn folded(&self, rows: &[Row]) -> Vec<(Vec<Option<Verdict>>, usize)> {
        let mut all: Vec<(Vec<Option<Verdict>>, usize)> = Vec::new();
        let quiet = |verdict: &Option<Verdict>| matches!(verdict, None | Some(Verdict::Passed | Verdict::Skipped));
        for verdicts in rows.iter().map(|row| self.verdicts(row)).filter(|verdicts| verdicts.iter().all(quiet)) {
            match all.iter_mut().find(|(known, _)| *known == verdicts) {
                Some((_, number)) => *number += 1,
                None => all.push((verdicts, 1)),
            }
        }
        all.retain(|(verdicts, number)| *number > FEW || !verdicts.contains(&Some(Verdict::Skipped)));
        all
    }

    fn marks(&self, verdicts: impl Iterator<Item = Option<Verdict>>) -> String {
        let mark = |verdict: Option<Verdict>| verdict.map_or(" ".into(), |verdict| mark(self.terminal, verdict));
        verdicts.map(mark).collect::<Vec<_>>().join(" ")
    }

    /// What the marks mean, unless all cases passed.
    fn legend(&self) -> String {
        let marks: Vec<_> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Passed && self.counts.of(*verdict) > 0)
            .map(|verdict| format!("{} {}", mark(self.terminal, verdict), self.terminal.paint(DIM, verdict.meaning())))
            .collect();
        if marks.is_empty() { String::new() } else { format!("\n{}\n", marks.join("   ")) }
    }

    fn failures(&self) -> io::Result<String> {
        let mut blocks = String::new();
        for (at, case) in self.run.troubled().take(LISTED).enumerate() {
            blocks += &self.failure(case, &self.run.full(case)?, at < IN_FULL);
        }
        let hidden = self.run.troubled().count().saturating_sub(LISTED);
        if hidden > 0 {
            blocks += &self.terminal.dimmed(&format!("and {hidden} more, which the other reports list"), 0);
        }
        blocks.truncate(blocks.trim_end_matches('\n').len());
        Ok(if blocks.is_empty() { blocks } else { blocks + "\n" })
    }

    fn failure(&self, case: &Case, Full { planned, result }: &Full, in_full: bool) -> String {
        let id = self.terminal.paint(BOLD, line(&self.run.id(case)));
        let mut block = format!("{} {id}\n", mark(self.terminal, case.verdict));
        if in_full && !planned.summary.is_empty() {
            block += &self.terminal.dimmed(&planned.summary, 2);
        }
        let message = result.message.as_deref().unwrap_or(NO_REASON);
        match &result.detail {
            // Never wrapped, because its carets stand under what they mean.
            Some(detail) if in_full => block.extend(text(detail.trim_end()).lines().map(|l| format!("  {l}\n"))),
            _ => block.extend(self.wrapped(&line(message), 2).iter().map(|l| format!("  {l}\n"))),
        }
        if let Some(lacks) = fixes::lacks(self.run, case) {
            let lines = self.wrapped(&line(&lacks), 2);
            block.extend(lines.iter().map(|l| format!("  {}\n", self.terminal.paint(BOLD, l))));
        }
        if in_full {
            let calls: Vec<&str> = result.trace.iter().map(String::as_str).collect();
            let title = match result.before.len() {
                0 => "calls".to_owned(),
                before => format!("calls, behind {before} of earlier cases that opened what it uses"),
            };
            block += &self.last(&title, &calls);
            let log = result.kernel_log.iter().map(String::as_str).filter(|line| !is_routine(line));
            block += &self.last("kernel log", &log.collect::<Vec<_>>());
            // One line, however long, so that it can be copied.
            let again = self.run.again(case, planned).map(|again| format!("again: {again}"));
            block.extend(again.map(|again| format!("  {}\n", self.terminal.paint(DIM, again))));
            block.push('\n');
        }
        block
    }

    /// The last of some lines under a title; nothing if there are none.
    fn last(&self, title: &str, lines: &[&str]) -> String {
        let hidden = lines.len().saturating_sub(LAST_LINES);
        let title = match hidden {
            _ if lines.is_empty() => return String::new(),
            0 => format!("{title}:"),
            _ => format!("{title}, the last {LAST_LINES} of {}:", lines.len()),
        };
        let shown = lines[hidden..].iter().map(|l| format!("    {}\n", self.terminal.paint(DIM, line(l))));
        format!("  {}\n", self.terminal.paint(DIM, title)) + &shown.collect::<String>()
    }

    /// The cases that failed as their `known_issue` says, each with its reason.
    fn known(&self) -> String {
        let of = self.run.cases.iter().filter(|case| case.verdict == Verdict::KnownIssue);
        let reason = |case: &Case| format!("{} {}", self.run.id(case), case.reason.as_deref().unwrap_or("known issue"));
        self.list(of.map(|case| self.terminal.dimmed(&reason(case), 0)), self.counts.known_issues)
    }

    /// The skips by reason, those first of which some ran the last time.
    fn skips(&self) -> String {
        let is_news = |case: &&u32| self.run.ran_last_time.contains(&self.run.id(&self.run.cases[**case as usize]));
        let skips = words::skips(self.run).into_iter();
        let mut skips: Vec<_> =
            skips.map(|(reason, cases)| (cases.iter().filter(is_news).count(), reason, cases)).collect();
        skips.sort_by_key(|(news, ..)| *news == 0);
        let skip = skips.iter().map(|(news, reason, cases)| match (*news, cases.len()) {
            (0, all) => self.terminal.dimmed(&format!("{all} skipped: {reason}"), 0),
            (news, all) => {
                let which = if news == all { "all ran".to_owned() } else { format!("{news} of them ran") };
                let text = format!("{all} skipped, and {which} the last time: {}", line(reason));
                self.wrapped(&text, 0).iter().map(|l| format!("{}\n", self.terminal.paint(YELLOW, l))).collect()
            }
        });
        self.list(skip, skips.len())
    }

    fn notes(&self) -> String {
        let notes = words::notes(self.run);
        let note = notes.iter().map(|(note, cases)| {
            let names = if note.kind.is_gap() { self.terminal.dimmed(&self.names(cases), 4) } else { String::new() };
            self.terminal.dimmed(&note.counted(cases.len()), 0) + &names
        });
        self.list(note, notes.len())
    }

    /// Where backends or kernels answered a call of `explore` differently, and all of these answers are allowed.
    fn explored(&self) -> io::Result<String> {
        let differences = explored::differences(self.run)?;
        if differences.is_empty() {
            return Ok(String::new());
        }
        let heading = format!("{} that the model allows:\n", count(differences.len(), "difference"));
        let each = differences.iter().map(|(text, _)| self.terminal.dimmed(&line(text), 2));
        Ok(heading + &self.list(each, differences.len()))
    }

    /// The first of these cases by scenario, such as `kernel.dma_mapping: mmap, unmap; kernel.limits: size_zero; and 3 more`. A case
    /// that stands in several columns of the matrix counts once.
    fn names(&self, cases: &[u32]) -> String {
        let mut seen = HashSet::new();
        let mut names = String::new();
        let mut last = None;
        for &number in cases {
            let case = &self.run.cases[number as usize];
            let suite = self.run.suite(case);
            let scenario = (&suite.pack, &suite.scenario);
            if !seen.insert((scenario, &case.name)) || seen.len() > NAMED {
                continue;
            }
            names += &match last.replace(scenario) {
                Some(last) if last == scenario => format!(", {}", case.name),
                Some(_) => format!("; {}.{}: {}", suite.pack, suite.scenario, case.name),
                None => format!("{}.{}: {}", suite.pack, suite.scenario, case.name),
            };
        }
        match seen.len().saturating_sub(NAMED) {
            0 => names,
            more => format!("{names}; and {more} more"),
        }
    }

    /// The first items of a list of `count`, and how many more there are.
    fn list(&self, items: impl Iterator<Item = String>, count: usize) -> String {
        let more =
            (count > LISTED).then(|| self.terminal.dimmed(&format!("and {} more", count.saturating_sub(LISTED)), 0));
        items.take(LISTED).chain(more).collect()
    }

    fn closing(&self, files: &[(&str, &Path)]) -> String {
        let Counts { cases, passed, failed, errors, flaky, .. } = self.counts;
        let good = failed + errors + flaky == 0 && passed > 0 && !self.run.interrupted();
        let mut parts = Vec::new();
        use Verdict::{Error, Failed, Flaky, KnownIssue, Passed, Skipped};
        for verdict in [Passed, Flaky, Failed, Error, Skipped, KnownIssue] {
            let style = match verdict {
                Passed if good => GREEN.bold(),
                Passed => GREEN,
                Failed => RED.bold(),
                Error | Flaky => YELLOW.bold(),
                KnownIssue => YELLOW,
                Skipped => DIM,
            };
            parts.extend(words::counted(&self.counts, [verdict]).iter().map(|part| self.terminal.paint(style, part)));
        }
        if parts.is_empty() {
            parts.push(self.terminal.paint(YELLOW.bold(), "nothing ran"));
        }
        let total = self.terminal.paint(BOLD, count(cases, "case") + ":");
        let how = if self.run.interrupted() { ", interrupted after" } else { " in" };
        let seconds = self.run.wall_time().as_secs_f64();
        let closing = format!("{total} {}{how}{} {seconds:.2} s\n", parts.join(", "), words::runs(self.run));
        closing + &self.terminal.files(files)
    }

    fn wrapped(&self, text: &str, indent: usize) -> Vec<String> {
        wrapped(text, self.terminal.width, indent)
    }
}

/// Whether a line of the kernel log only says that a device was opened or closed. The journal has these lines.
fn is_routine(line: &str) -> bool {
    let of_device = ["resetting", "reset done", "enabling device"].iter().any(|what| line.contains(what));
    (line.contains("vfio-pci ") && of_device) || (line.contains("ACPI: ") && line.contains("Enabled at IRQ"))
}
