// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was wrong, with as few calls as show it, as a scenario.

use std::time::{Duration, Instant};

use super::{Call, Explorer, Place, SEQUENCE, State, other, race, shorten::shorten, steps::written};
use crate::{
    engine::failure::End,
    host::facts,
    language::{Outcome, Region},
    model::count,
};

/// How long a sequence that shows something is made shorter.
const SHORTENING: Duration = Duration::from_secs(180);
/// Calls among which threads race are made again until they are this many.
const MOST: usize = 2000;
/// How often a scenario has two threads make their calls.
const ROUNDS: u32 = 100;

/// What is wrong with calls.
struct Wrong {
    /// How many of them it takes.
    length: usize,
    /// The calls after them that show it.
    last: Vec<Call>,
    end: End,
}

impl Explorer<'_, '_, '_, '_> {
    /// Makes these calls on a device that is opened anew; where threads race several times, because the failure may need luck, but no longer
    /// than many calls take. Returns what is wrong the first time that something is.
    fn again(&mut self, calls: &[Call]) -> Result<Option<Wrong>, End> {
        let times = if calls.iter().any(Call::is_race) { (MOST / calls.len()).clamp(1, race::AGAIN) } else { 1 };
        for _ in 0..times {
            if let Some(wrong) = self.once_again(calls)? {
                return Ok(Some(wrong));
            }
        }
        Ok(None)
    }

    /// Makes these calls on a device that is opened anew. Returns how many it took until something was wrong, the calls that were made after
    /// them, and what is wrong.
    fn once_again(&mut self, calls: &[Call]) -> Result<Option<Wrong>, End> {
        self.close()?;
        self.begin()?;
        self.log = self.log.take().and_then(|mut log| log.forget().is_ok().then_some(log));
        (self.step.case.steps_run, self.copies.refused) = (0, false);
        let wrong = |length: usize, last: Vec<Call>, end: End| match end {
            End::Failed(_) => Ok(Some(Wrong { length, last, end })),
            end => Err(end),
        };
        // All of the page table, so that few calls end with the one that made it wrong; many would take too long.
        let all = calls.len() as u64 <= SEQUENCE;
        for (index, call) in calls.iter().enumerate() {
            if let Err(end) = self.take(*call, all).and_then(|()| self.logged()) {
                return wrong(index + 1, Vec::new(), end);
            }
        }
        if let Err((last, end)) = self.clean() {
            return wrong(calls.len(), last, end);
        }
        self.reopened().map_or_else(|end| wrong(calls.len(), Vec::new(), end), |()| Ok(None))
    }

    /// Makes the calls that led to a failure as few and as plain as they can be, and keeps them as a scenario.
    pub(super) fn found(&mut self, mut calls: Vec<Call>, end: End) -> End {
        if !matches!(end, End::Failed(_)) {
            return end;
        }
        let until = Instant::now() + SHORTENING;
        // Where the device cannot be opened anew, what is known is told.
        let before = std::mem::take(&mut self.before);
        let mut again = self.again(&calls).ok().flatten();
        // What is wrong with memory may come of calls before these, and show only when it is mapped again.
        if again.is_none() && !before.is_empty() {
            let all: Vec<Call> = before.into_iter().chain(calls.iter().copied()).collect();
            again = self.again(&all).ok().flatten();
            if again.is_some() {
                calls = all;
            }
        }
        // What happens without two threads needs no luck.
        let alone: Vec<Call> = calls.iter().copied().filter(|call| !call.is_race()).collect();
        if alone.len() < calls.len()
            && let Some(wrong) = self.again(&alone).ok().flatten()
        {
            (calls, again) = (alone, Some(wrong));
        }
        let is_sure = again.is_some();
        let mut end = again.map_or(end, |wrong| {
            calls.truncate(wrong.length);
            wrong.end
        });
        if is_sure {
            let fails = |fewer: &[Call]| match Instant::now() > until {
                true => Ok(None),
                false => Ok(self.again(fewer)?.map(|wrong| wrong.length)),
            };
            _ = shorten(&mut calls, fails);
            // Once more, so that the calls that are told are those of the scenario.
            _ = self.step.case.tracer.take();
            if let Some(wrong) = self.again(&calls).ok().flatten() {
                end = wrong.end;
                let needed = |call: &Call| match call {
                    Call::UnmapAll { .. } => !call.is_on_other() || calls.iter().any(Call::is_on_other),
                    other => other.region().is_none_or(|region| calls.iter().any(|call| call.region() == Some(region))),
                };
                let last: Vec<Call> = wrong.last.into_iter().filter(needed).collect();
                calls.extend(last);
            }
        }
        self.observed();
        let steps = count(calls.len(), "step");
        let note = match is_sure {
            true => format!("the scenario below has the {steps} that it takes"),
            false => format!(
                "it did not happen again: the scenario below has the {steps} that were made since everything was unmapped"
            ),
        };
        let title = match &end {
            End::Failed(problem) | End::Error(problem) => problem.what.title.as_str(),
            End::Skipped(reason) => reason,
        };
        self.step.case.found.scenario = Some(self.scenario(&calls, title));
        end.help(note)
    }

