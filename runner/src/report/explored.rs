// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of `explore` that may fail with any of several errnos, where backends or kernels do not fail with the same one. Neither is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::event::{Explored, Free};
use crate::report::run::{Full, Run};
use crate::report::words::Shared;

/// A case that explored.
struct Side {
    case: u32,
    environment: usize,
    backend: String,
    explored: Explored,
}

/// What is told once, however many calls show it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    verb: String,
    may: Vec<String>,
    /// Each errno, with who gave it.
    answers: Vec<(String, Vec<String>)>,
    /// Where that is so; nothing where it is everywhere.
    place: String,
}

/// The calls that show a kind.
struct Calls {
    first: String,
    times: usize,
    cases: BTreeSet<u32>,
}

/// Each way in which answers differ, in a line, with the cases that show it.
pub fn differences(run: &Run) -> io::Result<Vec<Shared<String>>> {
    let mut groups: BTreeMap<_, Vec<Side>> = BTreeMap::new();
    for (number, case) in (0..).zip(&run.cases).filter(|(_, case)| case.explored) {
        let suite = run.suite(case);
        let Full { planned, result } = run.full(case)?;
        let Some(explored) = result.explored else { continue };
        let backend = result.true_backend.unwrap_or(planned.backend);
        let side = Side { case: number, environment: suite.environment, backend, explored };
        let group = (suite.pack.clone(), suite.scenario.clone(), suite.device.clone(), case.name.clone());
        groups.entry(group).or_default().push(side);
    }
    let label = |environment: usize| run.environments[environment].label.clone();
    let (mut kinds, mut others) = (BTreeMap::new(), BTreeSet::new());
    for sides in groups.values() {
        for backend in sides.iter().map(|side| &side.backend).collect::<BTreeSet<_>>() {
            let of: Vec<&Side> = sides.iter().filter(|side| side.backend == *backend).collect();
            compare(&of, |side| label(side.environment), &format!("on {backend}, "), &mut kinds);
            if of.windows(2).any(|pair| pair[0].explored.calls != pair[1].explored.calls) {
                others.extend(of.iter().map(|side| side.case));
            }
        }
        for environment in sides.iter().map(|side| side.environment).collect::<BTreeSet<_>>() {
            let of: Vec<&Side> = sides.iter().filter(|side| side.environment == environment).collect();
            let place = match label(environment) {
                label if label.is_empty() => label,
                label => format!("on {label}, "),
            };
            compare(&of, |side| side.backend.clone(), &place, &mut kinds);
        }
    }
    let mut all: Vec<Shared<String>> =
        kinds.into_iter().map(|(kind, calls)| (told(&kind, &calls), calls.cases.into_iter().collect())).collect();
    if !others.is_empty() {
        let text = "the kernels were not given the same calls throughout, as they differ in what can be mapped or done; only equal calls are \
                    compared";
        all.push((text.to_owned(), others.into_iter().collect()));
    }
    Ok(all)
}

/// Finds the calls that these had in common and that they answered otherwise, each as the others may, too.
fn compare(sides: &[&Side], name: impl Fn(&Side) -> String, place: &str, kinds: &mut BTreeMap<Kind, Calls>) {
    let mut calls: BTreeMap<_, Vec<(&Side, &Free)>> = BTreeMap::new();
    for &side in sides {
        for free in &side.explored.free {
            calls.entry((free.sequence, free.call, &free.step)).or_default().push((side, free));
        }
    }
    for ((_, _, step), given) in calls {
        let everywhere = |errno: &String| given.iter().all(|(_, free)| free.may.contains(errno));
        let mut answers: BTreeMap<&String, Vec<String>> = BTreeMap::new();
        for (side, free) in given.iter().filter(|(_, free)| everywhere(&free.gave)) {
            answers.entry(&free.gave).or_default().push(name(side));
        }
        if answers.len() < 2 {
            continue;
        }
        let may = given[0].1.may.iter().filter(|errno| everywhere(errno)).cloned().collect();
        let kind = Kind {
            verb: step.split(':').next().unwrap_or_default().to_owned(),
            may,
            answers: answers.into_iter().map(|(errno, names)| (errno.clone(), names)).collect(),
            place: place.to_owned(),
        };
        let new = || Calls { first: step.clone(), times: 0, cases: BTreeSet::new() };
        let calls = kinds.entry(kind).or_insert_with(new);
        calls.times += 1;
        calls.cases.extend(given.iter().map(|(side, _)| side.case));
    }
}

