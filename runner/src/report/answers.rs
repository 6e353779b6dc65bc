// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel answered to cases that were asked (`--ask`): a table for each, and the YAML that expects it.
//!
//! ```text
//! tickets.ticket_4711 on edu: middle_page
//! scenarios/tickets/ticket_4711.yaml
//!
//!       ┌ vfio_type1_iommu
//!       │         ┌ vfio_type1v2_iommu
//!       │         │        ┌ iommufd_compat_type1
//!       │         │        │     ┌ iommufd_compat_type1v2, iommufd
//! line  │         │        │     │
//!    8  ok        ok       ok    ok       map: { region: buffer }
//!   10  0 bytes*  EINVAL*  4KiB* ENOENT*  unmap: { iova: {{ m.iova + 4096 }}, size: 4KiB }
//! ```
//!
//! Backends that answer alike throughout share a column.

use std::{collections::BTreeMap, io};

use crate::event::{Answer, Answered};
use crate::model::{BackendName, size};
use crate::report::run::{Case, Full, Run, backend_rank};
use crate::report::terminal::{BOLD, DIM, Terminal, YELLOW, wrapped};
use crate::sanitize::line;

/// A cell that is longer than this moves those beside it.
const WIDEST: usize = 200;

/// How many tables are shown; the JSON report has all answers.
const TABLES: usize = 50;

/// Patterns of several backends, for groups that answer alike.
const PATTERNS: [&str; 3] = ["vfio_*", "iommufd*", "iommufd_compat_*"];

/// An `expect` that is longer than this is written in several lines.
const WIDTH: usize = 80;

