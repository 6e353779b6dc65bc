// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case of a scenario, as small as it can be taken out.

use serde_yaml::{Mapping, Value};

use super::case_name;
use crate::language::{self, Loaded, Packs, Path, Pattern, Requirement, Segment, Source, Target};
use crate::{event::PlannedCase, model::BackendName, model::code::Code, sanitize};

/// A scenario with nothing but this case, on its backend and with its values of the matrix, up to the step that failed `at` a place such as
/// `file:line:column`; `None` if the scenario does not have the case.
pub fn minimise(loaded: &Loaded, packs: &Packs, planned: &PlannedCase, at: Option<&str>, name: &str) -> Option<Value> {
    let Loaded { source, scenario, .. } = loaded;
    let (index, matrix) = scenario.cases.iter().enumerate().find_map(|(index, case)| {
        let all = super::combinations(&case.matrix);
        let same = all.into_iter().find(|combination| case_name(case, combination) == planned.name);
        same.map(|combination| (index, combination))
    })?;
    let mut scenario = serde_yaml::to_value(source.tree().ok()?).ok()?;
    let mut case = scenario.get("cases")?.get(index)?.clone();
    let path = Path::root().join("cases").join(index);
    cut(&mut case, &path, source, at);
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
    let options = scenario.get("backends").and_then(|backends| backends.get(&planned.backend)).cloned();
    let options = options.unwrap_or_else(|| Mapping::new().into());
    let backends = Mapping::from_iter([(planned.backend.as_str().into(), options)]);
    set(&mut case, "name", sanitize::identifier(&planned.name.replace('[', "_").replace(']', "")).into());
    for_backend(&mut case, &planned.backend);
    // What the file and its pack say once is in the case now.
    remove(&mut scenario, "regions");
    remove(&mut scenario, "requests");
    spell_out(&mut scenario, &loaded.scenario.requires)?;
    spell_out(&mut case, &loaded.scenario.cases[index].requires)?;
    set(&mut scenario, "name", name.into());
    set(&mut scenario, "backends", backends.into());
    set(&mut scenario, "cases", vec![case].into());
    without_unused_regions(&mut scenario, packs);
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
fn cut(case: &mut Value, path: &Path, source: &Source, at: Option<&str>) {
    let line = at.and_then(|at| at.rsplit(':').nth(1)?.parse::<usize>().ok());
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
        if let (true, Ok(name)) = (is_table, backend.parse::<BackendName>())
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
fn without_unused_regions(scenario: &mut Value, packs: &Packs) {
    let text = serde_yaml::to_string(scenario).unwrap_or_default();
    let Err(invalid) = language::load(Source::new("", text), String::new(), packs, &[]) else { return };
    for unused in invalid.diagnostics.iter().filter(|diagnostic| diagnostic.code == Code::UnusedRegion) {
        let Some(Segment::Key(name)) = unused.path.last() else { continue };
        if let Some(regions) = scenario.get_mut("cases").and_then(|cases| cases.get_mut(0)?.get_mut("regions")) {
            remove(regions, name);
        }
    }
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
