//! TAP, the Test Anything Protocol, as `prove` reads it.
//!
//! What is written keeps to TAP 14, escapes included, but says version 13, of which it uses nothing that 14 changed: the `prove` of Debian
//! 12 (Test::Harness 3.44) takes a stream that says 14 for broken.

use std::io::{self, Write};

use crate::{
    model::Verdict,
    report::{
        junit::attempt_line,
        run::{Case, Full, Note, Run},
        sanitize::{line, text},
        summary::place,
    },
};

/// Writes the report: one test point for each case, in the order of the plan.
///
/// # Errors
/// When it cannot be written, or the journal cannot be read any more.
pub fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "TAP version 13\n1..{}", run.cases.len())?;
    for environment in &run.environments {
        for part in &environment.parts {
            let label = if environment.label.is_empty() { "" } else { &format!("{}: ", environment.label) };
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
    let message = escape(result.message.as_deref().unwrap_or("no reason given"));
    let (ok, directive) = match case.verdict {
        Verdict::Passed | Verdict::Flaky => ("ok", String::new()),
        Verdict::Skipped => ("ok", format!(" # SKIP {message}")),
        Verdict::KnownIssue => ("not ok", format!(" # TODO {message}")),
        Verdict::Failed | Verdict::Error => ("not ok", String::new()),
    };
    writeln!(out, "{ok} {number} - {}{directive}", escape(&run.id(case)))?;
    for note in Note::all(&full.planned, result) {
        writeln!(out, "# {}", line(&note.line()))?;
    }
    if !matches!(case.verdict, Verdict::Passed | Verdict::Skipped) {
        diagnostics(&full, run.again(case, &full.planned), out)?;
    }
    Ok(())
}

/// A YAML block under a test point, and the longer texts as comments. `prove` reads only a part of YAML: quoted strings, as JSON has
/// them, and no text of several lines with blank ones among them.
fn diagnostics(Full { planned, result }: &Full, again: Option<String>, out: &mut dyn Write) -> io::Result<()> {
    let severity = match result.verdict {
        Verdict::Failed => "fail",
        Verdict::Error => "error",
        Verdict::Flaky => "flaky",
        Verdict::Passed | Verdict::Skipped | Verdict::KnownIssue => "todo",
    };
    let place = result.at.clone().unwrap_or_else(|| format!("{}:{}", planned.file, planned.line));
    writeln!(out, "  ---")?;
    writeln!(out, "  message: {}", quoted(&line(result.message.as_deref().unwrap_or("no reason given")))?)?;
    writeln!(out, "  severity: {}", quoted(severity)?)?;
    writeln!(out, "  at: {}", quoted(&line(&place))?)?;
    writeln!(out, "  duration_ms: {}", result.micros / 1000)?;
    writeln!(out, "  ...")?;
    let attempts: Vec<_> = (1..).zip(&result.attempts).map(|(number, attempt)| attempt_line(number, attempt)).collect();
    let detail: Vec<_> = result.detail.iter().cloned().collect();
    let calls: Vec<_> = result.calls().into_iter().map(str::to_owned).collect();
    let again: Vec<_> = again.into_iter().collect();
    for (title, texts) in [
        ("", &detail),
        ("attempts:", &attempts),
        ("calls:", &calls),
        ("kernel log:", &result.kernel_log),
        ("to run it again:", &again),
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

/// A description or a reason: one line, in which no `#` begins a directive.
fn escape(raw: &str) -> String {
    line(raw).replace('\\', "\\\\").replace('#', "\\#")
}
