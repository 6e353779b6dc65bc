// SPDX-License-Identifier: MIT OR Apache-2.0
//! JUnit XML, as Jenkins' junit and xunit plugins want it.
//!
//! Jenkins finds the history of a case by suite, classname and name, so these say what was tested and never where: the kernel, the
//! host and the devices stand in the output of the suite. Every string passes [`sanitize`](crate::sanitize).
//!
//! junit-report writes the cases. It writes whole documents only, so quick-xml puts the cases of several small documents into one
//! large one, and only a few cases are in memory at a time. quick-xml also writes what junit-report cannot: the count of skipped
//! cases, times with at most 3 decimals, and the properties of cases.

use std::io::{self, Write};

use junit_report::{TestCase, TestResult, TestSuite};
use quick_xml::events::{BytesCData, BytesDecl, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};
use time::Duration;

use crate::event::{Attempt, RunStarted};
use crate::report::attachments::Attachments;
use crate::report::fixes;
use crate::report::format::{Format, Style};
use crate::report::run::{Case, Counts, Environment, Full, Run, Suite};
use crate::report::words::{NO_REASON, attempt_line, begin};
use crate::sanitize::{cap, cdata, identifier, line};
use crate::{
    model::{Fix, Verdict},
    report::note::Note,
};

pub(super) const FORMAT: Format = Format {
    name: "JUnit",
    option: "junit",
    help: "Write JUnit XML; `-` is the standard output",
    write: |run, style, out| write(run, style, out),
};

/// Bytes kept of each part of a failure's text (detail, calls, kernel log). Three parts stay below the 100,000 characters that
/// Jenkins keeps of a failure.
const PART_LIMIT: usize = 32 * 1024;

/// The same where the whole texts are in files beside the report.
const BESIDE_FILES: usize = 4 * 1024;

/// Bytes kept of the output of a case that passed, of which Jenkins keeps 1,000 characters.
const OUTPUT_LIMIT: usize = 900;

/// How many cases are in memory at a time.
const CASES_AT_A_TIME: usize = 32;

type Xml<'a> = Writer<&'a mut dyn Write>;

/// Writes one `testsuite` for each scenario, backend and device. Suites and cases are in the order of the plan.
fn write(run: &Run, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let files = style.attachments.as_deref().map(Attachments::begin).transpose()?;
    let report = Report { run, files, style };
    let mut xml = Writer::new(out);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
    xml.create_element("testsuites").write_inner_content(|xml| {
        for (id, cases) in run.by_suite().iter().enumerate() {
            write_suite(&report, id, cases, xml)?;
        }
        Ok(())
    })?;
    xml.get_mut().write_all(b"\n")
}

/// A run, and how it is written.
struct Report<'r> {
    run: &'r Run,
    files: Option<Attachments<'r>>,
    style: &'r Style,
}

fn write_suite(report: &Report, id: usize, cases: &[&Case], xml: &mut Xml) -> io::Result<()> {
    let Report { run, style, .. } = report;
    let suite = run.suite(cases[0]);
    let environment = run.environment(cases[0]);
    let started = &environment.parts[cases[0].part].started;
    let name = suite_name(suite, environment);
    let mut counts = Counts::default();
    cases.iter().for_each(|case| counts.add(case.verdict));
    let millis = cases.iter().fold(0, |sum: u64, case| sum.saturating_add(millis(case)));
    line_break(xml)?;
    xml.create_element("testsuite")
        .with_attributes([
            ("id", id.to_string().as_str()),
            ("name", &name),
            ("package", ""),
            ("tests", &counts.cases.to_string()),
            ("errors", &counts.errors.to_string()),
            ("failures", &counts.failed.to_string()),
            (
                "skipped",
                &(counts.skipped + counts.known_issues + if style.flaky_passes { 0 } else { counts.flaky }).to_string(),
            ),
            ("hostname", &line(if started.hostname.is_empty() { "unknown" } else { &started.hostname })),
            ("timestamp", &begin(started.started_ms)),
            ("time", &format!("{}.{:03}", millis / 1000, millis % 1000)),
        ])
        .write_inner_content(|xml| {
            line_break(xml)?;
            write_properties(facts(started), xml)?;
            for some in cases.chunks(CASES_AT_A_TIME) {
                let some = some.iter().map(|case| test_case(report, &name, case)).collect::<io::Result<Vec<_>>>()?;
                write_cases(some, xml)?;
            }
            line_break(xml)?;
            let places: Vec<_> = environment.parts.iter().map(|part| place(&part.started)).collect();
            xml.create_element("system-out").write_cdata_content(BytesCData::new(cdata(&places.join("\n")))).map(drop)
        })
        .map(drop)
}

