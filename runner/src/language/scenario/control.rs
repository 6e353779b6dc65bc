// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case's steps one after the other, with those that other steps hold.

use crate::language::verb::{Fit, Key};
use crate::language::{Dynamic, Path, Step};
use crate::model::BackendName;

/// The most steps that a case may run, with every round of a `repeat`: a stranger's scenario must come to an end.
pub const MOST_STEPS: u64 = 1_000_000;
/// How many steps may hold one another.
pub const DEEPEST: usize = 8;

/// A step, wherever it stands.
#[derive(Clone)]
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

/// Those of a case's steps that run on a backend: neither the step itself nor one that holds it leaves the backend out.
pub fn steps_on<'a>(all: &[Placed<'a>], backend: BackendName) -> Vec<Placed<'a>> {
    let mut outside: Option<usize> = None;
    let runs = |placed: &&Placed| {
        if outside.is_some_and(|depth| placed.depth > depth) {
            return false;
        }
        outside = (!placed.step.runs_on(backend)).then_some(placed.depth);
        outside.is_none()
    };
    all.iter().filter(runs).cloned().collect()
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
        Pattern, Size,
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
    fn what_a_step_holds_runs_where_the_step_does() {
        let of = |pattern: &str, step: Step| Step { backends: Some(vec![Pattern(pattern.to_owned())]), ..step };
        let steps = [of("vfio_*", repeat(2, vec![info(), of("*v2*", info())])), info(), of("iommufd", info())];
        let all = every_step(&steps, &Path::root());
        let places =
            |backend| -> Vec<String> { steps_on(&all, backend).iter().map(|placed| placed.path.to_string()).collect() };
        assert_eq!(places(BackendName::VfioType1), ["[0]", "[0].repeat.steps[0]", "[1]"]);
        assert_eq!(places(BackendName::VfioType1v2), ["[0]", "[0].repeat.steps[0]", "[0].repeat.steps[1]", "[1]"]);
        assert_eq!(places(BackendName::Iommufd), ["[1]", "[2]"]);
    }

    #[test]
    fn rounds_multiply() {
        // Once the outer one, twice what it holds: a step, the inner one, and three times its step.
        assert_eq!(steps_run(&[repeat(2, vec![info(), repeat(3, vec![info()])])]), 1 + 2 * (1 + 1 + 3));
        assert_eq!(steps_run(&[repeat(u64::MAX, vec![repeat(u64::MAX, vec![info()])])]), u64::MAX);
    }
}
