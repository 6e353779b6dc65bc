//! `vfiospec new case --from`: a case that failed, as small as it can be taken out of its scenario.

use std::{collections::HashMap, path::Path as FilePath};

use serde_yaml::{Mapping, Value};

use super::file;
use crate::{
    event::{CaseResult, Event, PlannedCase},
    language::{self, Loaded, Packs, Path, Pattern, Requirement, Segment, Source, Target, combinations, did_you_mean},
    model::{Exit, Verdict, code::Code},
    plan,
    report::{journal, sanitize},
};

/// The most calls of the trace that are kept as comments.
const MOST_CALLS: usize = 12;

/// Writes the case that the journal tells of as a scenario of its own.
pub fn main(journal: &FilePath, case: &str, to: &FilePath) -> Result<(), Exit> {
    let events = journal::read_file(journal).map_err(|error| {
        eprintln!("vfiospec: {error}");
        Exit::Usage
    })?;
    let cases = cases(events);
    let found = find(&cases, case)?;
    let loaded = file::read_right(FilePath::new(&found.planned.file)).inspect_err(|_| {
        eprintln!(
            "  the case was read from this file; run this from the same folder as the run, with the file as it was then"
        );
    })?;
    let Some(node) = taken_out(&loaded, found, &file::name_of(to)) else {
        eprintln!("vfiospec: {} no longer has {}", found.planned.file, sanitize::line(&found.planned.id().to_string()));
        return Err(Exit::Usage);
    };
    let text = text(&node, found, to);
    match language::load(Source::new(to.display().to_string(), text.as_str()), String::new(), &Packs::default(), &[]) {
        Ok(_) => file::create(to, &text),
        Err(invalid) => {
            eprintln!("{}", invalid.render(false));
            eprintln!("vfiospec: the case cannot be taken out of its scenario by itself");
            Err(Exit::Bug)
        }
    }
}

/// A case of the run, and what it gave.
struct Case {
    planned: PlannedCase,
    result: CaseResult,
}

/// The cases that have a result.
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

/// The case of the run that is meant: the first that went wrong, if several are called so, which is said.
fn find<'r>(cases: &'r [Case], name: &str) -> Result<&'r Case, Exit> {
    let is_meant = |case: &&Case| case.planned.id().is_called(name);
    let went_wrong = |case: &&Case| matches!(case.result.verdict, Verdict::Failed | Verdict::Error);
    let meant: Vec<&Case> = cases.iter().filter(is_meant).collect();
    let mut wrong: Vec<&Case> = Vec::new();
    for case in meant.iter().copied().filter(went_wrong) {
        // Each attempt has a result.
        if wrong.iter().all(|known| known.planned.case != case.planned.case) {
            wrong.push(case);
        }
    }
    if let [taken, others @ ..] = wrong.as_slice() {
        if !others.is_empty() {
            eprintln!(
                "vfiospec: took {}, one of {} that went wrong",
                sanitize::line(&taken.planned.id().to_string()),
                wrong.len()
            );
            eprintln!("  help: name another one by its id:");
            others.iter().take(20).for_each(|case| eprintln!("    {}", sanitize::line(&case.planned.id().to_string())));
        }
        return Ok(taken);
    }
    if let Some(case) = meant.first() {
        eprintln!("vfiospec: {} did not go wrong in this run", sanitize::line(&case.planned.id().to_string()));
        return Err(Exit::Usage);
    }
    eprintln!("vfiospec: the journal tells of no case `{}`", sanitize::line(name));
    let wrong: Vec<String> = cases.iter().filter(went_wrong).map(|case| case.planned.id().to_string()).collect();
    match did_you_mean(name, cases.iter().map(|case| case.planned.name.as_str())) {
        Some(near) => eprintln!("  help: {near}"),
        None if wrong.is_empty() => eprintln!("  help: no case of this run went wrong"),
        None => {
            eprintln!("  help: these went wrong:");
            wrong.iter().take(20).for_each(|id| eprintln!("    {}", sanitize::line(id)));
        }
    }
    Err(Exit::Usage)
}