/// Properties are for readers that do not look into the output.
fn write_properties(facts: Vec<(String, String)>, xml: &mut Xml) -> io::Result<()> {
    xml.create_element("properties").write_inner_content(|xml| {
        for (name, value) in facts {
            let property = [("name", line(&name)), ("value", line(&value))];
            let property = property.iter().map(|(key, value)| (*key, value.as_str()));
            xml.create_element("property").with_attributes(property).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

/// What a case has that junit-report cannot write.
#[derive(Default)]
struct Beside {
    properties: Vec<(String, String)>,
    /// The attempts that the case made good.
    attempts: Vec<Attempt>,
}

type Written = (TestCase, Beside);

/// Has junit-report write a document of these cases, and passes on what the document has inside of its suite, with what stands beside.
fn write_cases(cases: Vec<Written>, xml: &mut Xml) -> io::Result<()> {
    let (cases, beside): (Vec<TestCase>, Vec<Beside>) = cases.into_iter().unzip();
    let mut beside = beside.into_iter();
    let mut suite = TestSuite::new("");
    suite.add_testcases(cases);
    let mut report = junit_report::Report::new();
    report.add_testsuite(suite);
    let mut document = Vec::new();
    report.write_xml(&mut document).map_err(io::Error::other)?;
    let mut reader = Reader::from_reader(document.as_slice());
    const IN_SUITE: usize = 2;
    let mut depth = 0;
    loop {
        let event = reader.read_event().map_err(io::Error::other)?;
        if matches!(event, Event::End(_)) {
            depth -= 1;
        }
        let is_start = matches!(event, Event::Start(_));
        match event {
            Event::Eof => return Ok(()),
            Event::Start(tag) if depth == IN_SUITE => {
                let tag = start_case(xml, &tag)?;
                xml.write_event(Event::Start(tag))?;
                write_beside(beside.next().unwrap_or_default(), xml)?;
            }
            Event::Empty(tag) if depth == IN_SUITE => {
                let tag = start_case(xml, &tag)?;
                let beside = beside.next().unwrap_or_default();
                // A case with attempts has output, and so is not empty.
                if beside.properties.is_empty() {
                    xml.write_event(Event::Empty(tag))?;
                } else {
                    xml.write_event(Event::Start(tag.borrow()))?;
                    write_beside(beside, xml)?;
                    xml.write_event(Event::End(tag.to_end()))?;
                }
            }
            event if depth >= IN_SUITE => xml.write_event(event)?,
            _ => {}
        }
        depth += usize::from(is_start);
    }
}

fn write_beside(Beside { properties, attempts }: Beside, xml: &mut Xml) -> io::Result<()> {
    if !properties.is_empty() {
        write_properties(properties, xml)?;
    }
    attempts.iter().try_for_each(|attempt| write_attempt(attempt, xml))
}

/// An attempt that a later one made good, as Maven's Surefire has it.
fn write_attempt(attempt: &Attempt, xml: &mut Xml) -> io::Result<()> {
    let (tag, kind) = match attempt.verdict {
        Verdict::Error => ("flakyError", "no_verdict"),
        _ => ("flakyFailure", "failed"),
    };
    let message = line(attempt.message.as_deref().unwrap_or(NO_REASON));
    xml.create_element(tag).with_attributes([("message", message.as_str()), ("type", kind)]).write_inner_content(
        |xml| xml.create_element("stackTrace").write_cdata_content(BytesCData::new(cdata(&message))).map(drop),
    )?;
    Ok(())
}

/// The tag of a case on a line of its own. junit-report writes its time as a float, which may have 16 decimals.
fn start_case(xml: &mut Xml, tag: &BytesStart) -> io::Result<BytesStart<'static>> {
    line_break(xml)?;
    let mut start = BytesStart::new("testcase");
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(io::Error::other)?;
        if attribute.key.as_ref() == b"time" {
            let time = std::str::from_utf8(&attribute.value).ok().and_then(|time| time.parse().ok());
            start.push_attribute(("time", format!("{:.3}", time.unwrap_or(0.0_f64)).as_str()));
        } else {
            start.push_attribute(attribute);
        }
    }
    Ok(start)
}

fn line_break(xml: &mut Xml) -> io::Result<()> {
    xml.write_event(Event::Text(BytesText::from_escaped("\n")))
}

/// Identifiers with dots between them, so that Jenkins finds the package at the last dot. Environments that stand side by side are
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

/// What is known of where a run was, by name.
fn facts(started: &RunStarted) -> Vec<(String, String)> {
    let RunStarted { tool, hostname, host, kernel, arch, iommu, .. } = started;
    let host = host.clone().unwrap_or_default();
    let known = [
        ("vfiospec", tool),
        ("host", hostname),
        ("inventory host", &host),
        ("kernel", kernel),
        ("arch", arch),
        ("iommu", iommu),
    ];
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    let known = known.map(|(name, value)| (name.to_owned(), value.clone()));
    let devices = started.devices.iter().filter(|device| !device.bdf.is_empty());
    let devices =
        devices.map(|device| (format!("device {}", device.name), format!("is {} at {}", device.ids, device.bdf)));
    let lab = started.lab.iter().map(|lab| ("lab".to_owned(), lab.clone()));
    known.chain(devices).chain(lab).collect()
}

/// What is known of a case, by name. Each name comes once, since Jenkins keeps one value of each; `covers` and `tags` have commas.
fn case_facts(run: &Run, case: &Case, Full { planned, result }: &Full) -> Vec<(String, String)> {
    let fixes: Vec<&str> = planned.fixes.iter().map(Fix::key).collect();
    let place = if planned.file.is_empty() { String::new() } else { format!("{}:{}", planned.file, planned.line) };
    let known = [
        ("id", run.id(case)),
        ("verdict", case.verdict.meaning().to_owned()),
        ("backend", planned.backend.clone()),
        ("answered by", result.true_backend.clone().unwrap_or_default()),
        ("device", planned.device.clone()),
        ("place", place),
        ("summary", planned.summary.clone()),
        ("covers", planned.covers.join(", ")),
        ("tags", planned.tags.join(", ")),
        ("fixes", fixes.join(", ")),
        ("known issue", result.link.clone().unwrap_or_default()),
        ("run again", run.again(case, planned).unwrap_or_default()),
    ];
    known.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn place(started: &RunStarted) -> String {
    facts(started).into_iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}

fn millis(case: &Case) -> u64 {
    case.micros.saturating_add(500) / 1000
}

fn test_case(Report { run, files, style }: &Report, suite: &str, case: &Case) -> io::Result<Written> {
    let full = run.full(case)?;
    let message = line(full.result.message.as_deref().unwrap_or(NO_REASON));
    let has_files = matches!(case.verdict, Verdict::Failed | Verdict::Error);
    let attached = match files.as_ref().filter(|_| has_files) {
        Some(files) => files.write(&run.id(case), &full.result)?,
        None => Vec::new(),
    };
    let limit = if attached.is_empty() { PART_LIMIT } else { BESIDE_FILES };
    let cause = || Some(text(run, case, &full, limit));
    let skipped = |type_: &str, message| TestResult::SkippedWithCause { type_: type_.into(), message, cause: None };
    let is_good = case.verdict == Verdict::Flaky && style.flaky_passes;
    let failed = |attempt: &&Attempt| matches!(attempt.verdict, Verdict::Failed | Verdict::Error);
    let properties = if style.case_properties { case_facts(run, case, &full) } else { Vec::new() };
    let attempts = full.result.attempts.iter().filter(|_| is_good).filter(failed).cloned().collect();
    let output = [output(case, &full)].into_iter().flatten().chain(attached).collect::<String>();
    let written = TestCase {
        name: line(&case.name),
        time: Duration::milliseconds(i64::try_from(millis(case)).unwrap_or(i64::MAX)),
        result: match case.verdict {
            Verdict::Passed => TestResult::Success,
            Verdict::Flaky if is_good => TestResult::Success,
            Verdict::Failed => {
                let lacks = fixes::lacks(run, case).map(|lacks| format!("; {}", line(&lacks)));
                let message = message + &lacks.unwrap_or_default();
                TestResult::Failure { type_: "failed".into(), message, cause: cause() }
            }
            Verdict::Error => TestResult::Error { type_: "no_verdict".into(), message, cause: cause() },
            Verdict::Skipped => skipped("skipped", message),
            // Jenkins has no third colour: a failure would be news every day, and a pass would be a lie.
            Verdict::KnownIssue => skipped("known_issue", message),
            Verdict::Flaky => skipped("flaky", format!("flaky: {message}")),
        },
        classname: Some(suite.into()),
        filepath: None, // The schema of the xunit plugin has no `file` on a case.
        system_out: (!output.is_empty()).then_some(output),
        system_err: None,
    };
    Ok((written, Beside { properties, attempts }))
}

/// The text of `<failure>` and `<error>`: the whole story, since Jenkins shows it under the message.
fn text(run: &Run, case: &Case, Full { planned, result }: &Full, limit: usize) -> String {
    let detail = result.detail.as_deref().or(result.message.as_deref()).unwrap_or_default();
    let mut text = cap(detail, limit).into_owned();
    match &result.at {
        Some(at) if detail.contains(at) => {}
        Some(at) => text += &format!("\n\nexpected at {at}"),
        None if !planned.file.is_empty() => {
            text += &format!("\n\nthe case begins at {}:{}", planned.file, planned.line)
        }
        None => {}
    }
    if let Some(lacks) = fixes::lacks(run, case) {
        text += &format!("\n\n{}", line(&lacks));
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
            text += &format!("\n\n{title}:\n{}", cap(&lines.join("\n"), limit));
        }
    }
    cdata(&text)
}

/// What stands beside the verdict: the attempts, what the case covers, and which of its checks were not made.
fn output(case: &Case, Full { planned, result }: &Full) -> Option<String> {
    let mut lines: Vec<_> =
        (1..).zip(&result.attempts).map(|(number, attempt)| attempt_line(number, attempt)).collect();
    if !planned.covers.is_empty() {
        lines.push(format!("covers {}", planned.covers.join(", ")));
    }
    lines.extend(result.measured.iter().map(|measured| format!("measured {measured}")));
    lines.extend(result.injected.iter().map(|injected| format!("injected {injected}")));
    lines.extend(case.notes.iter().map(Note::line));
    (!lines.is_empty()).then(|| cdata(&cap(&(lines.join("\n") + "\n"), OUTPUT_LIMIT)))
}
