//! The page for a browser: `reports/report.html` is its template.
//!
//! What the template loops over is made while it is rendered, one row and one case at a time, so that a page of any length needs
//! little memory. Everything is escaped by minijinja, and made visible before where it is a control character.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use junit_report::OffsetDateTime;
use minijinja::{Environment as Templates, Value, context, syntax::SyntaxConfig};

use crate::{
    event::RunStarted,
    model::{Exit, Verdict},
    report::{
        junit::attempt_line,
        run::{Case, Counts, Full, Note, NoteKind, Part, Run, State, backend_rank},
        sanitize::{line, text},
        summary::{count, notes, skip_reasons},
    },
};

/// The template.
const TEMPLATE: &str = include_str!("../../../reports/report.html");

/// Above so many rows, the scenarios of which all cases passed are folded.
const ROWS: usize = 300;

/// So many reasons are listed with their cases: each of them looks for its cases in all.
const LISTED: usize = 200;

/// Writes the page.
///
/// # Errors
/// When it cannot be written, or the journal cannot be read any more.
pub fn write(run: &Arc<Run>, out: &mut dyn Write) -> io::Result<()> {
    let mut templates = Templates::new();
    templates.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("no delimiter is changed"),
    );
    let rendered = templates.add_template("report.html", TEMPLATE).and_then(|()| {
        let template = templates.get_template("report.html")?;
        template.render_captured_to(page(run), out).map(drop)
    });
    // What the template says first is why: the journal could not be read, or the file not be written.
    rendered.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        io::Error::other(cause.to_string())
    })
}

/// The letter that a verdict's class is in the style sheet.
fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Failed => "f",
        Verdict::Error => "e",
        Verdict::Flaky => "y",
        Verdict::KnownIssue => "k",
        Verdict::Skipped => "s",
        Verdict::Passed => "p",
    }
}

/// The verdicts whose cases have an article of their own.
const TOLD: [(Verdict, &str); 4] = [
    (Verdict::Failed, "Failed"),
    (Verdict::Error, "Without verdict"),
    (Verdict::Flaky, "Flaky"),
    (Verdict::KnownIssue, "Known issues"),
];

fn page(run: &Arc<Run>) -> Value {
    let counts = run.counts();
    let matrix = Arc::new(Matrix::of(run));
    let verdicts: Vec<_> = Verdict::ALL
        .into_iter()
        .filter(|verdict| counts.of(*verdict) > 0)
        .map(|verdict| shown(class(verdict), verdict.symbol(), verdict.counted(), counts.of(verdict)))
        .collect();
    let mut filters = verdicts.clone();
    let unchecked = run.cases.iter().filter(|case| is_unchecked(case)).count();
    if unchecked > 0 {
        filters.push(shown("u", "✓", "with a check not made", unchecked));
    }
    let (headline, class) = headline(run, &counts);
    let tool = run.parts().next().map(|part| line(&part.started.tool)).unwrap_or_default();
    context! {
        title => format!("vfiospec: {headline}"),
        headline, class, verdicts, filters, tool,
        subline => subline(run, &counts),
        cases => counts.cases,
        exit_code => run.exit() as u8,
        environments => run.environments.iter().map(|environment| context! {
            label => line(&environment.label),
            runs => environment.parts.iter().map(part).collect::<Vec<_>>(),
        }).collect::<Vec<_>>(),
        columns => matrix.columns.iter().map(|column| context! {
            backend => line(&column.backend), first => column.first,
        }).collect::<Vec<_>>(),
        over_environments => matrix.over(|column| match run.environments[column.environment].label.as_str() {
            "" => None,
            label => Some(line(label)),
        }),
        over_devices => matrix.over(|column| Some(line(&column.device))),
        groups => groups(run, &matrix),
        sections => TOLD.into_iter().filter(|(verdict, _)| counts.of(*verdict) > 0).map(|(verdict, heading)| context! {
            class => self::class(verdict), heading, count => counts.of(verdict), cases => articles(run, verdict),
        }).collect::<Vec<_>>(),
        lists => lists(run, &counts),
    }
}

/// A verdict with its count.
fn shown(class: &str, symbol: &str, meaning: &str, count: usize) -> Value {
    context! { class, symbol, meaning, count }
}

fn is_unchecked(case: &Case) -> bool {
    case.notes.iter().any(|note| matches!(note.kind, NoteKind::NotMade | NoteKind::NotObserved))
}

