// SPDX-License-Identifier: MIT OR Apache-2.0
//! How cases did over many runs: a page with a row for each case, a mark for each run, and a curve of its time. Its template is
//! `reports/trend.html`.
//!
//! Runs are read one after the other. Of a case, its verdict and its time in each run stay in memory, and none of its texts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use minijinja::{Value, context};

use crate::event::RunStarted;
use crate::model::{Verdict, count};
use crate::report::html::{class, lazy, render, took};
use crate::report::run::{Counts, Run, State};
use crate::report::words::{self, begin, counted};
use crate::sanitize::line;

const TEMPLATE: &str = include_str!("../../../reports/trend.html");

/// A case takes another time if it took this many times as long as usual, or as short …
const FACTOR: u64 = 2;

/// … and if the times differ by this many microseconds.
const LEAST: u64 = 100_000;

/// Size of a curve in pixels.
const CURVE: (u32, u32) = (180, 26);

#[derive(Default)]
pub struct Trend {
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// Where a case is, by its id.
    place: HashMap<String, usize>,
}

/// A run.
struct Column {
    label: Option<String>,
    started: RunStarted,
    counts: Counts,
    /// The index that its cells have in a row.
    at: usize,
}

/// A case.
struct Row {
    /// The pack, the scenario and the device.
    group: String,
    backend: String,
    name: String,
    /// By run; `None` if it was not planned there.
    cells: Vec<Option<Cell>>,
}

#[derive(Clone)]
struct Cell {
    verdict: Verdict,
    /// 0 if it did not run.
    micros: u64,
    reason: Option<Arc<str>>,
}

/// Which list of the page a case is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// It did not end the same in each run.
    Changed,
    /// It takes another time now than before.
    Slower,
    Faster,
    /// It never passed.
    NeverGood,
    Steady,
    NeverRan,
}

impl Trend {
    /// Adds a run, with the name that the user gives it.
    pub fn add(&mut self, label: Option<String>, run: &Run) {
        let at = self.columns.len();
        let started = run.parts().next().map(|part| part.started.clone()).unwrap_or_default();
        self.columns.push(Column { label, started, counts: run.counts(), at });
        for case in &run.cases {
            let id = run.id(case);
            let place = *self.place.entry(id).or_insert_with(|| {
                let suite = run.suite(case);
                self.rows.push(Row {
                    group: format!("{}.{} on {}", suite.pack, suite.scenario, suite.device),
                    backend: suite.backend.to_string(),
                    name: case.name.to_string(),
                    cells: Vec::new(),
                });
                self.rows.len() - 1
            });
            let cells = &mut self.rows[place].cells;
            cells.resize(at + 1, None);
            let micros = if case.state == State::Finished { case.micros } else { 0 };
            cells[at] = Some(Cell { verdict: case.verdict, micros, reason: case.reason.clone() });
        }
    }

    pub fn runs(&self) -> usize {
        self.columns.len()
    }

    pub fn cases(&self) -> usize {
        self.rows.len()
    }

    /// How many cases did not end the same in each run that planned them.
    pub fn changed(&self) -> usize {
        self.rows.iter().filter(|row| row.has_changed()).count()
    }

    /// The page, with the runs in the order in which they began.
    pub fn page(mut self) -> Page {
        self.columns.sort_by_key(|column| column.started.started_ms);
        let order: Vec<usize> = self.columns.iter().map(|column| column.at).collect();
        for row in &mut self.rows {
            row.cells.resize(order.len(), None);
            row.cells = order.iter().map(|at| row.cells[*at].clone()).collect();
        }
        Page(Arc::new(self))
    }
}

impl Row {
    /// The cells with their runs.
    fn planned(&self) -> impl DoubleEndedIterator<Item = (usize, &Cell)> {
        self.cells.iter().enumerate().filter_map(|(at, cell)| Some((at, cell.as_ref()?)))
    }

    /// Times of the runs in which it ran, with these.
    fn times(&self) -> Vec<(usize, u64)> {
        let ran = self.planned().filter(|(_, cell)| cell.verdict != Verdict::Skipped && cell.micros > 0);
        ran.map(|(at, cell)| (at, cell.micros)).collect()
    }

    fn has_changed(&self) -> bool {
        let mut verdicts = self.planned().map(|(_, cell)| cell.verdict);
        let first = verdicts.next();
        verdicts.any(|verdict| Some(verdict) != first)
    }