/// A scenario with nothing but the case, on its backend, with its values of the matrix.
fn taken_out(loaded: &Loaded, found: &Case, name: &str) -> Option<Value> {
    let Loaded { source, scenario, .. } = loaded;
    let (index, matrix) = scenario.cases.iter().enumerate().find_map(|(index, case)| {
        let all = combinations(&case.matrix);
        let same = all.into_iter().find(|combination| plan::case_name(case, combination) == found.planned.name);
        same.map(|combination| (index, combination))
    })?;
    let mut scenario = serde_yaml::to_value(source.tree().ok()?).ok()?;
    let mut case = scenario.get("cases")?.get(index)?.clone();
    let path = Path::root().join("cases").join(index);
    cut(&mut case, &path, source, found);
    remove(&mut case, "matrix");
    remove(&mut case, "backends");
    if !matrix.is_empty() {
        let mut vars = Mapping::new();
        for (name, value) in matrix {
            vars.insert(name.into(), serde_yaml::to_value(value).ok()?);
        }
        if let Some(Value::Mapping(own)) = case.get("vars") {
            vars.extend(own.clone());
        }
        set(&mut case, "vars", vars.into());
    }
    let options = scenario.get("backends").and_then(|backends| backends.get(&found.planned.backend)).cloned();
    let options = options.unwrap_or_else(|| Mapping::new().into());
    let backends = Mapping::from_iter([(found.planned.backend.as_str().into(), options)]);
    set(&mut case, "name", sanitize::identifier(&found.planned.name.replace('[', "_").replace(']', "")).into());
    for_backend(&mut case, &found.planned.backend);
    // What the file and its pack say once is in the case now.
    remove(&mut scenario, "regions");
    remove(&mut scenario, "requests");
    spell_out(&mut scenario, &loaded.scenario.requires)?;
    spell_out(&mut case, &loaded.scenario.cases[index].requires)?;
    set(&mut scenario, "name", name.into());
    set(&mut scenario, "backends", backends.into());
    set(&mut scenario, "cases", vec![case].into());
    without_unused_regions(&mut scenario);
    Some(scenario)
}

/// Writes the conditions that are given by name as they are in the pack.
fn spell_out(of: &mut Value, requires: &[Requirement]) -> Option<()> {
    let Some(Value::Sequence(written)) = of.get_mut("requires") else { return Some(()) };
    for (written, requirement) in written.iter_mut().zip(requires) {
        *written = serde_yaml::to_value(requirement.condition.as_deref()?).ok()?;
    }
    Some(())
}

/// Leaves out the steps behind the one that failed.
fn cut(case: &mut Value, path: &Path, source: &Source, found: &Case) {
    let line = found.result.at.as_ref().and_then(|at| at.rsplit(':').nth(1)?.parse::<usize>().ok());
    let (Some(line), Some(Value::Sequence(steps))) = (line, case.get_mut("steps")) else { return };
    let begins = |index: usize| source.locate(&path.join("steps").join(index), Target::Value).line;
    // A failure that belongs to no step, such as a line in the kernel's log, stands at the case's name.
    if line < begins(0) {
        return;
    }
    let kept = (0..steps.len()).filter(|&index| begins(index) <= line).count();
    steps.truncate(kept.max(1));
}

/// Of every table by backend only what holds for the backend.
fn for_backend(node: &mut Value, backend: &str) {
    if let Value::Mapping(entries) = node {
        let pattern = |key: &Value| Pattern(key.as_str().unwrap_or_default().to_owned());
        let is_table = !entries.is_empty() && entries.keys().all(|key| pattern(key).matches_any());
        let name = crate::model::BackendName::ALL.iter().copied().find(|name| name.as_str() == backend);
        if let (true, Some(name)) = (is_table, name)
            && let Some((_, value)) = entries.iter().find(|(key, _)| pattern(key).matches(name))
        {
            *node = value.clone();
        }
    }
    match node {
        Value::Mapping(entries) => entries.values_mut().for_each(|value| for_backend(value, backend)),
        Value::Sequence(elements) => elements.iter_mut().for_each(|element| for_backend(element, backend)),
        _ => {}
    }
}

/// Regions that only steps used that were left out.
fn without_unused_regions(scenario: &mut Value) {
    let text = serde_yaml::to_string(scenario).unwrap_or_default();
    let Err(invalid) = language::load(Source::new("", text), String::new(), &Packs::default(), &[]) else { return };
    for unused in invalid.diagnostics.iter().filter(|diagnostic| diagnostic.code == Code::UnusedRegion) {
        let Some(Segment::Key(name)) = unused.path.last() else { continue };
        if let Some(regions) = scenario.get_mut("cases").and_then(|cases| cases.get_mut(0)?.get_mut("regions")) {
            remove(regions, name);
        }
    }
}

/// The scenario as text, with what is known of the failure above it.
fn text(node: &Value, found: &Case, to: &FilePath) -> String {
    let comment = |text: &str| format!("# {}\n", sanitize::line(text));
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

fn remove(value: &mut Value, key: &str) {
    if let Value::Mapping(entries) = value {
        entries.shift_remove(key);
    }
}

/// Sets a key where it stands, or behind the name.
fn set(mapping: &mut Value, key: &str, value: Value) {
    let Value::Mapping(entries) = mapping else { return };
    if let Some(old) = entries.get_mut(key) {
        *old = value;
        return;
    }
    let behind: Vec<_> = std::mem::take(entries).into_iter().collect();
    let (name, behind) = behind.split_at(behind.len().min(1));
    *entries = name.iter().cloned().chain([(key.into(), value)]).chain(behind.iter().cloned()).collect();
}
