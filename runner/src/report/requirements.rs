// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the requirements stand that cases cover (`report --requirements`), and which no case covers.
//!
//! ```text
//! ✗  REQ-12: 1 failed, 4 passed
//!      kernel.dma_mapping.iommufd__edu.overflow
//! –  REQ-14: not tested, 2 skipped: the device has no MSI-X
//! ?  REQ-15 Interrupts survive a reset: no case covers it
//! ✓  REQ-11: 5 passed
//!
//! 4 requirements: 1 failed, 1 not covered, 1 not tested, 1 passed
//! ```

use std::{collections::HashMap, io, path::Path};

use crate::model::{Verdict, count};
use crate::report::run::{Counts, Run};
use crate::report::terminal::{BOLD, DIM, GREEN, RED, Terminal, YELLOW, mark, wrapped};
use crate::report::words::{NO_REASON, counted};
use crate::report::{note::NoteKind, summary};
use crate::sanitize::line;

/// How many cases of a requirement are named that did not pass.
const LISTED: usize = 4;

/// A requirement that has to be covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    /// What it says; may be empty.
    pub title: String,
}

impl Wanted {
    /// Those of a list: one in each line, its name first.
    pub fn read(list: &str) -> Vec<Wanted> {
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let each = lines.map(|line| {
            let (name, title) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            Wanted { name: name.to_owned(), title: title.trim().to_owned() }
        });
        each.collect()
    }
}

/// How a requirement stands in one environment.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    counts: Counts,
    /// Cases that passed with a check that was not made.
    unchecked: usize,
    /// Why the first case was skipped.
    skipped: Option<String>,
}

impl Standing {
    /// The worst of the verdicts of its cases. A skip counts only where no case ran.
    pub fn verdict(&self) -> Verdict {
        let worst = [Verdict::Failed, Verdict::Error, Verdict::Flaky, Verdict::KnownIssue, Verdict::Passed];
        worst.into_iter().find(|verdict| self.counts.of(*verdict) > 0).unwrap_or(Verdict::Skipped)
    }

    /// What that means of a requirement.
    pub fn meaning(&self) -> &'static str {
        match self.verdict() {
            Verdict::Skipped => "not tested",
            verdict => verdict.counted(),
        }
    }

    /// How many cases ended how, in words.
    pub fn tally(&self) -> String {
        let mut parts = counted(&self.counts, Verdict::ALL);
        if self.unchecked > 0 {
            parts.push(format!("{} of these without a check", self.unchecked));
        }
        let tally = parts.join(", ");
        match &self.skipped {
            Some(why) if self.verdict() == Verdict::Skipped => format!("not tested, {tally}: {}", line(why)),
            _ => tally,
        }
    }
}

/// A requirement that cases cover, or that has to be covered.
pub struct Seen {
    pub name: String,
    pub title: String,
    /// How it stands in each environment; `None` if no case covers it there.
    pub standing: Vec<Option<Standing>>,
    /// The indices of its cases in [`Run::cases`], those first that somebody has to look at.
    pub cases: Vec<u32>,
}

impl Seen {
    fn worst(&self) -> Option<Verdict> {
        let all = || self.standing.iter().flatten().map(Standing::verdict);
        // In the order of `Verdict::ALL`, the gravest first. One that was tested anywhere was tested.
        let rank = |verdict: &Verdict| Verdict::ALL.iter().position(|known| known == verdict);
        all().filter(|verdict| *verdict != Verdict::Skipped).min_by_key(rank).or_else(|| all().next())
    }
}

/// All requirements, those first that have to be looked at.
pub fn seen(run: &Run, wanted: &[Wanted]) -> io::Result<Vec<Seen>> {
    let environments = run.environments.len();
    let mut all: Vec<Seen> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    let new = |name: &str, title: &str| {
        let (name, title) = (name.to_owned(), title.to_owned());
        Seen { name, title, standing: vec![None; environments], cases: Vec::new() }
    };
    for Wanted { name, title } in wanted {
        place.entry(name.clone()).or_insert_with(|| {
            all.push(new(name, title));
            all.len() - 1
        });
    }
    for (number, case) in (0..).zip(&run.cases).filter(|(_, case)| case.covers) {
        let planned = run.planned(case)?;
        let mut covers = planned.covers;
        covers.sort_unstable();
        covers.dedup();
        for name in covers {
            let at = *place.entry(name).or_insert_with_key(|name| {
                all.push(new(name, ""));
                all.len() - 1
            });
            let standing = all[at].standing[run.suite(case).environment].get_or_insert_default();
            standing.counts.add(case.verdict);
            let has_gap = case.notes.iter().any(|note| note.kind == NoteKind::NotMade);
            standing.unchecked += usize::from(has_gap && case.verdict == Verdict::Passed);
            if case.verdict == Verdict::Skipped && standing.skipped.is_none() {
                standing.skipped = Some(case.reason.as_deref().unwrap_or(NO_REASON).to_owned());
            }
            all[at].cases.push(number);
        }
    }
    let rank = |verdict: Verdict| Verdict::ALL.iter().position(|known| *known == verdict);
    for seen in &mut all {
        seen.cases.sort_by_key(|number| rank(run.cases[*number as usize].verdict));
    }
    // One that nothing covers stands before those that were not tested.
    let uncovered = rank(Verdict::Skipped).unwrap_or_default() * 2 - 1;
    all.sort_by_key(|seen| seen.worst().map_or(uncovered, |verdict| rank(verdict).unwrap_or_default() * 2));
    Ok(all)
}

