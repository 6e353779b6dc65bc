// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page for a browser. Its template is `reports/report.html`.
//!
//! The lists of the template are made while it is rendered, one row and one case at a time, so that a page of any length needs little
//! memory. minijinja escapes every string, and [`sanitize`](crate::sanitize) makes control characters visible before.

use std::io::{self, Write};
use std::sync::Arc;

use minijinja::{Environment as Templates, Value, context, syntax::SyntaxConfig};

use crate::model::{Exit, Verdict, count};
use crate::report::explored;
use crate::report::fixes::{self, Kernel, Row, Seen};
use crate::report::matrix::{Column, Devices, Matrix};
use crate::report::measured::{self, Chart};
use crate::report::requirements::{self, Standing};
use crate::report::run::{Case, Counts, Full, Part, Run, State};
use crate::report::words::{self, NO_REASON, Shared, attempt_line, begin, counted};
use crate::sanitize::{line, text};
use crate::{event::RunStarted, report::format::Format, report::note::Note};

pub(super) const FORMAT: Format = Format {
    name: "HTML",
    option: "html",
    help: "Write a page for the browser, in one file",
    write: |run, _, out| write(run, out),
};

const TEMPLATE: &str = include_str!("../../../reports/report.html");

/// With more rows than this, the scenarios of which all cases passed are folded.
const ROWS: usize = 300;

/// How many reasons are listed with their cases.
const LISTED: usize = 200;

fn write(run: &Arc<Run>, out: &mut dyn Write) -> io::Result<()> {
    render(TEMPLATE, page(run)?, out)
}

/// Writes a page made of a template.
pub(super) fn render(template: &str, page: Value, out: &mut dyn Write) -> io::Result<()> {
    let mut templates = Templates::new();
    templates.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("no delimiter is changed"),
    );
    let rendered = templates.add_template("page.html", template).and_then(|()| {
        let template = templates.get_template("page.html")?;
        template.render_captured_to(page, out).map(drop)
    });
    // The innermost error is the cause: the journal cannot be read, or the file cannot be written.
    rendered.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        io::Error::other(cause.to_string())
    })
}

pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Failed => "f",
        Verdict::Error => "e",
        Verdict::Flaky => "y",
        Verdict::KnownIssue => "k",
        Verdict::Skipped => "s",
        Verdict::Passed => "p",
    }
}

/// The verdicts whose cases have an article each.
const TOLD: [(Verdict, &str); 4] = [
    (Verdict::Failed, "Failed"),
    (Verdict::Error, "Without verdict"),
    (Verdict::Flaky, "Flaky"),
    (Verdict::KnownIssue, "Known issues"),
];

fn page(run: &Arc<Run>) -> io::Result<Value> {
    let counts = run.counts();
    let matrix = Arc::new(Matrix::of(run, Devices::InColumns, None));
    let verdicts: Vec<_> = present(&counts)
        .map(|verdict| shown(class(verdict), verdict.symbol(), verdict.counted(), counts.of(verdict)))
        .collect();
    let mut filters = verdicts.clone();
    let unchecked = run.cases.iter().filter(|case| is_unchecked(case)).count();
    if unchecked > 0 {
        filters.push(shown("u", "✓", "with a check not made", unchecked));
    }
    let (headline, class) = headline(run, &counts);
    let tool = run.parts().next().map(|part| line(&part.started.tool)).unwrap_or_default();
    let label = |column: &Column| Some(line(&run.environments[column.environment].label)).filter(|l| !l.is_empty());
    Ok(context! {
        title => format!("vfiospec: {headline}"),
        headline, class, verdicts, filters, tool,
        subline => subline(run, &counts),
        cases => counts.cases,
        exit_code => run.exit() as u8,
        environments => run.environments.iter().map(|environment| context! {
            label => line(&environment.label),
            runs => environment.parts.iter().map(part).collect::<Vec<_>>(),
        }).collect::<Vec<_>>(),
        columns => matrix.columns.iter().enumerate().map(|(at, column)| context! {
            backend => line(&column.backend), first => matrix.begins_device(at),
        }).collect::<Vec<_>>(),
        over_environments => over(&matrix, label),
        over_devices => over(&matrix, |column| column.device.as_deref().map(line)),
        groups => groups(run, &matrix),
        sections => TOLD.into_iter().filter(|(verdict, _)| counts.of(*verdict) > 0).map(|(verdict, heading)| context! {
            class => self::class(verdict), heading, count => counts.of(verdict), cases => articles(run, verdict),
        }).collect::<Vec<_>>(),
        fixes => fixed(run),
        kernels => fixes::kernels(run).iter().map(|kernel| line(&kernel.label)).collect::<Vec<_>>(),
        requirements => required(run),
        charts => charts(run),
        lists => lists(run, &counts)?,
    })
}