    fn kind(&self) -> Kind {
        let last = self.planned().next_back().map(|(_, cell)| cell.verdict);
        match (self.has_changed(), last) {
            (true, _) => return Kind::Changed,
            (false, Some(Verdict::Skipped) | None) => return Kind::NeverRan,
            (false, Some(Verdict::Passed)) => {}
            (false, Some(_)) => return Kind::NeverGood,
        }
        let times = self.times();
        let Some(((_, now), before)) = times.split_last() else { return Kind::Steady };
        let mut before: Vec<u64> = before.iter().map(|(_, micros)| *micros).collect();
        before.sort_unstable();
        let Some(usual) = before.get(before.len().saturating_sub(1) / 2).copied() else { return Kind::Steady };
        let (less, more) = (usual.min(*now), usual.max(*now));
        match more >= less.saturating_mul(FACTOR) && more - less >= LEAST {
            false => Kind::Steady,
            true if *now > usual => Kind::Slower,
            true => Kind::Faster,
        }
    }
}

/// A page that can be written.
pub struct Page(Arc<Trend>);

impl Page {
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        render(TEMPLATE, page(&self.0), out)
    }
}

/// The lists of rows, each with its heading, what it says, and whether it is folded.
const LISTS: [(Kind, &str, &str, bool); 5] = [
    (Kind::Changed, "Changed", "cases that did not end the same in each run", false),
    (Kind::NeverGood, "Never passed", "cases that ended the same each time, and not well", false),
    (Kind::Slower, "Slower", "the last run took at least twice as long as the median of those before", false),
    (Kind::Faster, "Faster", "the last run took at most half as long as the median of those before", false),
    (Kind::Steady, "Steady", "cases that passed each time they were planned", true),
];

fn page(trend: &Arc<Trend>) -> Value {
    let kinds: Vec<Kind> = trend.rows.iter().map(Row::kind).collect();
    let of = |kind: Kind| -> Vec<u32> {
        (0..).zip(&kinds).filter(|(_, known)| **known == kind).map(|(number, _)| number).collect()
    };
    let lists = LISTS.into_iter().filter_map(|(kind, heading, about, folded)| {
        let rows = of(kind);
        let count = rows.len();
        (count > 0).then(|| context! { heading, about, folded, count, groups => groups(trend, rows) })
    });
    let columns: Vec<Value> = (0..trend.columns.len())
        .map(|at| column(at.checked_sub(1).map(|at| &trend.columns[at]), &trend.columns[at]))
        .collect();
    let first = trend.columns.first().map(|column| day(&column.started)).unwrap_or_default();
    let last = trend.columns.last().map(|column| day(&column.started)).unwrap_or_default();
    context! {
        headline => format!("{} over {}", count(trend.rows.len(), "case"), count(trend.columns.len(), "run")),
        subline => if first == last { first } else { format!("{first} to {last}") },
        changed => of(Kind::Changed).len(),
        never => of(Kind::NeverRan).len(),
        lists => lists.collect::<Vec<_>>(),
        columns,
        legend => Verdict::ALL.map(|verdict| context! {
            class => class(verdict), symbol => verdict.symbol(), meaning => verdict.meaning(),
        }).to_vec(),
        tool => trend.columns.last().map(|column| line(&column.started.tool)),
        width => CURVE.0, height => CURVE.1,
    }
}

/// The day of a run, in UTC.
fn day(started: &RunStarted) -> String {
    begin(started.started_ms).split('T').next().unwrap_or_default().to_owned()
}

fn column(before: Option<&Column>, column: &Column) -> Value {
    let Column { label, started, counts, .. } = column;
    let kernel = words::kernel(started);
    let is_new = before.is_some_and(|before| words::kernel(&before.started) != kernel);
    let time = begin(started.started_ms);
    let time = time.split('T').nth(1).unwrap_or_default().get(..5).unwrap_or_default().to_owned();
    // The gravest on top of the bar.
    let parts = Verdict::ALL.into_iter().filter(|verdict| counts.of(*verdict) > 0).map(|verdict| {
        context! { class => class(verdict), count => counts.of(verdict), meaning => verdict.counted() }
    });
    context! {
        label => label.as_deref().map(line),
        host => line(started.host.as_deref().unwrap_or_default()),
        day => day(started), time, is_new,
        kernel => line(&kernel),
        place => line(&words::place(started)),
        tally => counted(counts, Verdict::ALL).join(", "),
        parts => parts.collect::<Vec<_>>(),
    }
}