/// The requirements as text for `terminal`; `files` are the reports that were written.
pub fn render(run: &Run, wanted: &[Wanted], terminal: &Terminal, files: &[(&str, &Path)]) -> io::Result<String> {
    let all = seen(run, wanted)?;
    let mut blocks = vec![summary::environments(run, terminal)];
    blocks.push(all.iter().map(|seen| row(run, seen, terminal)).collect());
    blocks.push(closing(run, &all, terminal) + &terminal.files(files));
    blocks.retain(|block| !block.is_empty());
    Ok(blocks.join("\n"))
}

fn row(run: &Run, seen: &Seen, terminal: &Terminal) -> String {
    let none = || terminal.paint(YELLOW, "?");
    let marks =
        seen.standing.iter().map(|standing| standing.as_ref().map_or_else(none, |it| mark(terminal, it.verdict())));
    let marks: Vec<String> = marks.collect();
    let name = if seen.title.is_empty() { seen.name.clone() } else { format!("{} {}", seen.name, seen.title) };
    let told: Vec<String> = run
        .environments
        .iter()
        .zip(&seen.standing)
        .filter_map(|(environment, standing)| {
            let label = if environment.label.is_empty() { String::new() } else { format!("{}: ", environment.label) };
            Some(format!("{label}{}", standing.as_ref()?.tally()))
        })
        .collect();
    let told = if told.is_empty() { "no case covers it".to_owned() } else { told.join("; ") };
    let indent = 2 * marks.len() + 1;
    let text = wrapped(&line(&format!("{name}: {told}")), terminal.width, indent).join(&format!("\n{:indent$}", ""));
    let mut block = format!("{}  {text}\n", marks.join(" "));
    let bad = |number: &&u32| !matches!(run.cases[**number as usize].verdict, Verdict::Passed | Verdict::Skipped);
    let bad: Vec<&u32> = seen.cases.iter().filter(bad).collect();
    for number in bad.iter().take(LISTED) {
        block += &terminal.dimmed(&run.id(&run.cases[**number as usize]), indent + 2);
    }
    if bad.len() > LISTED {
        block += &terminal.dimmed(&format!("and {} more", bad.len() - LISTED), indent + 2);
    }
    block
}

fn closing(run: &Run, all: &[Seen], terminal: &Terminal) -> String {
    let total = terminal.paint(BOLD, count(all.len(), "requirement") + ":");
    let of = |verdict: Option<Verdict>| all.iter().filter(|seen| seen.worst() == verdict).count();
    let mut parts = Vec::new();
    for verdict in Verdict::ALL {
        let (style, word) = match verdict {
            Verdict::Failed => (RED.bold(), verdict.counted()),
            Verdict::Error | Verdict::Flaky | Verdict::KnownIssue => (YELLOW, verdict.counted()),
            Verdict::Skipped => (DIM, "not tested"),
            Verdict::Passed => (GREEN, verdict.counted()),
        };
        let number = of(Some(verdict));
        parts.extend((number > 0).then(|| terminal.paint(style, format_args!("{number} {word}"))));
    }
    let uncovered = of(None);
    parts.extend((uncovered > 0).then(|| terminal.paint(YELLOW.bold(), format_args!("{uncovered} not covered"))));
    let covering: std::collections::HashSet<u32> = all.iter().flat_map(|seen| seen.cases.iter().copied()).collect();
    let idle = run.cases.len() - covering.len();
    let mut text = match parts.is_empty() {
        true => "no case names a requirement in `covers`\n".to_owned(),
        false => format!("{total} {}\n", parts.join(", ")),
    };
    if idle > 0 && !parts.is_empty() {
        text += &terminal.dimmed(&format!("{} of {} name none", idle, count(run.cases.len(), "case")), 0);
    }
    text
}