/// What matters most, and the class of its verdict.
fn headline(run: &Run, counts: &Counts) -> (String, &'static str) {
    let bad: Vec<_> = [Verdict::Failed, Verdict::Error, Verdict::Flaky]
        .into_iter()
        .filter(|verdict| counts.of(*verdict) > 0)
        .collect();
    if let Some(worst) = bad.first() {
        let parts: Vec<_> =
            bad.iter().map(|verdict| format!("{} {}", counts.of(*verdict), verdict.counted())).collect();
        return (parts.join(", "), class(*worst));
    }
    match run.exit() {
        Exit::Ok => (format!("All {} that ran as expected", counts.cases - counts.skipped), "p"),
        Exit::Interrupted => ("Interrupted".into(), "e"),
        Exit::NothingRan => ("Nothing ran".into(), "e"),
        _ => ("The run ended early".into(), "e"),
    }
}

fn subline(run: &Run, counts: &Counts) -> String {
    let parts: Vec<_> = [Verdict::Passed, Verdict::Skipped, Verdict::KnownIssue]
        .into_iter()
        .filter(|verdict| counts.of(*verdict) > 0)
        .map(|verdict| format!("{} {}", counts.of(verdict), verdict.counted()))
        .collect();
    let runs = match run.parts().count() {
        0 | 1 => String::new(),
        several => format!(" {several} runs of"),
    };
    let stopped = if run.interrupted() { "; it was interrupted" } else { "" };
    let cases = if counts.cases == 1 { "case" } else { "cases" };
    let mut all = vec![format!("{} {cases} in{runs} {:.2} s{stopped}", counts.cases, run.wall_time().as_secs_f64())];
    all.extend(parts);
    all.join(" · ")
}

fn part(part: &Part) -> Value {
    let RunStarted { started_ms, hostname, kernel, iommu, devices, lab, lab_iommu, .. } = &part.started;
    let iommu = match lab_iommu {
        Some(model) if model != iommu => format!("{iommu} ({model})"),
        _ => iommu.clone(),
    };
    let took = match &part.finished {
        Some(finished) if finished.interrupted => {
            format!("{:.2} s, then it was interrupted", finished.millis as f64 / 1e3)
        }
        Some(finished) => format!("{:.2} s", finished.millis as f64 / 1e3),
        None => "unknown: it did not tell its end".into(),
    };
    let devices = devices.iter().map(|device| line(&format!("{} {} at {}", device.name, device.ids, device.bdf)));
    context! {
        kernel => line(kernel), iommu => line(&iommu), hostname => line(hostname), took,
        lab => lab.as_deref().map(line),
        started => utc(*started_ms),
        devices => devices.collect::<Vec<_>>(),
    }
}

fn utc(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", month as u8)
}

/// Cases in rows, and environment × device × backend in columns.
struct Matrix {
    columns: Vec<Column>,
    groups: Vec<Group>,
    rows: usize,
}

#[derive(PartialEq, Eq)]
struct Column {
    environment: usize,
    device: Arc<str>,
    backend: Arc<str>,
    /// It is the first one of its device.
    first: bool,
}

/// A scenario.
struct Group {
    title: String,
    rows: Vec<Row>,
    counts: Counts,
    unchecked: bool,
}

struct Row {
    name: Arc<str>,
    /// For each column the case's place in [`Run::cases`].
    cases: Vec<Option<u32>>,
}

