// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case as the list of steps that it stands for on one backend.

use crate::language::verb::{Expects, Gone, Map, Pagesize, Unmap, Verb};
use crate::language::{ByBackend, Case, Dynamic, ExpressionError, Name, Outcome, Path, Region, Scope, Size, Step};
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
    /// The lists of steps that it holds, to run at the same time; of a `fail_nth` or `measure` what takes back what its step did.
    pub branches: Vec<Vec<PlannedStep>>,
}

/// The regions of a case, each with where it is written, and its steps.
pub type Parts = (Vec<(String, Region, Path)>, Vec<PlannedStep>);

/// The regions and steps of a case on a backend; of the declarative form, those that it stands for. `scope` has what is known before the
/// run, which decides the outcomes that are computed.
pub fn planned(case: &Case, path: &Path, backend: BackendName, scope: &Scope) -> Parts {
    try_planned(case, path, backend, scope).expect("the check evaluates each outcome that is computed")
}

/// [`planned`] of what was checked with other values than those of this scope.
///
/// # Errors
/// The first outcome that cannot be computed, and where it is written.
pub fn try_planned(case: &Case, path: &Path, backend: BackendName, scope: &Scope) -> Result<Parts, Wrong> {
    let here = Here { backend, scope };
    if let Some(region) = case.region.as_deref() {
        let regions = vec![("region".to_owned(), region.clone(), path.join("region"))];
        return Ok((regions, here.declarative(case, path)?));
    }
    let regions = case.regions.iter();
    let regions = regions.map(|(name, region)| (name.to_owned(), region.clone(), path.join("regions").join(name)));
    Ok((regions.collect(), here.written(case.steps.as_deref().unwrap_or_default(), &path.join("steps"))?))
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

/// An outcome that cannot be computed.
type Wrong = (Path, ExpressionError);

/// Where a case runs, as far as its steps depend on it.
struct Here<'a> {
    backend: BackendName,
    scope: &'a Scope,
}