    /// The calls as a scenario: what each has to come to is what the model says, whatever the kernel does.
    pub(super) fn scenario(&self, calls: &[Call], title: &str) -> String {
        let case = &*self.step.case;
        let mut state = State::new();
        // What is there before the first call.
        let mut steps = Vec::new();
        if calls.iter().any(Call::is_on_other) {
            steps.push(written(&other(), &Outcome::Ok));
        }
        let has =
            |name: &str| calls.iter().any(|call| call.region().is_some_and(|of| self.ground.memory[of].name == name));
        for memory in self.collapsing().filter(|memory| has(&memory.name)) {
            steps.push(format!("madvise: {{ region: {}, advice: hugepage }}", memory.name));
        }
        let (mut refuses, mut races) = (false, false);
        for call in calls.iter() {
            if call.is_possible(&self.ground, &state) {
                refuses |= call.reached(&self.ground, &state).is_some_and(|reached| !reached.is_let);
                let outcome = call.outcome(&self.ground, &state);
                match call {
                    // How much that is depends on which thread was first.
                    Call::UnmapAll { .. } if races => {
                        let unmap = call.steps(&self.ground, &state);
                        steps.extend(unmap.iter().map(|(step, _)| written(step, &Outcome::Ok)));
                    }
                    _ => steps.extend(call.yaml(&self.ground, &state)),
                }
                races |= call.is_race();
                call.enter(&self.ground, &mut state, &outcome);
            }
        }
        // Which thread is first is luck, so that is tried often, each time with nothing mapped.
        if races && !calls.iter().any(Call::is_on_other) {
            let unmap = Call::UnmapAll { place: Place::Own };
            if calls.last() != Some(&unmap) {
                steps.extend(unmap.steps(&self.ground, &state).iter().map(|(step, _)| written(step, &Outcome::Either)));
            }
            steps = vec![format!("repeat:\n  times: {ROUNDS}\n  steps:\n{}", list(&steps, 4).trim_end())];
        }
        let steps = list(&steps, 6);
        let (written, _) = case.plan.case(case.planned);
        // A region without a use is a mistake in a scenario.
        let is_mapped = has;
        let is_used = |name: &str| {
            let shared = |(other, region): (&str, &Region)| {
                region.of.as_ref().is_some_and(|of| of.0 == name) && is_mapped(other)
            };
            is_mapped(name) || written.regions.iter().any(shared)
        };
        let mut regions = String::new();
        let texts = written.regions.iter().zip(&self.regions);
        for ((name, _), text) in texts.filter(|((name, _), _)| is_used(name)) {
            let text: String = text.lines().map(|line| format!("        {line}\n")).collect();
            regions += &format!("      {name}:\n{text}");
        }
        if !regions.is_empty() {
            regions = format!("    regions:\n{regions}");
        }
        let expects = if refuses { "    kernel_log: { expect: iommu_fault }\n" } else { "" };
        let backend = case.planned.backend;
        format!(
            "# `vfiospec explore` made this up, with the seed {} on Linux {}:\n# {title}\n\
             name: found_{}_{}\nsummary: Steps that `explore` found, as few as show it.\nbackends: [{backend}]\ncases:\n  \
             - name: sequence\n{expects}{regions}    steps:\n{steps}",
            self.seed,
            facts::kernel(),
            backend,
            self.seed,
        )
    }
}

/// Steps as a YAML list, indented by `depth` spaces.
fn list(steps: &[String], depth: usize) -> String {
    let indent = " ".repeat(depth);
    let line = |(index, line): (usize, &str)| format!("{indent}{}{line}\n", if index == 0 { "- " } else { "  " });
    steps.iter().flat_map(|step| step.lines().enumerate().map(line)).collect()
}