impl Matrix {
    fn of(run: &Run) -> Matrix {
        let mut columns: Vec<Column> = Vec::new();
        for suite in &run.suites {
            let column = Column {
                environment: suite.environment,
                device: suite.device.clone(),
                backend: suite.backend.clone(),
                first: false,
            };
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        // Devices and environments stay together, and backends have an order of their own, whatever came first.
        let mut devices: Vec<Arc<str>> = Vec::new();
        for column in &columns {
            if !devices.contains(&column.device) {
                devices.push(column.device.clone());
            }
        }
        columns.sort_by_key(|column| {
            let device = devices.iter().position(|device| *device == column.device);
            (column.environment, device, backend_rank(&column.backend))
        });
        for at in 0..columns.len() {
            let before = at.checked_sub(1).map(|before| (columns[before].environment, &columns[before].device));
            let first = before != Some((columns[at].environment, &columns[at].device));
            columns[at].first = first;
        }
        let column_of: Vec<usize> = run
            .suites
            .iter()
            .map(|suite| {
                let is_it = |column: &Column| {
                    (column.environment, &column.device, &column.backend)
                        == (suite.environment, &suite.device, &suite.backend)
                };
                columns.iter().position(is_it).expect("every suite has its column")
            })
            .collect();
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = HashMap::new();
        let mut row_of: HashMap<(usize, &str), usize> = HashMap::new();
        for (number, case) in (0..).zip(&run.cases) {
            let suite = run.suite(case);
            let group = *group_of.entry((&suite.pack, &suite.scenario)).or_insert_with(|| {
                let title = line(&format!("{}.{}", suite.pack, suite.scenario));
                groups.push(Group { title, rows: Vec::new(), counts: Counts::default(), unchecked: false });
                groups.len() - 1
            });
            let rows = &mut groups[group].rows;
            let row = *row_of.entry((group, &case.name)).or_insert_with(|| {
                rows.push(Row { name: case.name.clone(), cases: vec![None; columns.len()] });
                rows.len() - 1
            });
            rows[row].cases[column_of[case.suite]] = Some(number);
            groups[group].counts.add(case.verdict);
            groups[group].unchecked |= is_unchecked(case);
        }
        let rows = groups.iter().map(|group| group.rows.len()).sum();
        Matrix { columns, groups, rows }
    }

    /// Headings over columns that belong together; nothing where there is nothing to say.
    fn over(&self, name: impl Fn(&Column) -> Option<String>) -> Vec<Value> {
        let mut over: Vec<(usize, String, usize)> = Vec::new();
        for column in &self.columns {
            let Some(name) = name(column) else { continue };
            match over.last_mut() {
                Some((environment, last, span)) if (*environment, &*last) == (column.environment, &name) => *span += 1,
                _ => over.push((column.environment, name, 1)),
            }
        }
        over.into_iter().map(|(_, name, span)| context! { name, span }).collect()
    }
}

fn groups(run: &Arc<Run>, matrix: &Arc<Matrix>) -> Value {
    lazy((run.clone(), matrix.clone()), |(run, matrix)| {
        Box::new(matrix.groups.iter().enumerate().map(move |(at, group)| {
            let Counts { cases, passed, .. } = group.counts;
            let mut classes: Vec<_> =
                Verdict::ALL.into_iter().filter(|verdict| group.counts.of(*verdict) > 0).map(class).collect();
            classes.extend(group.unchecked.then_some("u"));
            let tally = Verdict::ALL.into_iter().filter(|verdict| group.counts.of(*verdict) > 0);
            let tally: Vec<_> =
                tally.map(|verdict| format!("{} {}", group.counts.of(verdict), verdict.counted())).collect();
            context! {
                title => group.title.as_str(),
                classes => classes.join(" "),
                tally => tally.join(", "),
                folded => matrix.rows > ROWS && passed == cases,
                rows => rows(run, matrix, at),
            }
        }))
    })
}

fn rows(run: &Arc<Run>, matrix: &Arc<Matrix>, group: usize) -> Value {
    lazy((run.clone(), matrix.clone(), group), |(run, matrix, group)| {
        Box::new(matrix.groups[*group].rows.iter().map(move |row| {
            let mut classes = Vec::new();
            let cells: Vec<_> = row
                .cases
                .iter()
                .zip(&matrix.columns)
                .map(|(case, column)| {
                    let Some(number) = *case else { return context! { first => column.first } };
                    let case = &run.cases[number as usize];
                    classes.push(class(case.verdict));
                    classes.extend(is_unchecked(case).then_some("u"));
                    cell(case, number, column.first)
                })
                .collect();
            classes.sort_unstable();
            classes.dedup();
            context! { name => line(&row.name), classes => classes.join(" "), cells }
        }))
    })
}

fn cell(case: &Case, number: u32, first: bool) -> Value {
    let unchecked = if is_unchecked(case) { " u" } else { "" };
    let mut title = match case.state {
        State::Finished => format!("{}, {}", case.verdict.meaning(), took(case.micros)),
        State::Died | State::NotRun => case.verdict.meaning().into(),
    };
    for more in case.reason.iter().map(|reason| line(reason)).chain(case.notes.iter().map(|note| line(&note.line()))) {
        title += &format!("\n{more}");
    }
    context! {
        first,
        title,
        class => format!("{}{unchecked}", class(case.verdict)),
        symbol => case.verdict.symbol(),
        meaning => case.verdict.meaning(),
        link => TOLD.iter().any(|(verdict, _)| *verdict == case.verdict).then_some(number),
    }
}

fn took(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// The cases of a verdict with all that they have to tell.
fn articles(run: &Arc<Run>, verdict: Verdict) -> Value {
    lazy((run.clone(), verdict), |(run, verdict)| {
        let of = run.cases.iter().enumerate().filter(|(_, case)| case.verdict == *verdict);
        Box::new(of.map(|(number, case)| match run.full(case) {
            Ok(full) => article(run, case, number, &full),
            Err(error) => {
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "no journal").with_source(error).into()
            }
        }))
    })
}

fn article(run: &Run, case: &Case, number: usize, Full { planned, result }: &Full) -> Value {
    let calls = result.calls().into_iter().map(line).map(|l| (if l.contains(" = -1 ") { "bad" } else { "" }, l));
    let detail = result.detail.as_deref().map(text).unwrap_or_default();
    let detail = detail.trim_end().lines().map(|l| (detail_class(l), l.to_owned()));
    let styled = |lines: Vec<(&'static str, String)>| {
        lines.into_iter().map(|(class, text)| context! { class, text }).collect::<Vec<_>>()
    };
    context! {
        id => line(&run.id(case)),
        summary => line(&planned.summary),
        again => run.again(case, planned),
        number,
        symbol => result.verdict.symbol(),
        meaning => result.verdict.meaning(),
        message => line(result.message.as_deref().unwrap_or("no reason given")),
        at => line(&result.at.clone().unwrap_or_else(|| format!("{}:{}", planned.file, planned.line))),
        took => took(result.micros),
        covers => line(&planned.covers.join(", ")),
        detail => styled(detail.collect()),
        calls => styled(calls.collect()),
        log => result.kernel_log.iter().map(|l| text(l.trim_end())).collect::<Vec<_>>(),
        notes => Note::all(planned, result).iter().map(|note| line(&note.line())).collect::<Vec<_>>(),
        attempts => (1..).zip(&result.attempts).map(|(at, attempt)| line(&attempt_line(at, attempt))).collect::<Vec<_>>(),
    }
}

/// What a line of a diagnostic is.
fn detail_class(line: &str) -> &'static str {
    let start = line.trim_start();
    if start.starts_with("error") {
        "title"
    } else if start.starts_with("-->") {
        "place"
    } else if line.contains("^^") || line.contains(" ^ ") {
        "caret"
    } else {
        ""
    }
}

