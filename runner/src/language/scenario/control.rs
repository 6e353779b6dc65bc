//! Steps that hold other steps, and a case's steps one after the other, wherever they stand.

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
    pub times: Dynamic<Size>,
    /// The name by which expressions inside know how many rounds are done: 0 in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"round")]
    pub r#as: Option<Name>,
    /// What to do in each round.
    pub steps: Vec<Step>,
}

impl Step {
    /// The lists of steps that its verbs hold, each with its place in a step at `at`.
    pub fn nested(&self, at: &Path) -> Vec<(Path, &[Step])> {
        let repeat = self.repeat.iter().map(|repeat| (at.join("repeat").join("steps"), repeat.steps.as_slice()));
        repeat.collect()
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
        let times = step.repeat.as_ref().and_then(|repeat| repeat.times.literal()).map_or(1, |times| times.0);
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
        Step { repeat: Some(Repeat { times: Dynamic::Is(Size(times)), r#as: None, steps }), ..Step::default() }
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
