//! JUnit XML, as Jenkins' junit and xunit plugins want it.
//!
//! Jenkins keys a case's history by suite, classname and name, so these three say what was tested and never where: kernel,
//! host and devices stand in the suite's output. Every string passes [`sanitize`](crate::report::sanitize) on its way.

use std::io::{self, Write};

use junit_report::{Duration, OffsetDateTime, Report, TestCase, TestResult, TestSuite};

use crate::{
    event::{Attempt, RunStarted},
    model::Verdict,
    report::{
        run::{Case, Environment, Full, Note, Run, Suite},
        sanitize::{cap, cdata, identifier, line},
    },
};

/// Bytes kept of each part of a failure's text (detail, calls, kernel log): three of them stay below the 100,000
/// characters that Jenkins keeps of a failure.
const PART_LIMIT: usize = 32 * 1024;

/// Bytes kept of a pass's output, of which Jenkins keeps 1,000 characters.
const OUTPUT_LIMIT: usize = 900;

/// Writes the report: one `testsuite` for each scenario × backend × device, cases and suites in the order of the plan.
///
/// # Errors
/// When it cannot be written, or the journal cannot be read any more.
pub fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut suites: Vec<Vec<&Case>> = run.suites.iter().map(|_| Vec::new()).collect();
    run.cases.iter().for_each(|case| suites[case.suite].push(case));
    // In the order of their first cases, which is that of the plan even where journals came in another one.
    let mut order: Vec<usize> = Vec::new();
    let mut seen = vec![false; suites.len()];
    for case in &run.cases {
        if !std::mem::replace(&mut seen[case.suite], true) {
            order.push(case.suite);
        }
    }
    out.write_all(b"<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites>")?;
    for (id, at) in order.into_iter().enumerate() {
        write_suite(run, id, &run.suites[at], &suites[at], out)?;
    }
    out.write_all(b"</testsuites>\n")
}

/// Writes a suite case by case, since only one case's texts are to be in memory at a time.
///
/// junit-report writes whole reports and adds up the suite's attributes itself. So it writes one of the suite with bare cases, of
/// which the frame is taken, and one of each case, of which the case is taken. In its attributes `<` and `>` are escaped.
fn write_suite(run: &Run, id: usize, suite: &Suite, cases: &[&Case], out: &mut dyn Write) -> io::Result<()> {
    let environment = &run.environments[suite.environment];
    let name = suite_name(suite, environment);
    let started = &environment.parts[cases[0].part].started;
    let hostname = if started.hostname.is_empty() { "unknown" } else { &started.hostname };
    let seconds = i64::try_from(started.started_ms / 1000).unwrap_or_default();
    let mut frame = TestSuite {
        name: name.clone(),
        package: String::new(),
        timestamp: OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        hostname: line(hostname),
        testcases: cases.iter().map(|case| bare(case)).collect(),
        system_out: Some(cdata(
            &environment.parts.iter().map(|part| place(&part.started)).collect::<Vec<_>>().join("\n"),
        )),
        system_err: None,
    };
    settle_times(&mut frame);
    let times: Vec<Duration> = frame.testcases.iter().map(|case| case.time).collect();
    let xml = report(frame)?;
    let open = between(&xml, "<testsuite ", ">").replacen("id=\"0\"", &format!("id=\"{id}\""), 1);
    let close = between(&xml, "<system-out>", "</testsuite>");
    write!(out, "\n{open}")?;
    for (case, time) in cases.iter().zip(times) {
        let mut alone = TestSuite::new("");
        alone.add_testcase(TestCase { time, ..test_case(run, &name, case)? });
        let xml = report(alone)?;
        let (start, end) = (xml.find("<testcase "), xml.rfind("</testsuite>"));
        write!(out, "\n{}", &xml[start.expect("there is a case")..end.expect("and the end of its suite")])?;
    }
    write!(out, "\n{close}")
}

fn report(suite: TestSuite) -> io::Result<String> {
    let mut report = Report::new();
    report.add_testsuite(suite);
    let mut xml = Vec::new();
    report.write_xml(&mut xml).map_err(io::Error::other)?;
    String::from_utf8(xml).map_err(io::Error::other)
}

/// From the first `start` to the first `end` behind it, both with it.
fn between<'a>(xml: &'a str, start: &str, end: &str) -> &'a str {
    let rest = &xml[xml.find(start).expect("it is written")..];
    &rest[..rest.find(end).expect("it ends") + end.len()]
}

/// The suite's name of identifiers, so that Jenkins finds its package at the last dot. Environments that stand side by side are
/// packages of their own.
fn suite_name(suite: &Suite, environment: &Environment) -> String {
    let Suite { pack, scenario, backend, device, .. } = suite;
    let [pack, scenario, backend, device] = [pack, scenario, backend, device].map(|name| identifier(name));
    let name = format!("{pack}.{scenario}.{backend}__{device}");
    match environment.label.as_str() {
        "" => name,
        label => format!("{}.{name}", identifier(label)),
    }
}