/// The tables of all cases that were asked, as text for `terminal`.
pub fn render(run: &Run, terminal: &Terminal) -> io::Result<String> {
    let mut groups: Vec<Vec<&Case>> = Vec::new();
    for case in run.cases.iter().filter(|case| case.asked) {
        match groups.iter_mut().find(|group| is_same(run, group[0], case)) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    let mut blocks = Vec::new();
    for group in groups.iter().take(TABLES) {
        let full = group.iter().map(|case| run.full(case)).collect::<io::Result<Vec<_>>>()?;
        let title = terminal.paint(BOLD, line(&title(run, group[0])));
        let file = full.first().map(|full| full.planned.file.clone()).unwrap_or_default();
        let table = Table::of(&full);
        let mut block = format!("{title}\n{}\n\n{}", terminal.paint(DIM, line(&file)), table.text(terminal));
        block += &table.notes(terminal);
        block += &table.reads(terminal);
        let paste = table.paste();
        if !paste.is_empty() {
            block += &format!("\n{}\n{paste}", terminal.paint(BOLD, "To expect what the kernel answered:"));
        }
        blocks.push(block);
    }
    if groups.len() > TABLES {
        blocks.push(format!("and {} more, which the JSON report has (--json)\n", groups.len() - TABLES));
    }
    Ok(blocks.join("\n"))
}

/// The steps to which two runs were answered otherwise, each with both answers.
pub fn changes(old: &[Answer], new: &[Answer]) -> Vec<String> {
    let of = |answers: &[Answer], step: &Answer| {
        let same =
            answers.iter().filter(|answer| (line_of(&answer.at), &answer.step) == (line_of(&step.at), &step.step));
        let text = |answer: &Answer| match &answer.read {
            Some(read) => format!("{} {}", short(&answer.answer), line(read)),
            None => short(&answer.answer),
        };
        let texts: Vec<String> = same.map(text).collect();
        if texts.is_empty() { "no such step".to_owned() } else { texts.join(", ") }
    };
    let mut changes = Vec::new();
    for step in old.iter().chain(new) {
        let (before, now) = (of(old, step), of(new, step));
        let change = format!("line {}, {}: {before}, then {now}", line_of(&step.at), step.step);
        if before != now && !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes
}

/// Whether two cases are one but for their backend.
fn is_same(run: &Run, one: &Case, other: &Case) -> bool {
    let (a, b) = (run.suite(one), run.suite(other));
    let of = |suite: &crate::report::run::Suite| {
        (suite.environment, suite.pack.clone(), suite.scenario.clone(), suite.device.clone())
    };
    one.name == other.name && of(a) == of(b)
}

fn title(run: &Run, case: &Case) -> String {
    let suite = run.suite(case);
    let title = format!("{}.{} on {}: {}", suite.pack, suite.scenario, suite.device, case.name);
    match run.environment(case).label.as_str() {
        "" => title,
        label => format!("{label}: {title}"),
    }
}

/// The answers of one case on its backends.
struct Table {
    /// In their order, each with its answers by backend.
    rows: Vec<Row>,
    /// In their fixed order.
    backends: Vec<String>,
}

struct Row {
    at: String,
    step: String,
    answers: BTreeMap<String, Vec<Answer>>,
}

impl Table {
    fn of(cases: &[Full]) -> Table {
        let mut table = Table { rows: Vec::new(), backends: Vec::new() };
        for Full { planned, result } in cases {
            let backend = result.true_backend.as_ref().unwrap_or(&planned.backend);
            if table.backends.contains(backend) {
                continue; // another name of it
            }
            table.backends.push(backend.clone());
            // Backends may have steps that others have not.
            let mut next = 0;
            for answer in &result.answers {
                let known = table.rows.iter().position(|row| row.at == answer.at && row.step == answer.step);
                let at = known.unwrap_or_else(|| {
                    let (at, step) = (answer.at.clone(), answer.step.clone());
                    table.rows.insert(next, Row { at, step, answers: BTreeMap::new() });
                    next
                });
                next = at + 1;
                table.rows[at].answers.entry(backend.clone()).or_default().push(answer.clone());
            }
        }
        table.backends.sort_by_key(|backend| backend_rank(backend));
        table
    }

    /// The backends that answer alike throughout, in one column each.
    fn columns(&self) -> Vec<Vec<&str>> {
        let cells = |backend: &str| self.rows.iter().map(|row| row.cell(backend)).collect::<Vec<_>>();
        let mut columns: Vec<Vec<&str>> = Vec::new();
        for backend in &self.backends {
            match columns.iter_mut().find(|column| cells(column[0]) == cells(backend)) {
                Some(column) => column.push(backend),
                None => columns.push(vec![backend]),
            }
        }
        columns
    }

    fn text(&self, terminal: &Terminal) -> String {
        let columns = self.columns();
        let all = columns.len() == 1 && self.backends.len() > 1;
        let cells: Vec<Vec<String>> =
            self.rows.iter().map(|row| columns.iter().map(|column| row.cell(column[0])).collect()).collect();
        let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).clamp(1, WIDEST) + 2;
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let (rail, corner) = if terminal.unicode { ("│", "┌") } else { ("|", ",") };
        let lines: Vec<String> = self.rows.iter().map(|row| line_of(&row.at).to_string()).collect();
        let first = lines.iter().map(String::len).max().unwrap_or(0).max("line".len()) + 2;
        let rails = |count: usize| widths[..count].iter().map(|width| format!("{rail:width$}")).collect::<String>();
        let mut text = String::new();
        for (at, column) in columns.iter().enumerate() {
            let name = if all { "all".to_owned() } else { line(&column.join(", ")) };
            text += &format!("{:first$}{} {name}\n", "", terminal.paint(DIM, rails(at) + corner));
        }
        text += &format!("{:first$}{}\n", "line", terminal.paint(DIM, rails(columns.len()).trim_end()));
        for ((row, cells), number) in self.rows.iter().zip(&cells).zip(&lines) {
            text += &format!("{number:>width$}  ", width = first - 2);
            for (cell, width) in cells.iter().zip(&widths) {
                let painted = if cell.ends_with('*') { terminal.paint(YELLOW, cell) } else { cell.clone() };
                text += &format!("{painted}{:gap$}", "", gap = width.saturating_sub(cell.chars().count()));
            }
            let used = first + widths.iter().sum::<usize>();
            text += &format!("{}\n", shortened(&line(&row.step), terminal.width.saturating_sub(used).max(24)));
        }
        text
    }

    /// What the cells say too little of.
    fn notes(&self, terminal: &Terminal) -> String {
        let mut text = String::new();
        if self.rows.iter().any(|row| row.answers.values().flatten().any(|answer| !answer.expected)) {
            text += &format!("\n{}\n", terminal.paint(DIM, "* not what the scenario expects"));
        }
        text + &self.said(terminal, |answer| match &answer.answer {
            Answered::Ok | Answered::Bytes(_) | Answered::Fails(_) => None,
            Answered::Differs(why) => Some(format!("not so: {why}")),
            Answered::Unchecked(why) => Some(format!("unchecked: {why}")),
            Answered::NotRun(why) => Some(format!("not run: {why}")),
        })
    }

    /// What the steps read.
    fn reads(&self, terminal: &Terminal) -> String {
        let text = self.said(terminal, |answer| answer.read.clone());
        if text.is_empty() { text } else { format!("\n{}\n{text}", terminal.paint(BOLD, "What the steps read:")) }
    }

    /// What is said of the answers, each with its line and, where not all have the same, its backends.
    fn said(&self, terminal: &Terminal, say: impl Fn(&Answer) -> Option<String>) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
            for backend in &self.backends {
                for note in row.answers.get(backend).into_iter().flatten().filter_map(&say) {
                    match notes.iter_mut().find(|(known, _)| *known == note) {
                        Some((_, backends)) => backends.push(backend),
                        None => notes.push((note, vec![backend])),
                    }
                }
            }
            for (note, backends) in notes {
                let on = if backends.len() == self.backends.len() {
                    String::new()
                } else {
                    format!(" on {}", backends.join(", "))
                };
                let note = format!("line {}{on}: {note}", line_of(&row.at));
                text.extend(wrapped(&line(&note), terminal.width, 0).iter().map(|l| terminal.paint(DIM, l) + "\n"));
            }
        }
        text
    }

    /// The `expect` of each step whose answers are not what is written, each below a comment that says where it belongs.
    fn paste(&self) -> String {
        let map_fails = |backend: &String| {
            let of_map = self.rows.iter().filter(|row| row.key() == Some("map")).filter_map(|r| r.answers.get(backend));
            of_map.flatten().any(|answer| matches!(answer.answer, Answered::Fails(_)))
        };
        let nothing_mapped = self.backends.iter().all(map_fails);
        let mut text = String::new();
        for row in &self.rows {
            let Some(key) = row.key().map(line) else { continue };
            // In the short form nothing is unmapped where nothing can be mapped.
            if row.says_more() && !(key == "unmap" && nothing_mapped) {
                text += &row.paste(&key);
            }
        }
        text
    }
}