fn present(counts: &Counts) -> impl Iterator<Item = Verdict> {
    Verdict::ALL.into_iter().filter(|verdict| counts.of(*verdict) > 0)
}

fn shown(class: &str, symbol: &str, meaning: &str, count: usize) -> Value {
    context! { class, symbol, meaning, count }
}

fn is_unchecked(case: &Case) -> bool {
    case.notes.iter().any(|note| note.kind.is_gap())
}

fn headline(run: &Run, counts: &Counts) -> (String, &'static str) {
    let bad = [Verdict::Failed, Verdict::Error, Verdict::Flaky];
    if let Some(worst) = bad.into_iter().find(|verdict| counts.of(*verdict) > 0) {
        return (counted(counts, bad).join(", "), class(worst));
    }
    match run.exit() {
        Exit::Ok => (format!("All {} that ran as expected", counts.cases - counts.skipped), "p"),
        Exit::Interrupted => ("Interrupted".into(), "e"),
        Exit::NothingRan => ("Nothing ran".into(), "e"),
        _ => ("The run ended early".into(), "e"),
    }
}

fn subline(run: &Run, counts: &Counts) -> String {
    let stopped = if run.interrupted() { "; it was interrupted" } else { "" };
    let (cases, runs, seconds) = (count(counts.cases, "case"), words::runs(run), run.wall_time().as_secs_f64());
    let mut all = vec![format!("{cases} in{runs} {seconds:.2} s{stopped}")];
    all.extend(counted(counts, [Verdict::Passed, Verdict::Skipped, Verdict::KnownIssue]));
    all.join(" · ")
}

fn part(part: &Part) -> Value {
    let RunStarted { started_ms, hostname, host, iommu, devices, lab, lab_iommu, .. } = &part.started;
    let iommu = match lab_iommu {
        Some(model) if model != iommu => format!("{iommu} ({model})"),
        _ => iommu.clone(),
    };
    let took = match &part.finished {
        Some(finished) => {
            let stopped = if finished.interrupted { ", then it was interrupted" } else { "" };
            format!("{:.2} s{stopped}", finished.millis as f64 / 1e3)
        }
        None => "unknown: the journal has no end".into(),
    };
    let devices = devices.iter().map(|device| line(&format!("{} {} at {}", device.name, device.ids, device.bdf)));
    context! {
        kernel => line(&words::kernel(&part.started)), iommu => line(&iommu), took,
        hostname => line(&host.as_ref().map_or_else(|| hostname.clone(), |host| format!("{host} ({hostname})"))),
        lab => lab.as_deref().map(line),
        started => begin(*started_ms).replace('T', " ").replace('Z', " UTC"),
        devices => devices.collect::<Vec<_>>(),
    }
}

/// The headings over columns that belong together. A column without a name has none.
fn over(matrix: &Matrix, name: impl Fn(&Column) -> Option<String>) -> Vec<Value> {
    let mut over: Vec<(usize, String, usize)> = Vec::new();
    for column in &matrix.columns {
        let Some(name) = name(column) else { continue };
        match over.last_mut() {
            Some((environment, last, span)) if (*environment, &*last) == (column.environment, &name) => *span += 1,
            _ => over.push((column.environment, name, 1)),
        }
    }
    over.into_iter().map(|(_, name, span)| context! { name, span }).collect()
}

fn groups(run: &Arc<Run>, matrix: &Arc<Matrix>) -> Value {
    lazy((run.clone(), matrix.clone()), |(run, matrix)| {
        Box::new(matrix.groups.iter().enumerate().map(move |(at, group)| {
            let mut counts = Counts::default();
            let mut unchecked = false;
            for case in group.rows.iter().flat_map(|row| row.cells(run)).flatten() {
                counts.add(case.verdict);
                unchecked |= is_unchecked(case);
            }
            let classes: Vec<_> = present(&counts).map(class).chain(unchecked.then_some("u")).collect();
            context! {
                title => line(&group.title),
                classes => classes.join(" "),
                tally => counted(&counts, Verdict::ALL).join(", "),
                folded => matrix.rows() > ROWS && counts.passed == counts.cases,
                rows => rows(run, matrix, at),
            }
        }))
    })
}

