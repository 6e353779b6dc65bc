// SPDX-License-Identifier: MIT OR Apache-2.0
//! TAP, the Test Anything Protocol, as `prove` reads it.
//!
//! The stream follows TAP 14, with its escapes, and names version 13: the `prove` of Debian 12 (Test::Harness 3.44) takes a stream
//! that names 14 for broken. The stream uses nothing that differs between the two.

use std::io::{self, Write};

use crate::report::fixes;
use crate::report::run::{Case, Full, Run};
use crate::report::words::{NO_REASON, attempt_line, place};
use crate::sanitize::{line, text};
use crate::{model::Verdict, report::format::Format};

pub(super) const FORMAT: Format =
    Format { name: "TAP", option: "tap", help: "Write TAP, as `prove` reads it", write: |run, _, out| write(run, out) };

/// Writes one test point for each case, in the order of the plan.
fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "TAP version 13\n1..{}", run.cases.len())?;
    for environment in &run.environments {
        let label = if environment.label.is_empty() { "" } else { &format!("{}: ", environment.label) };
        for part in &environment.parts {
            writeln!(out, "# {}", line(&format!("{label}vfiospec {}, {}", part.started.tool, place(&part.started))))?;
        }
    }
    for (at, case) in run.cases.iter().enumerate() {
        point(run, at + 1, case, out)?;
    }
    if run.interrupted() {
        writeln!(out, "Bail out! the run was interrupted")
    } else if !run.complete() {
        writeln!(out, "Bail out! the run ended early")
    } else {
        Ok(())
    }
}

fn point(run: &Run, number: usize, case: &Case, out: &mut dyn Write) -> io::Result<()> {
    let full = run.full(case)?;
    let result = &full.result;
    let message = escape(result.message.as_deref().unwrap_or(NO_REASON));
    let (ok, directive) = match case.verdict {
        Verdict::Passed | Verdict::Flaky => ("ok", String::new()),
        Verdict::Skipped => ("ok", format!(" # SKIP {message}")),
        Verdict::KnownIssue => ("not ok", format!(" # TODO {message}")),
        Verdict::Failed | Verdict::Error => ("not ok", String::new()),
    };
    writeln!(out, "{ok} {number} - {}{directive}", escape(&run.id(case)))?;
    for note in case.notes.iter() {
        writeln!(out, "# {}", line(&note.line()))?;
    }
    if !matches!(case.verdict, Verdict::Passed | Verdict::Skipped) {
        diagnostics(&full, fixes::lacks(run, case), run.again(case, &full.planned), out)?;
    }
    Ok(())
}

/// Writes a YAML block under a test point, and the longer texts as comments. `prove` reads only a part of YAML: strings in quotes, as
/// in JSON, and no text with blank lines in it.
fn diagnostics(
    Full { planned, result }: &Full,
    lacks: Option<String>,
    again: Option<String>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let severity = match result.verdict {
        Verdict::Failed => "fail",
        Verdict::Error => "error",
        Verdict::Flaky => "flaky",
        Verdict::Passed | Verdict::Skipped | Verdict::KnownIssue => "todo",
    };
    let place = result.at.clone().unwrap_or_else(|| format!("{}:{}", planned.file, planned.line));
    writeln!(out, "  ---")?;
    writeln!(out, "  message: {}", quoted(&line(result.message.as_deref().unwrap_or(NO_REASON)))?)?;
    writeln!(out, "  severity: {}", quoted(severity)?)?;
    writeln!(out, "  at: {}", quoted(&line(&place))?)?;
    if let Some(lacks) = lacks {
        writeln!(out, "  fixes: {}", quoted(&line(&lacks))?)?;
    }
    writeln!(out, "  duration_ms: {}", result.micros / 1000)?;
    writeln!(out, "  ...")?;
    let attempts: Vec<_> = (1..).zip(&result.attempts).map(|(number, attempt)| attempt_line(number, attempt)).collect();
    fn all(texts: &[String]) -> Vec<&str> {
        texts.iter().map(String::as_str).collect()
    }
    for (title, texts) in [
        ("", result.detail.as_deref().into_iter().collect()),
        ("attempts:", all(&attempts)),
        ("calls:", result.calls()),
        ("kernel log:", all(&result.kernel_log)),
        ("to run it again:", again.as_deref().into_iter().collect()),
    ] {
        if !title.is_empty() && !texts.is_empty() {
            writeln!(out, "# {title}")?;
        }
        for clean in texts.iter().map(|raw| text(raw)) {
            for l in clean.trim_end().lines() {
                writeln!(out, "{}", format!("# {l}").trim_end())?;
            }
        }
    }
    Ok(())
}

fn quoted(text: &str) -> io::Result<String> {
    Ok(serde_json::to_string(text)?)
}

/// A description or a reason in one line, in which no `#` begins a directive.
fn escape(raw: &str) -> String {
    line(raw).replace('\\', "\\\\").replace('#', "\\#")
}