impl Row {
    fn key(&self) -> Option<&str> {
        self.answers.values().flatten().find_map(|answer| answer.key.as_deref())
    }

    /// Whether an answer is not what is written, or is a number of bytes where nothing is written.
    fn says_more(&self) -> bool {
        let says = |answer: &Answer| {
            !answer.expected || (answer.line.is_none() && matches!(answer.answer, Answered::Bytes(_)))
        };
        self.answers.values().flatten().any(says)
    }

    fn cell(&self, backend: &str) -> String {
        let answers = self.answers.get(backend).map(Vec::as_slice).unwrap_or_default();
        // What was read in each round stands below the table.
        let mut cells: Vec<(String, u32)> = Vec::new();
        for answer in answers {
            let text = short(&answer.answer);
            match cells.iter_mut().find(|(known, _)| *known == text) {
                Some((_, times)) => *times = times.saturating_add(answer.times),
                None => cells.push((text, answer.times)),
            }
        }
        let several = cells.len() > 1;
        let one = |(text, times): &(String, u32)| if several { format!("{text} x{times}") } else { text.clone() };
        let cell = cells.iter().map(one).collect::<Vec<_>>().join(", ");
        if answers.iter().all(|answer| answer.expected) { cell } else { cell + "*" }
    }

    fn paste(&self, key: &str) -> String {
        let (line_of_step, column) = (line_of(&self.at), column_of(&self.at));
        let written = self.answers.values().flatten().find_map(|answer| answer.line);
        let indent = " ".repeat(if key == "expect" { column.saturating_sub(1).min(WIDTH / 2) } else { 6 });
        let place = match written {
            Some(written) => format!("in place of `{key}` in line {written}"),
            None if key == "expect" => format!("beside `{}`", self.step.split(':').next().unwrap_or_default()),
            None => "in `expect`".to_owned(),
        };
        let mut text = format!("{indent}# line {line_of_step}: {}\n", line(&place));
        let mut outcomes: Vec<(String, Vec<&str>)> = Vec::new();
        let mut unknown = Vec::new();
        let mut backends: Vec<&String> = self.answers.keys().collect();
        backends.sort_by_key(|backend| backend_rank(backend));
        for backend in backends {
            match outcome(&self.answers[backend]) {
                Ok(outcome) => match outcomes.iter_mut().find(|(known, _)| *known == outcome) {
                    Some((_, backends)) => backends.push(backend),
                    None => outcomes.push((outcome, vec![backend])),
                },
                Err(why) => unknown.push(format!("{indent}# {}: {why}\n", line(backend))),
            }
        }
        if outcomes.is_empty() {
            return String::new();
        }
        text.extend(unknown);
        if let [(outcome, _)] = outcomes.as_slice() {
            return text + &format!("{indent}{key}: {outcome}\n");
        }
        let keyed = |(outcome, of): &(String, Vec<&str>)| {
            keys(of).into_iter().map(|key| (key, outcome.clone())).collect::<Vec<_>>()
        };
        let mut entries: Vec<((usize, String), String)> = outcomes.iter().flat_map(keyed).collect();
        entries.sort();
        let entries: Vec<_> = entries.into_iter().map(|((_, key), outcome)| (key, outcome)).collect();
        let flow = entries.iter().map(|(key, outcome)| format!("{key}: {outcome}")).collect::<Vec<_>>().join(", ");
        let flow = format!("{indent}{key}: {{ {flow} }}\n");
        if flow.len() <= WIDTH {
            return text + &flow;
        }
        text += &format!("{indent}{key}:\n");
        text.extend(entries.iter().map(|(key, outcome)| format!("{indent}  {key}: {outcome}\n")));
        text
    }
}