/// These rows by scenario and device.
fn groups(trend: &Arc<Trend>, rows: Vec<u32>) -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<u32>)> = Vec::new();
    let mut place: HashMap<&str, usize> = HashMap::new();
    for number in rows {
        let group = trend.rows[number as usize].group.as_str();
        let at = *place.entry(group).or_insert_with(|| {
            groups.push((group, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(number);
    }
    let group = |(title, rows): (&str, Vec<u32>)| {
        let (title, count) = (line(title), rows.len());
        let rows = lazy((trend.clone(), rows), |(trend, rows)| {
            Box::new(rows.iter().map(|number| row(trend, &trend.rows[*number as usize])))
        });
        context! { title, count, rows }
    };
    groups.into_iter().map(group).collect()
}

fn row(trend: &Trend, row: &Row) -> Value {
    let cells = row.cells.iter().zip(&trend.columns).map(|(cell, column)| match cell {
        None => context! {},
        Some(Cell { verdict, micros, reason }) => {
            let mut title = format!("{}, {}", day(&column.started), verdict.meaning());
            if *micros > 0 {
                title += &format!(", {}", took(*micros));
            }
            reason.iter().for_each(|reason| title += &format!("\n{}", line(reason)));
            context! { class => class(*verdict), symbol => verdict.symbol(), meaning => verdict.meaning(), title }
        }
    });
    let times = row.times();
    let (least, most) = (times.iter().map(|it| it.1).min(), times.iter().map(|it| it.1).max());
    let range = least.zip(most).map(|(least, most)| match least == most {
        true => took(least),
        false => format!("{} to {}", took(least), took(most)),
    });
    context! {
        name => line(&row.name), backend => line(&row.backend),
        cells => cells.collect::<Vec<_>>(),
        curve => curve(&times, row.cells.len()),
        range,
        now => times.last().map(|(_, micros)| took(*micros)),
    }
}

/// The points of a curve of times, from 0 at the bottom to the longest at the top; `None` without two times.
fn curve(times: &[(usize, u64)], runs: usize) -> Option<String> {
    const EDGE: u64 = 3;
    let (width, height) = (u64::from(CURVE.0), u64::from(CURVE.1));
    let most = times.iter().map(|(_, micros)| *micros).max()?.max(1);
    let mut points = String::new();
    for (at, micros) in times {
        let x = EDGE + *at as u64 * (width - 2 * EDGE) / (runs as u64 - 1).max(1);
        let up = u128::from(*micros) * u128::from(height - 2 * EDGE) / u128::from(most);
        let y = height - EDGE - u64::try_from(up).unwrap_or(height - 2 * EDGE);
        write!(points, "{x},{y} ").expect("memory takes all");
    }
    (times.len() > 1).then(|| points.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{planned, with_reason};
    use crate::{event::CaseResult, event::Event};

    /// A run of cases that ended like this after these milliseconds, on that day.
    fn run(day: u64, cases: &[(&str, Verdict, u64)]) -> Run {
        let started = RunStarted { started_ms: day * 86_400_000, kernel: format!("7.{day}"), ..RunStarted::default() };
        let mut events = vec![Event::RunStarted(started)];
        for (number, (name, ..)) in (0..).zip(cases) {
            events.push(Event::CasePlanned(planned(number, "s", "iommufd", name)));
        }
        for (number, (_, verdict, millis)) in (0..).zip(cases) {
            let result = with_reason(number, *verdict, "why");
            events.push(Event::CaseFinished(CaseResult { micros: millis * 1000, ..result }));
        }
        Run::from_events(events)
    }

    #[test]
    fn cases_are_told_by_what_became_of_them_whatever_order_the_journals_have() {
        use Verdict::{Failed, Passed, Skipped};
        let mut trend = Trend::default();
        trend.add(
            None,
            &run(3, &[("a", Passed, 10), ("b", Failed, 10), ("c", Passed, 900), ("d", Skipped, 0), ("e", Failed, 1)]),
        );
        trend.add(None, &run(1, &[("a", Passed, 10), ("b", Passed, 10), ("c", Passed, 100), ("d", Skipped, 0)]));
        trend.add(
            Some("again".into()),
            &run(2, &[("a", Passed, 11), ("b", Passed, 10), ("c", Passed, 120), ("e", Failed, 1)]),
        );
        assert_eq!((trend.runs(), trend.cases(), trend.changed()), (3, 5, 1));
        let page = trend.page();
        let kinds: Vec<Kind> = page.0.rows.iter().map(Row::kind).collect();
        assert_eq!(kinds, [Kind::Steady, Kind::Changed, Kind::Slower, Kind::NeverRan, Kind::NeverGood]);
        assert_eq!(page.0.rows[2].times(), [(0, 100_000), (1, 120_000), (2, 900_000)]);
        assert!(page.0.rows[4].cells[0].is_none(), "it was not planned in the first run");
        let mut text = Vec::new();
        page.write(&mut text).expect("memory takes all");
        let text = String::from_utf8(text).expect("UTF-8");
        for told in ["5 cases over 3 runs", "1970-01-02 to 1970-01-04", "again", "never ran", "<polyline points=\"3,"] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn a_curve_begins_at_nothing_and_ends_at_the_longest_time() {
        assert_eq!(curve(&[(0, 50), (2, 100)], 3).as_deref(), Some("3,13 177,3"));
        assert_eq!(curve(&[(1, 50)], 3), None);
        assert_eq!(curve(&[], 0), None);
    }
}
