// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case as the list of steps that it stands for on one backend.

use crate::language::verb::{Expects, Gone, Map, Pagesize, Unmap, Verb};
use crate::language::{ByBackend, Case, Dynamic, Name, Outcome, Path, Region, Size, Step};
use crate::model::BackendName;

/// A step with what is expected of it on this backend, and where that is written.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    /// The step; its `expect` holds only the outcome for this backend.
    pub step: Step,
    /// The outcome of a call.
    pub outcome: Outcome,
    /// Where the step is written.
    pub at: Path,
    /// Where its outcome is written, or the step where the outcome is the default.
    pub outcome_at: Path,
    /// The steps that it holds.
    pub steps: Vec<PlannedStep>,
    /// The lists of steps that it holds, to run at the same time.
    pub branches: Vec<Vec<PlannedStep>>,
}

/// The regions and steps of a case on a backend; of the declarative form, those that it stands for.
pub fn planned(case: &Case, path: &Path, backend: BackendName) -> (Vec<(String, Region, Path)>, Vec<PlannedStep>) {
    if let Some(region) = case.region.as_deref() {
        let regions = vec![("region".to_owned(), region.clone(), path.join("region"))];
        return (regions, declarative(case, path, backend));
    }
    let regions = case.regions.iter();
    let regions = regions.map(|(name, region)| (name.to_owned(), region.clone(), path.join("regions").join(name)));
    (regions.collect(), written(case.steps.as_deref().unwrap_or_default(), &path.join("steps"), backend))
}

/// What the steps assert, in order, each once: `map gives success`, `unmap gives success and 16KiB`, `{{ a.bytes == 4096 }}`.
pub fn assertions(steps: &[PlannedStep]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for PlannedStep { step, outcome, steps, branches, .. } in steps {
        let (name, about) = (step.verb.name(), step.verb.about());
        let inside: Vec<String> = std::iter::once(steps).chain(branches).flat_map(|steps| assertions(steps)).collect();
        let title = step.verb.title().unwrap_or_else(|| name.to_owned());
        let own = match about.expects {
            _ if !about.asserts || !inside.is_empty() => None,
            Expects::Outcome | Expects::Bytes => Some(format!("{title} gives {outcome}")),
            Expects::Nothing(_) => Some(title),
        };
        for assertion in own.into_iter().chain(inside) {
            if !all.contains(&assertion) {
                all.push(assertion);
            }
        }
    }
    all
}

/// Steps that are written at `at`, and those that they hold, on a backend.
fn written(steps: &[Step], at: &Path, backend: BackendName) -> Vec<PlannedStep> {
    let plan = |(index, step): (usize, &Step)| {
        let at = at.join(index);
        let (outcome, outcome_at) = match &step.expect {
            Some(expect) => resolve(expect, at.join("expect"), backend),
            None => (Outcome::Ok, at.clone()),
        };
        let mut step = Step { expect: step.expect.is_some().then(|| ByBackend::All(outcome.clone())), ..step.clone() };
        let plain = |planned: &[PlannedStep]| planned.iter().map(|planned| planned.step.clone()).collect();
        let (mut steps, mut branches) = (Vec::new(), Vec::new());
        match &mut step.verb {
            Verb::Repeat(repeat) => {
                steps = written(&repeat.steps, &at.join("repeat").join("steps"), backend);
                repeat.steps = plain(&steps);
            }
            Verb::Finally(finally) => {
                steps = written(&finally.steps, &at.join("finally").join("steps"), backend);
                finally.steps = plain(&steps);
            }
            Verb::Parallel(parallel) => {
                let at = at.join("parallel");
                steps = written(&parallel.steps, &at.join("steps"), backend);
                parallel.steps = plain(&steps);
                for (index, branch) in parallel.branches.iter_mut().enumerate() {
                    branches.push(written(branch, &at.join("branches").join(index), backend));
                    *branch = plain(&branches[index]);
                }
            }
            verb => assert!(verb.nested(&at).is_empty(), "the steps of a `{}` are not planned", verb.name()),
        }
        PlannedStep { step, outcome, at, outcome_at, steps, branches }
    };
    steps.iter().enumerate().map(plan).collect()
}

/// The value for the backend and where it is written.
fn resolve<T: Clone>(values: &ByBackend<T>, path: Path, backend: BackendName) -> (T, Path) {
    let (key, value) = values.get(backend).expect("the check refuses a table without this backend");
    (value.clone(), key.map_or(path.clone(), |key| path.join(key)))
}

/// Map the region, look at the page size, unmap exactly what was mapped, see that it is gone. Where the map is expected to fail,
/// see that it left nothing.
fn declarative(case: &Case, path: &Path, backend: BackendName) -> Vec<PlannedStep> {
    let mapping = |field: &str| Dynamic::Expression(format!("{{{{ mapping.{field} }}}}"));
    let range = || (mapping("iova"), mapping("size"));
    let expect = case.expect.clone().unwrap_or_default();
    let at = path.join("expect");
    let plan = |step: Step, outcome: Outcome, written: Path| PlannedStep {
        step: Step { expect: step.expect.is_some().then(|| ByBackend::All(outcome.clone())), ..step },
        outcome,
        at: path.join("region"),
        outcome_at: written,
        steps: Vec::new(),
        branches: Vec::new(),
    };

    let (map, map_at) = match &expect.map {
        Some(map) => resolve(map, at.join("map"), backend),
        None => (Outcome::Ok, path.join("region")),
    };
    let succeeds = map == Outcome::Ok;
    let region = Name("region".into());
    let verb = Map { region, iova: None, size: None, offset: None, access: None, ioas: None };
    let expected = expect.map.as_ref().map(|_| ByBackend::All(map.clone()));
    let step = Step { save: Some(Name("mapping".into())), expect: expected, ..verb.into() };
    let mut steps = vec![plan(step, map, map_at)];
    let (iova, size) = range();
    let gone = Gone { iova, size }.into();
    if !succeeds {
        let written = steps[0].outcome_at.clone();
        steps.push(plan(gone, Outcome::Ok, written));
        return steps;
    }
    if let Some(pagesize) = &expect.pagesize {
        let (is, written): (Dynamic<Size>, Path) = resolve(pagesize, at.join("pagesize"), backend);
        let (iova, size) = range();
        steps.push(plan(Pagesize { iova, size, is }.into(), Outcome::Ok, written));
    }
    let (unmap, unmap_at) = match &expect.unmap {
        Some(unmap) => resolve(unmap, at.join("unmap"), backend),
        None => (Outcome::Bytes(mapping("size")), path.join("region")),
    };
    let unmaps = matches!(unmap, Outcome::Ok | Outcome::Bytes(_));
    let (iova, size) = range();
    let expected = Some(ByBackend::All(unmap.clone()));
    let step = Step { expect: expected, ..Unmap { iova, size, ioas: None }.into() };
    steps.push(plan(step, unmap, unmap_at.clone()));
    if unmaps {
        steps.push(plan(gone, Outcome::Ok, unmap_at));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Problems, decode, parse};

    #[test]
    fn what_runs_at_the_same_time_is_asserted_too() {
        let text = "name: a\nsteps:\n  - parallel: { branches: [[{ reset: }], [{ repeat: { times: 2, steps: [{ device_info: }] } }]] }\n";
        let case = decode::<Case>(&parse(text).unwrap(), &mut Problems::new()).unwrap();
        let (_, steps) = planned(&case, &Path::root(), BackendName::Iommufd);
        assert_eq!(assertions(&steps), ["reset gives success", "device_info gives success"]);
    }
}
