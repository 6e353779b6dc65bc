// SPDX-License-Identifier: MIT OR Apache-2.0
//! KTAP, the kernel's form of TAP (Documentation/dev-tools/ktap.rst), as kunit.py, LAVA and KernelCI read it.
//!
//! A suite is a test whose subtests are its cases. A known issue is `XFAIL` behind an `ok`, as kselftest writes it, and a case without
//! verdict is `ERROR` behind a `not ok`.

use std::io::{self, Write};

use crate::report::fixes;
use crate::report::format::{Format, Style};
use crate::report::run::{Case, Run};
use crate::report::words::{NO_REASON, place};
use crate::sanitize::{line, text};
use crate::{model::Verdict, report::note::Note};

pub(super) const FORMAT: Format = Format {
    name: "KTAP",
    option: "ktap",
    help: "Write KTAP, as the kernel's kunit.py and LAVA read it",
    write: |run, _: &Style, out| write(run, out),
};

/// How far subtests are indented.
const INDENT: &str = "    ";

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "KTAP version 1")?;
    for environment in &run.environments {
        let label = if environment.label.is_empty() { "" } else { &format!("{}: ", environment.label) };
        for part in &environment.parts {
            writeln!(out, "# {}", line(&format!("{label}vfiospec {}, {}", part.started.tool, place(&part.started))))?;
        }
    }
    let suites: Vec<Vec<&Case>> = run.by_suite();
    writeln!(out, "1..{}", suites.len())?;
    for (at, cases) in suites.iter().enumerate() {
        let id = run.id(cases[0]);
        let name = id[..id.len() - cases[0].name.len()].trim_end_matches('.');
        writeln!(out, "{INDENT}KTAP version 1\n{INDENT}# Subtest: {}\n{INDENT}1..{}", named(name), cases.len())?;
        for (at, case) in cases.iter().enumerate() {
            point(run, at + 1, case, out)?;
        }
        let is_bad = cases.iter().any(|case| matches!(case.verdict, Verdict::Failed | Verdict::Error));
        let ok = if is_bad { "not ok" } else { "ok" };
        let all_skipped = cases.iter().all(|case| case.verdict == Verdict::Skipped);
        writeln!(out, "{ok} {} {}{}", at + 1, named(name), if all_skipped { " # SKIP" } else { "" })?;
    }
    Ok(())
}

fn point(run: &Run, number: usize, case: &Case, out: &mut dyn Write) -> io::Result<()> {
    let full = run.full(case)?;
    let message = line(full.result.message.as_deref().unwrap_or(NO_REASON));
    let (ok, directive) = match case.verdict {
        Verdict::Passed | Verdict::Flaky => ("ok", String::new()),
        Verdict::Skipped => ("ok", format!(" # SKIP {message}")),
        Verdict::KnownIssue => ("ok", format!(" # XFAIL {message}")),
        Verdict::Failed => ("not ok", String::new()),
        Verdict::Error => ("not ok", format!(" # ERROR {message}")),
    };
    // What is said of a test stands before its result.
    let mut told: Vec<String> = case.notes.iter().map(Note::line).collect();
    if case.verdict == Verdict::Flaky {
        told.push(message);
    } else if matches!(case.verdict, Verdict::Failed | Verdict::Error) {
        told.push(text(full.result.detail.as_deref().unwrap_or(&message)));
        told.extend(fixes::lacks(run, case));
        let (calls, log) = (full.result.calls(), &full.result.kernel_log);
        told.extend((!calls.is_empty()).then(|| format!("calls:\n{}", calls.join("\n"))));
        told.extend((!log.is_empty()).then(|| format!("kernel log:\n{}", log.join("\n"))));
        told.extend(run.again(case, &full.planned).map(|again| format!("to run it again: {again}")));
    }
    for l in told.iter().flat_map(|told| told.trim_end().lines()) {
        writeln!(out, "{}", format!("{INDENT}# {}", line(l)).trim_end())?;
    }
    writeln!(out, "{INDENT}{ok} {number} {}{directive}", named(&case.name))
}

/// A name in which no `#` begins a directive: KTAP has no escape for it.
fn named(raw: &str) -> String {
    line(raw).replace('#', "_")
}
