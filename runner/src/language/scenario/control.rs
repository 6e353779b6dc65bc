//! Steps that hold other steps, and a case's steps one after the other, wherever they stand.

use crate::language::quantity::{Number, as_number};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::language::{Dynamic, Name, Path, Size, Step};

/// The most steps that a case may run, with every round of a `repeat`: a stranger's scenario must come to an end.
pub const MOST_STEPS: u64 = 1_000_000;
/// How many steps may hold one another.
pub const DEEPEST: usize = 8;

/// Steps to run several times.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How many times, at least once; a case runs at most 1000000 steps in all.
    #[schemars(example = 16, example = "{{ count }}")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub times: Dynamic<Size>,
    /// The name by which expressions inside know how many rounds are done: 0 in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"round")]
    pub r#as: Option<Name>,
    /// What to do in each round.
    pub steps: Vec<Step>,
}

/// Steps to run at the same time, each in a thread of its own: either `branches`, each with steps of its own, or the same `steps`
/// several `times` or `on` several devices. All begin at once, and the step ends with the last of them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parallel {
    /// Lists of steps, two or more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<Vec<Step>>,
    /// How often to run `steps` at the same time: 1 to 64 times; once on each device of `on` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 4)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub times: Option<Dynamic<Size>>,
    /// The name by which expressions inside know which of the `times` it is, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"thread")]
    pub r#as: Option<Name>,
    /// The devices on which to run `steps` at the same time: `device` is the case's own, the others are its `devices`. Inside, `device` is
    /// the one that the steps are on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["device", "others"])]
    pub on: Vec<Name>,
    /// What each of them does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Step {
    /// The name by which steps inside of its verb know which round it is, with the verb.
    pub fn counts(&self) -> Option<(&'static str, &Name)> {
        let repeat = self.repeat.as_ref().and_then(|repeat| Some(("repeat", repeat.r#as.as_ref()?)));
        repeat.or_else(|| self.parallel.as_ref().and_then(|parallel| Some(("parallel", parallel.r#as.as_ref()?))))
    }

    /// The lists of steps that its verbs hold, each with its place in a step at `at`.
    pub fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        let repeat = self.repeat.iter().map(|repeat| (at.join("repeat").join("steps"), repeat.steps.as_slice()));
        let parallel = self.parallel.iter().flat_map(|parallel| {
            let at = at.join("parallel");
            let lists = parallel.branches.iter().enumerate();
            let lists: Vec<_> =
                lists.map(|(index, steps)| (at.join("branches").join(index), steps.as_slice())).collect();
            lists.into_iter().chain([(at.join("steps"), parallel.steps.as_slice())])
        });
        repeat.chain(parallel).collect()
    }
}

/// A step, wherever it stands.
pub struct Placed<'a> {
    /// The step.
    pub step: &'a Step,
    /// Where it is written.
    pub path: Path,
    /// How many steps hold it.
    pub depth: usize,
}

/// All steps of a list that stands at `at`, and those that they hold, in the order in which each runs first.
pub fn every_step<'a>(steps: &'a [Step], at: &Path) -> Vec<Placed<'a>> {
    fn collect<'a>(steps: &'a [Step], at: &Path, depth: usize, all: &mut Vec<Placed<'a>>) {
        for (index, step) in steps.iter().enumerate() {
            let path = at.join(index);
            let nested = step.nested(&path);
            all.push(Placed { step, path, depth });
            nested.into_iter().for_each(|(at, steps)| collect(steps, &at, depth + 1, all));
        }
    }
    let mut all = Vec::new();
    collect(steps, at, 0, &mut all);
    all
}

/// How many steps run, where the scenario says how many; what is computed counts once.
pub fn steps_run(steps: &[Step]) -> u64 {
    steps.iter().fold(0, |sum, step| {
        let repeat = step.repeat.as_ref().map(|repeat| &repeat.times);
        let times = repeat.or(step.parallel.as_ref().and_then(|parallel| parallel.times.as_ref()));
        let times = times.and_then(Dynamic::literal).map_or(1, |times| times.0);
        let inside: u64 = step.nested(&Path::root()).into_iter().map(|(_, steps)| steps_run(steps)).sum();
        sum.saturating_add(inside.saturating_mul(times)).saturating_add(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{NoArguments, text::path::Segment};

    fn info() -> Step {
        Step { device_info: Some(NoArguments {}), ..Step::default() }
    }

    fn repeat(times: u64, steps: Vec<Step>) -> Step {
        let repeat = Repeat { times: Dynamic::Is(Size(times)), r#as: None, steps };
        Step { repeat: Some(Box::new(repeat)), ..Step::default() }
    }

    #[test]
    fn steps_are_met_in_the_order_in_which_they_run() {
        let steps = [info(), repeat(2, vec![info(), repeat(3, vec![info()])]), info()];
        let places: Vec<String> =
            every_step(&steps, &Path::root().join("steps")).iter().map(|s| s.path.to_string()).collect();
        assert_eq!(
            places,
            [
                "steps[0]",
                "steps[1]",
                "steps[1].repeat.steps[0]",
                "steps[1].repeat.steps[1]",
                "steps[1].repeat.steps[1].repeat.steps[0]",
                "steps[2]"
            ]
        );
        assert_eq!(every_step(&steps, &Path::root())[4].path.segments().last(), Some(&Segment::Index(0)));
    }

    #[test]
    fn rounds_multiply() {
        // Once the outer one, twice what it holds: a step, the inner one, and three times its step.
        assert_eq!(steps_run(&[repeat(2, vec![info(), repeat(3, vec![info()])])]), 1 + 2 * (1 + 1 + 3));
        assert_eq!(steps_run(&[repeat(u64::MAX, vec![repeat(u64::MAX, vec![info()])])]), u64::MAX);
    }
}
