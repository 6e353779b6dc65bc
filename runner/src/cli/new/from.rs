// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec new case --from`: a case that failed, as small as it can be taken out of its scenario.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::file;
use crate::event::{CaseResult, Event, PlannedCase};
use crate::language::{self, Source, did_you_mean};
use crate::model::{ANY_BACKEND, Exit, Verdict};
use crate::suite::{Manifests, Selection, packs_elsewhere};
use crate::{cli::error::Error, plan, report::journal, sanitize::line, session::Failure};

/// The most calls of the trace that are kept as comments.
const MOST_CALLS: usize = 12;

/// Writes a case of the journal as a scenario of its own.
pub fn main(journal: &Path, packs: &[PathBuf], case: &str, to: &Path) -> Result<(), Error> {
    let events = journal::read_file(journal).map_err(|error| Failure::new(Exit::Usage, error))?;
    let cases = cases(events);
    let found = find(&cases, case)?;
    let selection = Selection::of(Path::new(&found.planned.file), packs);
    let read = selection.read().and_then(|texts| Ok((selection.load(&texts, None)?, texts)));
    let ((loaded, packs), texts) = read.inspect_err(|_| {
        eprintln!(
            "vfiospec: the case was read from {}; run this from the same folder as the run, with the file as it was then",
            line(&found.planned.file)
        );
    })?;
    let at = found.result.at.as_deref();
    // Where any backend would do, the one that it ran on.
    let ran_on = found.result.true_backend.clone().filter(|_| found.planned.backend == ANY_BACKEND);
    let backend = ran_on.unwrap_or_else(|| found.planned.backend.clone());
    let planned = PlannedCase { backend, ..found.planned.clone() };
    let node = loaded.first().and_then(|one| plan::minimise(one, &packs, &planned, at, &file::name_of(to)));
    let Some(node) = node else {
        let what = format!("{} no longer has {}", found.planned.file, line(&found.planned.id().to_string()));
        return Err(Failure::new(Exit::Usage, what).into());
    };
    let text = text(&node, found, to);
    language::load(Source::new(to.display().to_string(), text.as_str()), String::new(), &packs, &[]).map_err(
        |invalid| {
            let what = format!("the case cannot be taken out of its scenario by itself:\n{}", invalid.render(false));
            Failure::new(Exit::Bug, what)
        },
    )?;
    file::create(to, &text)?;
    let own = Manifests::of_file(to);
    let others = packs_elsewhere(&texts, own.as_deref());
    if !others.is_empty() {
        println!("  it calls procedures: run it with --pack {}", others.join(" --pack "));
    }
    Ok(())
}

/// A case of the run, and its result.
struct Case {
    planned: PlannedCase,
    result: CaseResult,
}

fn cases(events: Vec<Event>) -> Vec<Case> {
    let mut planned: HashMap<u32, PlannedCase> = HashMap::new();
    let mut cases = Vec::new();
    for event in events {
        match event {
            Event::CasePlanned(case) => drop(planned.insert(case.case, case)),
            Event::CaseFinished(result) => {
                cases.extend(planned.get(&result.case).map(|planned| Case { planned: planned.clone(), result }));
            }
            _ => {}
        }
    }
    cases
}

/// The case of the run that is meant. If several have the name, it is the first that went wrong, and a message says so.
fn find<'r>(cases: &'r [Case], name: &str) -> Result<&'r Case, Failure> {
    let id = |case: &Case| line(&case.planned.id().to_string());
    let listed = |cases: &[&Case]| cases.iter().take(20).map(|case| format!("\n    {}", id(case))).collect::<String>();
    let went_wrong = |case: &&Case| matches!(case.result.verdict, Verdict::Failed | Verdict::Error);
    let meant: Vec<&Case> = cases.iter().filter(|case| case.planned.id().is_called(name)).collect();
    let mut wrong: Vec<&Case> = Vec::new();
    for case in meant.iter().copied().filter(went_wrong) {
        // Each attempt has a result.
        if wrong.iter().all(|known| known.planned.case != case.planned.case) {
            wrong.push(case);
        }
    }
    if let [taken, others @ ..] = wrong.as_slice() {
        if !others.is_empty() {
            eprintln!("vfiospec: took {}, one of {} that went wrong", id(taken), wrong.len());
            eprintln!("  help: name another one by its id:{}", listed(others));
        }
        return Ok(taken);
    }
    if let Some(case) = meant.first() {
        return Err(Failure::new(Exit::Usage, format!("{} did not go wrong in this run", id(case))));
    }
    let wrong: Vec<&Case> = cases.iter().filter(went_wrong).collect();
    let help = match did_you_mean(name, cases.iter().map(|case| case.planned.name.as_str())) {
        Some(near) => near,
        None if wrong.is_empty() => "no case of this run went wrong".to_owned(),
        None => format!("these went wrong:{}", listed(&wrong)),
    };
    Err(Failure::usage(format!("the journal has no case `{}`", line(name)), help))
}

/// The scenario as text, with what is known of the failure above it.
fn text(node: &Value, found: &Case, to: &Path) -> String {
    let comment = |text: &str| format!("# {}\n", line(text));
    let mut text = file::modeline(to);
    text += &comment(&format!("From {} at {}:{}.", found.planned.id(), found.planned.file, found.planned.line));
    text += &found.result.message.as_ref().map(|message| comment(&format!("It gave: {message}"))).unwrap_or_default();
    let trace = found.result.calls();
    if !trace.is_empty() {
        let last = &trace[trace.len().saturating_sub(MOST_CALLS)..];
        text += &comment(&format!("The calls that led there, the last {} of {}:", last.len(), trace.len()));
        last.iter().for_each(|call| text += &comment(&format!("  {call}")));
    }
    text + &serde_yaml::to_string(node).expect("a document has a YAML form")
}