fn told(kind: &Kind, calls: &Calls) -> String {
    let answers = kind.answers.iter().map(|(errno, names)| format!("{errno} on {}", names.join(", ")));
    let answers = answers.collect::<Vec<_>>().join("; ");
    let more = match calls.times {
        1 => String::new(),
        times => format!(" ({} more like it)", times - 1),
    };
    format!("{}{} may fail with {}: {answers}{more}", kind.place, calls.first, kind.may.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CaseResult, Event, RunStarted};
    use crate::report::fixture::{finished, passed, planned, started};
    use crate::report::journal::Text;
    use crate::report::merge::Journal;

    fn free(call: u32, step: &str, may: &[&str], gave: &str) -> Free {
        let may = may.iter().map(|errno| (*errno).to_owned()).collect();
        Free { sequence: 1, call, step: step.to_owned(), may, gave: gave.to_owned() }
    }

    fn explored(number: u32, calls: &str, free: Vec<Free>) -> CaseResult {
        CaseResult { explored: Some(Explored { calls: calls.to_owned(), free }), ..passed(number) }
    }

    fn events(started: Event, backends: &[&str], results: Vec<CaseResult>) -> Vec<Event> {
        let planned = (0..).zip(backends).map(|(n, backend)| Event::CasePlanned(planned(n, "s", backend, "sequences")));
        let results = results.into_iter().map(Event::CaseFinished);
        std::iter::once(started).chain(planned).chain(results).chain([finished(false)]).collect()
    }

    const TWO: &[&str] = &["EINVAL", "EEXIST"];

    #[test]
    fn backends_that_choose_otherwise_are_told_once_with_how_many_calls_show_it() {
        let type1 = vec![
            free(3, "map: { size: 0 }", TWO, "EINVAL"),
            free(4, "map: { size: 1 }", TWO, "EINVAL"),
            free(5, "unmap: { size: 1 }", TWO, "EINVAL"),
            free(6, "map: { size: 2 }", TWO, "EEXIST"),
        ];
        let iommufd = vec![
            free(3, "map: { size: 0 }", TWO, "EEXIST"),
            free(4, "map: { size: 1 }", TWO, "EEXIST"),
            // Nothing else is right there, so that it is no choice.
            free(5, "unmap: { size: 1 }", &["ENOENT", "EEXIST"], "ENOENT"),
            free(6, "map: { size: 2 }", TWO, "EEXIST"),
        ];
        let results = vec![explored(0, "a", type1), explored(1, "b", iommufd)];
        let run = Run::from_events(events(started(), &["vfio_type1_iommu", "iommufd"], results));
        let told = "map: { size: 0 } may fail with EINVAL or EEXIST: EEXIST on iommufd; EINVAL on vfio_type1_iommu (1 more like it)";
        assert_eq!(differences(&run).expect("readable"), [(told.to_owned(), vec![0, 1])]);
    }

    #[test]
    fn kernels_that_choose_otherwise_are_told_and_so_are_calls_that_only_one_was_given() {
        let journal = |kernel: &str, calls: &str, gave: &str| {
            let Event::RunStarted(started) = started() else { unreachable!() };
            let started = Event::RunStarted(RunStarted { kernel: kernel.to_owned(), ..started });
            let results = vec![explored(0, calls, vec![free(3, "map: { size: 0 }", TWO, gave)])];
            let events = events(started, &["iommufd"], results);
            Journal { label: Some(kernel.to_owned()), text: Text::events(events) }
        };
        let differ = |other: &str| {
            let run =
                Run::read(vec![journal("6.12", "a", "EINVAL"), journal("7.3", other, "EEXIST")]).expect("readable");
            differences(&run).expect("readable").into_iter().map(|(text, _)| text).collect::<Vec<_>>()
        };
        let told = "on iommufd, map: { size: 0 } may fail with EINVAL or EEXIST: EEXIST on 7.3; EINVAL on 6.12";
        assert_eq!(differ("a"), [told]);
        assert!(differ("b")[1].starts_with("the kernels were not given the same calls"));
    }
}
