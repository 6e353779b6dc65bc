//! JUnit XML, as Jenkins' junit and xunit plugins want it.
//!
//! Jenkins keys a case's history by suite, classname and name, so these three say what was tested and never where: kernel,
//! host and devices stand in the suite's output. Every string passes [`sanitize`](crate::report::sanitize) on its way.

use std::collections::HashMap;
use std::path::Path;

use junit_report::{Duration, OffsetDateTime, Report, TestCase, TestResult, TestSuite};

use crate::event::{Observed, PlannedCase, RunStarted, Verdict};
use crate::report::file::{WriteError, write_atomic};
use crate::report::run::{Case, Run};
use crate::report::sanitize::{cap, cdata, identifier, line};

/// Bytes kept of each part of a failure's text (detail, calls, kernel log): three of them stay below the 100,000
/// characters that Jenkins keeps of a failure.
const PART_LIMIT: usize = 32 * 1024;

/// Bytes kept of a pass's output, of which Jenkins keeps 1,000 characters.
const OUTPUT_LIMIT: usize = 900;

/// Writes the report to `path`.
///
/// # Errors
/// See [`write_atomic`].
pub fn write(run: &Run, path: &Path) -> Result<(), WriteError> {
    write_atomic(path, &xml(run))
}

/// The report: one `testsuite` for each scenario × backend × device, cases and suites in the order of the plan.
pub fn xml(run: &Run) -> Vec<u8> {
    let mut suites: Vec<(String, Vec<&Case>)> = Vec::new();
    let mut position = HashMap::new();
    for case in &run.cases {
        let name = suite_name(&case.planned);
        let at = *position.entry(name.clone()).or_insert_with(|| {
            suites.push((name, Vec::new()));
            suites.len() - 1
        });
        suites[at].1.push(case);
    }
    let mut report = Report::new();
    report.add_testsuites(suites.iter().map(|(name, cases)| suite(&run.started, name, cases)));
    let mut bytes = Vec::new();
    report.write_xml(&mut bytes).expect("writing to memory does not fail");
    bytes
}

/// [`PlannedCase::suite`] of identifiers, so that Jenkins finds its package at the last dot.
fn suite_name(planned: &PlannedCase) -> String {
    PlannedCase {
        pack: identifier(&planned.pack),
        scenario: identifier(&planned.scenario),
        backend: identifier(&planned.backend),
        device: identifier(&planned.device),
        ..PlannedCase::default()
    }
    .suite()
}

fn suite(started: &RunStarted, name: &str, cases: &[&Case]) -> TestSuite {
    let hostname = if started.hostname.is_empty() { "unknown" } else { &started.hostname };
    let seconds = i64::try_from(started.started_ms / 1000).unwrap_or_default();
    let mut suite = TestSuite {
        name: name.into(),
        package: String::new(),
        timestamp: OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        hostname: line(hostname),
        testcases: cases.iter().map(|case| test_case(name, case)).collect(),
        system_out: Some(cdata(&environment(started))),
        system_err: None,
    };
    settle_times(&mut suite);
    suite
}

fn environment(started: &RunStarted) -> String {
    let mut text = format!("vfiospec {}\nkernel {}\niommu {}\n", started.tool, started.kernel, started.iommu);
    for device in &started.devices {
        text += &format!("device {} is {} at {}\n", device.name, device.ids, device.bdf);
    }
    if let Some(lab) = &started.lab {
        text += &format!("lab {lab}\n");
    }
    text
}

fn test_case(suite: &str, case: &Case) -> TestCase {
    let Case { planned, result, .. } = case;
    let message = line(result.message.as_deref().unwrap_or("no reason given"));
    TestCase {
        name: line(&planned.name),
        time: Duration::milliseconds(i64::try_from(result.micros.saturating_add(500) / 1000).unwrap_or(i64::MAX)),
        result: match result.verdict {
            // JUnit knows no flake: its output says so.
            Verdict::Passed | Verdict::Flaky => TestResult::Success,
            Verdict::Failed => TestResult::Failure { type_: "failed".into(), message, cause: Some(text(case)) },
            Verdict::Error => TestResult::Error { type_: "no_verdict".into(), message, cause: Some(text(case)) },
            Verdict::Skipped => TestResult::SkippedWithCause { type_: "skipped".into(), message, cause: None },
            // Jenkins has no third colour: a failure would be news every day, and a pass would be a lie.
            Verdict::KnownIssue => TestResult::SkippedWithCause { type_: "known_issue".into(), message, cause: None },
        },
        classname: Some(suite.into()),
        filepath: None, // The xunit plugin's schema knows no `file` on a case.
        system_out: output(case),
        system_err: None,
    }
}

/// What stands inside of `<failure>` and `<error>`: the whole story, since Jenkins shows it under the message.
fn text(case: &Case) -> String {
    let Case { planned, result, .. } = case;
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
    for (title, lines) in [("calls", &result.trace), ("kernel log", &result.kernel_log)] {
        if !lines.is_empty() {
            text += &format!("\n\n{title}:\n{}", cap(&lines.join("\n"), PART_LIMIT));
        }
    }
    cdata(&text)
}

/// What stands beside the verdict: that it took several attempts, what the case covers, and which of its checks were not made.
fn output(case: &Case) -> Option<String> {
    let Case { planned, result, .. } = case;
    let mut text = String::new();
    if result.verdict == Verdict::Flaky {
        text += &format!("FLAKY: {}\n", result.message.as_deref().unwrap_or_default());
    }
    for (number, attempt) in (1..).zip(&result.attempts) {
        let how = match attempt.verdict {
            Verdict::Passed | Verdict::Flaky => "passed".to_owned(),
            _ => attempt.message.clone().unwrap_or_else(|| "no reason given".into()),
        };
        text += &format!("attempt {number}, {} ms: {how}\n", attempt.micros / 1000);
    }
    if !planned.covers.is_empty() {
        text += &format!("covers {}\n", planned.covers.join(", "));
    }
    for unchecked in &result.unchecked {
        let how = if unchecked.by_choice { "not checked by choice" } else { "not checked" };
        text += &format!("{} {how}: {}\n", unchecked.what, unchecked.reason);
    }
    for seen in result.observers.iter().filter(|seen| seen.state == Observed::Unchecked) {
        text += &format!("{} not observed: {}\n", seen.observer, seen.detail.as_deref().unwrap_or_default());
    }
    if let Some(truth) = &result.true_backend {
        text += &format!("{} is {truth} on this kernel\n", planned.backend);
    }
    (!text.is_empty()).then(|| cdata(&cap(&text, OUTPUT_LIMIT)))
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