fn rows(run: &Arc<Run>, matrix: &Arc<Matrix>, group: usize) -> Value {
    lazy((run.clone(), matrix.clone(), group), |(run, matrix, group)| {
        Box::new(matrix.groups[*group].rows.iter().map(move |row| {
            let mut classes = Vec::new();
            let mut cells = Vec::new();
            for (at, number) in row.cases.iter().enumerate() {
                let first = matrix.begins_device(at);
                cells.push(match *number {
                    Some(number) => {
                        let case = &run.cases[number as usize];
                        classes.push(class(case.verdict));
                        classes.extend(is_unchecked(case).then_some("u"));
                        cell(case, number, first)
                    }
                    None => context! { first },
                });
            }
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

pub(super) fn took(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

fn articles(run: &Arc<Run>, verdict: Verdict) -> Value {
    lazy((run.clone(), verdict), |(run, verdict)| {
        let of = run.cases.iter().enumerate().filter(|(_, case)| case.verdict == *verdict);
        Box::new(of.map(|(number, case)| match run.full(case) {
            Ok(full) => article(run, case, number, &full),
            Err(error) => unreadable(error),
        }))
    })
}

fn article(run: &Run, case: &Case, number: usize, Full { planned, result }: &Full) -> Value {
    let at = line(&result.at.clone().unwrap_or_else(|| format!("{}:{}", planned.file, planned.line)));
    let place = format!("--> {at}");
    let detail = result.detail.as_deref().map(text).unwrap_or_default();
    let detail = (0..).zip(detail.trim_end().lines()).map(|(number, l)| match l.trim_start() {
        _ if number == 0 => styled("title", l),
        start if start == place => styled("place", l),
        _ if result.carets.contains(&number) => styled("caret", l),
        _ => styled("", l),
    });
    let calls = result.calls();
    let first = calls.len() - result.trace.len();
    let failed = |at: usize| result.failed_calls.iter().any(|call| first + *call as usize == at);
    let calls = calls.iter().enumerate().map(|(at, call)| styled(if failed(at) { "bad" } else { "" }, &line(call)));
    context! {
        id => line(&run.id(case)),
        summary => line(&planned.summary),
        again => run.again(case, planned),
        number,
        symbol => result.verdict.symbol(),
        meaning => result.verdict.meaning(),
        message => line(result.message.as_deref().unwrap_or(NO_REASON)),
        at,
        took => took(result.micros),
        lacks => fixes::lacks(run, case).map(|lacks| line(&lacks)),
        covers => line(&planned.covers.join(", ")),
        detail => detail.collect::<Vec<_>>(),
        calls => calls.collect::<Vec<_>>(),
        log => clean(&result.kernel_log),
        page_table => clean(&result.page_table),
        console => clean(&result.console),
        notes => case.notes.iter().map(|note| line(&note.line())).collect::<Vec<_>>(),
        attempts => (1..).zip(&result.attempts).map(|(at, attempt)| line(&attempt_line(at, attempt))).collect::<Vec<_>>(),
    }
}

/// Lines that somebody else wrote.
fn clean(lines: &[String]) -> Vec<String> {
    lines.iter().map(|l| text(l.trim_end())).collect()
}

/// What was measured, made when the template reaches it.
fn charts(run: &Arc<Run>) -> Option<Value> {
    run.cases.iter().any(|case| case.measured).then(|| {
        lazy(run.clone(), |run| match measured::charts(run) {
            Ok(charts) => Box::new(charts.into_iter().map(chart)),
            Err(error) => Box::new(std::iter::once(unreadable(error))),
        })
    })
}

/// Which fixes are there, made when the template reaches it.
fn fixed(run: &Arc<Run>) -> Option<Value> {
    run.cases.iter().any(|case| !case.fixes.is_empty()).then(|| {
        lazy(run.clone(), |run| {
            let kernels = fixes::kernels(run);
            let row = |row: &Row| {
                let cell = |seen: &Option<&Seen>| seen.map(|seen| presence(&kernels[seen.column], seen));
                context! { title => line(&row.line()), cells => row.seen.iter().map(cell).collect::<Vec<_>>() }
            };
            match fixes::seen(run) {
                Ok(seen) => Box::new(fixes::rows(&kernels, &seen).iter().map(row).collect::<Vec<_>>().into_iter()),
                Err(error) => Box::new(std::iter::once(unreadable(error))),
            }
        })
    })
}

fn presence(kernel: &Kernel, seen: &Seen) -> Value {
    context! {
        class => class(seen.presence.like()),
        symbol => seen.presence.like().symbol(),
        meaning => seen.presence.meaning(),
        title => match line(&kernel.label).as_str() {
            "" => seen.presence.meaning().to_owned(),
            label => format!("{label}: {}", seen.presence.meaning()),
        },
        reasons => seen.reasons.iter().map(|reason| line(reason)).collect::<Vec<_>>(),
        odd => seen.odd().map(|odd| line(&odd)),
        cases => seen.cases.iter().map(|case| line(case)).collect::<Vec<_>>(),
    }
}

/// How the requirements stand, made when the template reaches it.
fn required(run: &Arc<Run>) -> Option<Value> {
    let any = run.cases.iter().any(|case| case.covers);
    any.then(|| lazy(run.clone(), required_of))
}

fn required_of(run: &Arc<Run>) -> Box<dyn Iterator<Item = Value> + Send + Sync + '_> {
    match requirements::seen(run, &[]) {
        Ok(seen) => Box::new(seen.into_iter().map(move |seen| {
            let cell = |standing: &Option<Standing>| {
                standing.as_ref().map(|standing| {
                    let verdict = standing.verdict();
                    context! { class => class(verdict), symbol => verdict.symbol(), meaning => standing.meaning() }
                })
            };
            let cases = seen.cases.iter().map(|number| line(&run.id(&run.cases[*number as usize])));
            context! {
                name => line(&seen.name),
                cells => seen.standing.iter().map(cell).collect::<Vec<_>>(),
                tally => seen.standing.iter().flatten().map(Standing::tally).collect::<Vec<_>>().join("; "),
                cases => cases.collect::<Vec<_>>(),
            }
        })),
        Err(error) => Box::new(std::iter::once(unreadable(error))),
    }
}

/// What stands in a page for a list that could not be read from the journal: an error of the template.
fn unreadable(error: io::Error) -> Value {
    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "no journal").with_source(error).into()
}

fn chart(chart: Chart) -> Value {
    let bars = chart.bars.iter().map(|bar| {
        let sorted = bar.measured.sorted();
        let [least, most] = [sorted.first(), sorted.last()].map(|micros| micros.copied().unwrap_or(0));
        context! {
            backend => line(&bar.backend),
            percent => bar.percent,
            shown => measured::shown(&bar.measured),
            title => format!("{} rounds from {least} to {most} us", bar.measured.each.len()),
        }
    });
    context! { group => line(&chart.group), name => line(&chart.name), bars => bars.collect::<Vec<_>>() }
}

fn styled(class: &str, text: &str) -> Value {
    context! { class, text }
}

/// What was left out and why: skips, and checks that were not made.
fn lists(run: &Arc<Run>, counts: &Counts) -> io::Result<Vec<Value>> {
    let differences = explored::differences(run)?;
    let count_of_differences = differences.len();
    let differences = differences.iter().map(|(text, cases)| item(run, line(text), cases));
    let differences = differences.take(LISTED).collect::<Vec<_>>();
    let skips = words::skips(run);
    let skips = skips.iter().map(|(reason, cases)| item(run, line(reason), cases));
    let notes = words::notes(run);
    let notes = notes.iter().map(|(note, cases): &Shared<&Note>| item(run, line(&note.beside(cases.len())), cases));
    let (skips, notes) = (skips.take(LISTED).collect::<Vec<_>>(), notes.take(LISTED).collect::<Vec<_>>());
    let unchecked = counts.unchecked + counts.by_choice;
    Ok(vec![
        context! { anchor => "skipped", heading => "Skipped", count => counts.skipped, items => skips },
        context! { anchor => "unchecked", heading => "Not checked", count => unchecked, items => notes },
        context! {
            anchor => "differences", heading => "Differences that the model allows", count => count_of_differences, items => differences,
        },
    ])
}

fn item(run: &Arc<Run>, text: String, cases: &[u32]) -> Value {
    let mut distinct = cases.to_vec();
    distinct.dedup();
    let ids = lazy((run.clone(), distinct), |(run, cases)| {
        Box::new(cases.iter().map(|number| line(&run.id(&run.cases[*number as usize])).into()))
    });
    context! { text, count => cases.len(), ids }
}

/// A list whose items are made when the template reaches them.
pub(super) fn lazy<T: Send + Sync + 'static>(
    of: T,
    items: impl for<'a> Fn(&'a T) -> Box<dyn Iterator<Item = Value> + Send + Sync + 'a> + Send + Sync + 'static,
) -> Value {
    Value::make_object_iterable(of, items)
}