/// What was left out and why: skips, and checks that were not made.
fn lists(run: &Arc<Run>, counts: &Counts) -> Vec<Value> {
    let skips = count(skip_reasons(run)).into_iter().take(LISTED).map(|(reason, count)| {
        let ids = lazy((run.clone(), reason.clone()), |(run, reason)| {
            let of = run
                .cases
                .iter()
                .filter(|case| case.verdict == Verdict::Skipped && case.reason.as_ref() == Some(reason));
            Box::new(of.map(|case| line(&run.id(case)).into()))
        });
        context! { text => line(&reason), count, ids }
    });
    let noted = notes(run).into_iter().take(LISTED).map(|(note, count)| {
        let ids = lazy((run.clone(), note.clone()), |(run, note)| {
            Box::new(run.cases.iter().filter(|case| case.notes.contains(note)).map(|case| line(&run.id(case)).into()))
        });
        let text = note.counted(count);
        let text = text.strip_prefix(&format!("{count} ")).unwrap_or(&text);
        context! { text => line(text), count, ids }
    });
    let (skips, noted) = (skips.collect::<Vec<_>>(), noted.collect::<Vec<_>>());
    vec![
        context! { anchor => "skipped", heading => "Skipped", count => counts.skipped, items => skips },
        context! {
            anchor => "unchecked", heading => "Not checked", count => counts.unchecked + counts.by_choice, items => noted,
        },
    ]
}

/// A list whose items are made when the template comes to them.
fn lazy<T: Send + Sync + 'static>(
    of: T,
    items: impl for<'a> Fn(&'a T) -> Box<dyn Iterator<Item = Value> + Send + Sync + 'a> + Send + Sync + 'static,
) -> Value {
    Value::make_object_iterable(of, items)
}
