//! JSON, for programs: one document that `schemas/report.schema.json` describes, with a case a line.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{CaseResult, PlannedCase, RunFinished, RunStarted};
use crate::report::run::{Counts, Full, Run, State};

/// The version of this format. It grows by new keys; the version rises only where one is taken away or means something else.
const FORMAT: u32 = 1;

/// A vfiospec report: one run, or several that were merged.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "A vfiospec report")]
pub struct Document {
    /// The version of this format; it rises only when a key is taken away or means something else.
    format: u32,
    /// The exit code of `vfiospec run`, and of `vfiospec report` for these journals.
    exit_code: u8,
    /// Whether the run told its end and ran every planned case.
    complete: bool,
    /// Whether it was stopped by Ctrl-C or SIGTERM.
    interrupted: bool,
    /// Wall time in milliseconds; of several runs, all of them together.
    millis: u64,
    /// How many cases ended how.
    counts: Counts,
    /// What the cases ran on; several stand side by side.
    environments: Vec<Environment>,
    /// Every planned case, in the order of the plan.
    cases: Vec<Case>,
}

/// A kernel, an IOMMU and devices.
#[derive(Serialize, JsonSchema)]
struct Environment {
    /// What tells it from the others; empty where there is only one.
    label: String,
    /// The runs there: shards, and runs of the same cases again.
    runs: Vec<Part>,
}

/// One run, from one journal.
#[derive(Serialize, JsonSchema)]
struct Part {
    /// Where and with what.
    started: RunStarted,
    /// How it ended; null when it did not tell its end.
    finished: Option<RunFinished>,
}

/// A planned case and what became of it.
#[derive(Serialize, JsonSchema)]
struct Case {
    /// The whole identity, the same from run to run.
    id: String,
    /// Its place in `environments`, from 0.
    environment: usize,
    /// How far it came.
    state: State,
    /// What was planned.
    planned: PlannedCase,
    /// What it gave.
    result: CaseResult,
}

/// Writes the report.
///
/// # Errors
/// When it cannot be written, or the journal cannot be read any more.
pub fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let parts = |environment: &crate::report::run::Environment| {
        let part =
            |part: &crate::report::run::Part| Part { started: part.started.clone(), finished: part.finished.clone() };
        environment.parts.iter().map(part).collect()
    };
    let head = Document {
        format: FORMAT,
        exit_code: run.exit() as u8,
        complete: run.complete(),
        interrupted: run.interrupted(),
        millis: u64::try_from(run.wall_time().as_millis()).unwrap_or(u64::MAX),
        counts: run.counts(),
        environments: run
            .environments
            .iter()
            .map(|environment| Environment { label: environment.label.clone(), runs: parts(environment) })
            .collect(),
        cases: Vec::new(),
    };
    // The cases are many, and are written one by one where their list would end.
    let head = serde_json::to_string(&head)?;
    out.write_all(head.strip_suffix("]}").expect("the cases come last").as_bytes())?;
    for (at, case) in run.cases.iter().enumerate() {
        let Full { planned, result } = run.full(case)?;
        let case =
            Case { id: run.id(case), environment: run.suite(case).environment, state: case.state, planned, result };
        write!(out, "{}\n{}", if at > 0 { "," } else { "" }, serde_json::to_string(&case)?)?;
    }
    out.write_all(b"\n]}\n")
}

/// The schema of the report.
pub fn schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<Document>().to_value()
}
