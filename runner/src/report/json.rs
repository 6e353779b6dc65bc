// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON for programs: one document, which `schemas/report.schema.json` describes, with one line for each case.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{CaseResult, PlannedCase};
use crate::report::fixes::{self, Seen};
use crate::report::format::Format;
use crate::report::run::{Counts, Environment, Full, Run, State};

/// The version of the document. New keys do not change it; a key that goes away or changes its meaning does.
const VERSION: u32 = 1;

/// A vfiospec report: one run, or several that were merged.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "A vfiospec report")]
pub struct Document<'a> {
    /// The version of this format. It rises only if a key goes away or changes its meaning.
    format: u32,
    /// The exit code of `vfiospec run`, and of `vfiospec report` for these journals.
    exit_code: u8,
    /// Whether the run ended and ran every planned case.
    complete: bool,
    /// Whether it was stopped by Ctrl-C or SIGTERM.
    interrupted: bool,
    /// Wall time in milliseconds, summed over several runs.
    millis: u64,
    /// How many cases ended how.
    counts: Counts,
    /// Where the cases ran; several environments stand side by side.
    environments: &'a [Environment],
    /// Which fixes the cases show to be there or missing, of each kernel.
    fixes: Vec<Seen>,
    /// Every planned case, in the order of the plan.
    cases: Vec<Case>,
}

/// A planned case, and how it ended.
#[derive(Serialize, JsonSchema)]
struct Case {
    /// The whole id, which is the same in every run.
    id: String,
    /// Its index in `environments`, from 0.
    environment: usize,
    /// How far it got.
    state: State,
    /// What was planned.
    planned: PlannedCase,
    /// What its failure says of its fixes, such as `this kernel lacks: iommufd: Do not free what is in use (f00ba4c0ffee), in 6.12.9 and later`.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<String>,
    /// Its result.
    result: CaseResult,
}

pub(super) const FORMAT: Format = Format {
    name: "JSON",
    option: "json",
    help: "Write JSON, as schemas/report.schema.json describes it",
    write: |run, _, out| write(run, out),
};

fn write(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let head = Document {
        format: VERSION,
        exit_code: run.exit() as u8,
        complete: run.complete(),
        interrupted: run.interrupted(),
        millis: u64::try_from(run.wall_time().as_millis()).unwrap_or(u64::MAX),
        counts: run.counts(),
        environments: &run.environments,
        fixes: fixes::seen(run)?,
        cases: Vec::new(),
    };
    // Cases are written one by one, at the end of their empty list.
    let head = serde_json::to_string(&head)?;
    out.write_all(head.strip_suffix("]}").expect("the cases come last").as_bytes())?;
    for (at, case) in run.cases.iter().enumerate() {
        let Full { planned, result } = run.full(case)?;
        let (id, environment, lacks) = (run.id(case), run.suite(case).environment, fixes::lacks(run, case));
        let case = Case { id, environment, state: case.state, planned, lacks, result };
        write!(out, "{}\n{}", if at > 0 { "," } else { "" }, serde_json::to_string(&case)?)?;
    }
    out.write_all(b"\n]}\n")
}

/// The schema of the report.
pub fn schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<Document>().to_value()
}
