// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case's steps one after the other, with those that other steps hold.

use crate::language::verb::{Fit, Key};
use crate::language::{Dynamic, Path, Step};

/// The most steps that a case may run, with every round of a `repeat`: a stranger's scenario must come to an end.
pub const MOST_STEPS: u64 = 1_000_000;
/// How many steps may hold one another.
pub const DEEPEST: usize = 8;

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
        let nested = step.nested(&Path::root());
        if nested.is_empty() {
            return sum.saturating_add(1);
        }
        let times = step.keys().find_map(|(_, key)| match key {
            Key::Size(Dynamic::Is(times), Fit::Rounds | Fit::Threads) => Some(times.0),
            _ => None,
        });
        let times = times.unwrap_or(1);
        let inside: u64 = nested.into_iter().map(|(_, steps)| steps_run(steps)).sum();
        sum.saturating_add(inside.saturating_mul(times)).saturating_add(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{
        Size,
        text::path::Segment,
        verb::{DeviceInfo, NoArguments, Repeat},
    };

    fn info() -> Step {
        DeviceInfo(NoArguments {}).into()
    }

    fn repeat(times: u64, steps: Vec<Step>) -> Step {
        Repeat { times: Dynamic::Is(Size(times)), r#as: None, steps }.into()
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