/// What a cell shows.
fn short(answer: &Answered) -> String {
    match answer {
        Answered::Ok => "ok".to_owned(),
        Answered::Bytes(bytes @ 0..4096) => format!("{bytes} bytes"),
        Answered::Bytes(bytes) => size(*bytes),
        Answered::Fails(name) => line(name),
        Answered::Differs(_) => "not so".to_owned(),
        Answered::Unchecked(_) => "unchecked".to_owned(),
        Answered::NotRun(_) => "not run".to_owned(),
    }
}

/// The answers of a step on one backend as `expect` says them, or why it cannot.
fn outcome(answers: &[Answer]) -> Result<String, &'static str> {
    let mut failures = Vec::new();
    for Answer { answer, .. } in answers {
        match answer {
            Answered::Fails(name) => failures.push(line(name)),
            Answered::Ok if answers.len() == 1 => return Ok("ok".to_owned()),
            Answered::Bytes(bytes) if answers.len() == 1 => return Ok(format!("{{ bytes: {} }}", size(*bytes))),
            Answered::Ok | Answered::Bytes(_) => return Err("the answer differs from round to round"),
            Answered::NotRun(_) => return Err("not run"),
            Answered::Differs(_) | Answered::Unchecked(_) => return Err("no answer"),
        }
    }
    match failures.as_slice() {
        [only] => Ok(only.clone()),
        several => Ok(format!("[{}]", several.join(", "))),
    }
}

/// The keys of a table that mean these backends and no other, each with the place of the first backend that it means.
fn keys(backends: &[&str]) -> Vec<(usize, String)> {
    let mut left: Vec<&str> = backends.to_vec();
    let mut keys = Vec::new();
    for pattern in PATTERNS {
        let start = pattern.trim_end_matches('*');
        let meant = || BackendName::ALL.iter().map(|backend| backend.as_str()).filter(|name| name.starts_with(start));
        if meant().all(|name| left.contains(&name)) {
            keys.extend(meant().map(backend_rank).min().map(|first| (first, format!("\"{pattern}\""))));
            left.retain(|name| !name.starts_with(start));
        }
    }
    keys.extend(left.into_iter().map(|backend| (backend_rank(backend), line(backend))));
    keys
}

/// The line of `file:line:column`.
fn line_of(at: &str) -> u32 {
    at.rsplit(':').nth(1).and_then(|line| line.parse().ok()).unwrap_or(0)
}

fn column_of(at: &str) -> usize {
    at.rsplit(':').next().and_then(|column| column.parse().ok()).unwrap_or(1)
}

/// A text that fits `width`.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(3)).collect::<String>() + "..."
}