/// A case with what its suite adds up.
fn bare(case: &Case) -> TestCase {
    let (type_, message) = (String::new(), String::new());
    TestCase {
        name: String::new(),
        time: Duration::milliseconds(i64::try_from(case.micros.saturating_add(500) / 1000).unwrap_or(i64::MAX)),
        result: match case.verdict {
            Verdict::Failed => TestResult::Failure { type_, message, cause: None },
            Verdict::Error => TestResult::Error { type_, message, cause: None },
            Verdict::Passed | Verdict::Flaky | Verdict::KnownIssue | Verdict::Skipped => TestResult::Success,
        },
        classname: None,
        filepath: None, // The xunit plugin's schema knows no `file` on a case.
        system_out: None,
        system_err: None,
    }
}

fn place(started: &RunStarted) -> String {
    let RunStarted { tool, hostname, kernel, iommu, .. } = started;
    let known = [("vfiospec", tool), ("host", hostname), ("kernel", kernel), ("iommu", iommu)];
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    let mut text: String = known.map(|(what, value)| format!("{what} {value}\n")).collect();
    for device in started.devices.iter().filter(|device| !device.bdf.is_empty()) {
        text += &format!("device {} is {} at {}\n", device.name, device.ids, device.bdf);
    }
    if let Some(lab) = &started.lab {
        text += &format!("lab {lab}\n");
    }
    text
}

fn test_case(run: &Run, suite: &str, case: &Case) -> io::Result<TestCase> {
    let full = run.full(case)?;
    let message = line(full.result.message.as_deref().unwrap_or("no reason given"));
    let skipped = |type_: &str, message| TestResult::SkippedWithCause { type_: type_.into(), message, cause: None };
    Ok(TestCase {
        name: line(&case.name),
        result: match case.verdict {
            Verdict::Passed => TestResult::Success,
            Verdict::Failed => {
                TestResult::Failure { type_: "failed".into(), message, cause: Some(text(run, case, &full)) }
            }
            Verdict::Error => {
                TestResult::Error { type_: "no_verdict".into(), message, cause: Some(text(run, case, &full)) }
            }
            Verdict::Skipped => skipped("skipped", message),
            // Jenkins has no third colour: a failure would be news every day, and a pass would be a lie.
            Verdict::KnownIssue => skipped("known_issue", message),
            Verdict::Flaky => skipped("flaky", format!("flaky: {message}")),
        },
        classname: Some(suite.into()),
        system_out: output(&full),
        ..bare(case)
    })
}

/// What stands inside of `<failure>` and `<error>`: the whole story, since Jenkins shows it under the message.
fn text(run: &Run, case: &Case, Full { planned, result, .. }: &Full) -> String {
    let detail = result.detail.as_deref().or(result.message.as_deref()).unwrap_or_default();
    let mut text = cap(detail, PART_LIMIT).into_owned();
    match &result.at {
        Some(at) if detail.contains(at) => {}
        Some(at) => text += &format!("\n\nexpected at {at}"),
        None if !planned.file.is_empty() => {
            text += &format!("\n\nthe case begins at {}:{}", planned.file, planned.line)
        }
        None => {}
    }
    if !planned.summary.is_empty() {
        text += &format!("\n\nsummary: {}", line(&planned.summary));
    }
    if let Some(again) = run.again(case, planned) {
        text += &format!("\n\nto run it again: {again}");
    }
    let log = result.kernel_log.iter().map(String::as_str).collect();
    for (title, lines) in [("calls", result.calls()), ("kernel log", log)] {
        if !lines.is_empty() {
            text += &format!("\n\n{title}:\n{}", cap(&lines.join("\n"), PART_LIMIT));
        }
    }
    cdata(&text)
}

/// What stands beside the verdict: that it took several attempts, what the case covers, and which of its checks were not made.
fn output(Full { planned, result }: &Full) -> Option<String> {
    let mut text = String::new();
    for (number, attempt) in (1..).zip(&result.attempts) {
        text += &format!("{}\n", attempt_line(number, attempt));
    }
    if !planned.covers.is_empty() {
        text += &format!("covers {}\n", planned.covers.join(", "));
    }
    for measured in &result.measured {
        text += &format!("measured {measured}\n");
    }
    for note in Note::all(planned, result) {
        text += &format!("{}\n", note.line());
    }
    (!text.is_empty()).then(|| cdata(&cap(&text, OUTPUT_LIMIT)))
}

/// An attempt in one line.
pub fn attempt_line(number: usize, attempt: &Attempt) -> String {
    let how = match attempt.verdict {
        Verdict::Passed | Verdict::Flaky => "passed",
        _ => attempt.message.as_deref().unwrap_or("no reason given"),
    };
    format!("attempt {number}, {} ms: {how}", attempt.micros / 1000)
}

/// Moves times by a millisecond, rarely by a few, until all print with at most 3 decimals, as the xunit plugin's schema wants.
///
/// junit-report prints `seconds as f64 + fraction as f64`, which for some milliseconds is not the float nearest to the
/// decimal: 1118 ms comes out as 1.1179999999999999. It adds up the suite's time itself, so that the last case gives way.
fn settle_times(suite: &mut TestSuite) {
    for case in &mut suite.testcases {
        while !is_short(case.time) {
            case.time += Duration::MILLISECOND;
        }
    }
    while !is_short(suite.time()) {
        let Some(last) = suite.testcases.last_mut() else { return };
        last.time += Duration::MILLISECOND;
        while !is_short(last.time) {
            last.time += Duration::MILLISECOND;
        }
    }
}

fn is_short(time: Duration) -> bool {
    time.as_seconds_f64().to_string().split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 3)
}