impl Here<'_> {
    /// Steps that are written at `at`, and those that they hold.
    fn written(&self, steps: &[Step], at: &Path) -> Result<Vec<PlannedStep>, Wrong> {
        let here = steps.iter().enumerate().filter(|(_, step)| step.runs_on(self.backend));
        here.map(|(index, step)| self.step(step, at.join(index))).collect()
    }

    fn step(&self, step: &Step, at: Path) -> Result<PlannedStep, Wrong> {
        let (outcome, outcome_at) = match &step.expect {
            Some(expect) => self.outcome(expect, at.join("expect"))?,
            None => (Outcome::Ok, at.clone()),
        };
        let expect = step.expect.is_some().then(|| ByBackend::All(outcome.clone().into()));
        let mut step = Step { expect, backends: None, ..step.clone() };
        let plain = |planned: &[PlannedStep]| planned.iter().map(|planned| planned.step.clone()).collect();
        let (mut steps, mut branches) = (Vec::new(), Vec::new());
        match &mut step.verb {
            Verb::Repeat(repeat) => {
                steps = self.written(&repeat.steps, &at.join("repeat").join("steps"))?;
                repeat.steps = plain(&steps);
            }
            Verb::FailNth(fail_nth) => {
                let at = at.join("fail_nth");
                steps = self.written(&fail_nth.steps, &at.join("steps"))?;
                fail_nth.steps = plain(&steps);
                branches = vec![
                    self.written(&fail_nth.undo, &at.join("undo"))?,
                    self.written(&fail_nth.still, &at.join("still"))?,
                ];
                (fail_nth.undo, fail_nth.still) = (plain(&branches[0]), plain(&branches[1]));
            }
            Verb::Measure(measure) => {
                let at = at.join("measure");
                steps = self.written(&measure.steps, &at.join("steps"))?;
                measure.steps = plain(&steps);
                branches = vec![self.written(&measure.undo, &at.join("undo"))?];
                measure.undo = plain(&branches[0]);
            }
            Verb::Finally(finally) => {
                steps = self.written(&finally.steps, &at.join("finally").join("steps"))?;
                finally.steps = plain(&steps);
            }
            Verb::Child(child) => {
                steps = self.written(&child.steps, &at.join("child").join("steps"))?;
                child.steps = plain(&steps);
            }
            Verb::Parallel(parallel) => {
                let at = at.join("parallel");
                steps = self.written(&parallel.steps, &at.join("steps"))?;
                parallel.steps = plain(&steps);
                for (index, branch) in parallel.branches.iter_mut().enumerate() {
                    branches.push(self.written(branch, &at.join("branches").join(index))?);
                    *branch = plain(&branches[index]);
                }
            }
            verb => assert!(verb.nested(&at).is_empty(), "the steps of a `{}` are not planned", verb.name()),
        }
        Ok(PlannedStep { step, outcome, at, outcome_at, steps, branches })
    }

    /// The value here and where it is written.
    fn value<T: Clone>(&self, values: &ByBackend<T>, path: Path) -> (T, Path) {
        let (key, value) = values.get(self.backend).expect("the check refuses a table without this backend");
        (value.clone(), key.map_or(path.clone(), |key| path.join(key)))
    }

    fn outcome(&self, outcomes: &ByBackend<Dynamic<Outcome>>, path: Path) -> Result<(Outcome, Path), Wrong> {
        let (outcome, path) = self.value(outcomes, path);
        match outcome.resolve(self.scope) {
            Ok(outcome) => Ok((outcome, path)),
            Err(error) => Err((path, error)),
        }
    }

    /// Map the region, look at the page size, unmap exactly what was mapped, see that it is gone. Where the map is expected to fail,
    /// see that it left nothing.
    fn declarative(&self, case: &Case, path: &Path) -> Result<Vec<PlannedStep>, Wrong> {
        let mapping = |field: &str| Dynamic::Expression(format!("{{{{ mapping.{field} }}}}"));
        let range = || (mapping("iova"), mapping("size"));
        let expect = case.expect.clone().unwrap_or_default();
        let at = path.join("expect");
        let expected = |outcome: &Outcome| Some(ByBackend::All(outcome.clone().into()));
        let plan = |step: Step, outcome: Outcome, written: Path| PlannedStep {
            step,
            outcome,
            at: path.join("region"),
            outcome_at: written,
            steps: Vec::new(),
            branches: Vec::new(),
        };

        let (map, map_at) = match &expect.map {
            Some(map) => self.outcome(map, at.join("map"))?,
            None => (Outcome::Ok, path.join("region")),
        };
        let succeeds = map == Outcome::Ok;
        let region = Name("region".into());
        let verb = Map { region, iova: None, size: None, offset: None, access: None, ioas: None };
        let stated = expect.map.as_ref().and_then(|_| expected(&map));
        let step = Step { save: Some(Name("mapping".into())), expect: stated, ..verb.into() };
        let mut steps = vec![plan(step, map, map_at)];
        let (iova, size) = range();
        let gone = Gone { iova, size }.into();
        if !succeeds {
            let written = steps[0].outcome_at.clone();
            steps.push(plan(gone, Outcome::Ok, written));
            return Ok(steps);
        }
        if let Some(pagesize) = &expect.pagesize {
            let (is, written): (Dynamic<Size>, Path) = self.value(pagesize, at.join("pagesize"));
            let (iova, size) = range();
            steps.push(plan(Pagesize { iova, size, is }.into(), Outcome::Ok, written));
        }
        let (unmap, unmap_at) = match &expect.unmap {
            Some(unmap) => self.outcome(unmap, at.join("unmap"))?,
            None => (Outcome::Bytes(mapping("size")), path.join("region")),
        };
        let unmaps = matches!(unmap, Outcome::Ok | Outcome::Bytes(_));
        let (iova, size) = range();
        let step = Step { expect: expected(&unmap), ..Unmap { iova, size, ioas: None }.into() };
        steps.push(plan(step, unmap, unmap_at.clone()));
        if unmaps {
            steps.push(plan(gone, Outcome::Ok, unmap_at));
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Problems, decode, parse};

    #[test]
    fn what_runs_at_the_same_time_is_asserted_too() {
        let text = "name: a\nsteps:\n  - parallel: { branches: [[{ reset: }], [{ repeat: { times: 2, steps: [{ device_info: }] } }]] }\n";
        let case = decode::<Case>(&parse(text).unwrap(), &mut Problems::new()).unwrap();
        let (_, steps) = planned(&case, &Path::root(), BackendName::Iommufd, &Scope::new());
        assert_eq!(assertions(&steps), ["reset gives success", "device_info gives success"]);
    }
}
