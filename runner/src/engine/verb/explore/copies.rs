// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the device reaches: now and then it copies memory, by the procedures of its pack.

use std::thread;

use super::{
    Explorer,
    call::Call,
    ground::{Ground, Memory, State},
};
use crate::{
    backend::{Access, Mapped, Pages},
    engine::{
        failure::End,
        observers::PATIENCE,
        procedure,
        verb::{
            reach::{misfit, most_of},
            running::Running,
        },
    },
    language::{Name, Ordered, Outcome, Step, verb},
    model::Random,
    uapi::system::page_size,
};

/// After this many calls the device copies memory: under emulation each copy takes as long as hundreds of calls.
const COPIES: u64 = 4000;
/// How many sequences before the end of a case the device may copy for the last time.
pub const LAST: u64 = 3;
/// How many mappings that are gone are remembered.
const GONE: usize = 16;

/// When the device copies memory, and what it reached.
#[derive(Debug, Default)]
pub struct Copies {
    /// How often it did.
    pub made: u64,
    /// How many calls were made since.
    pub calls: u64,
    /// Whether it did so for the last time.
    at_end: bool,
    /// Whether the IOMMU had to refuse one just now, so that faults are in the kernel's log.
    pub refused: bool,
    /// What it reached since everything was unmapped, and does not reach any more.
    pub gone: Vec<(u64, Mapped)>,
}

impl Explorer<'_, '_, '_, '_> {
    /// How many bytes the device copies at once, at most a page, or why nobody knows how it copies.
    pub(super) fn most_copied(&mut self) -> Result<Result<u64, String>, End> {
        const LIMITS: &str = "limits";
        if let Err(why) = can_copy(self.step) {
            return Ok(Err(why));
        }
        let call = verb::Call { procedure: Name("dma_limits".to_owned()), with: Ordered::default() };
        self.run(Step { save: Some(Name(LIMITS.to_owned())), ..call.into() }, Outcome::Ok)?;
        let most = self.step.case.scope.get(LIMITS).and_then(most_of);
        Ok(most.map(|most| most.min(page_size())).ok_or_else(|| "`dma_limits` of its pack gives no `most`".to_owned()))
    }

    /// Remembers what the device reached before a call and does not reach any more.
    pub(super) fn note_gone(&mut self, before: &State) {
        if self.ground.dma.is_err() {
            return;
        }
        let still = |first: u64, mapped: Mapped| self.state.seen().any(|now| now == (first, mapped));
        let gone = &mut self.copies.gone;
        gone.extend(before.seen().filter(|(first, mapped)| !still(*first, *mapped)));
        gone.drain(..gone.len().saturating_sub(GONE));
    }

    /// Has the device copy memory, if it is time to, and adds these calls to those that were made.
    pub(super) fn copy(&mut self, random: &mut Random, is_last: bool, calls: &mut Vec<Call>) -> Result<(), End> {
        if self.copies.calls < COPIES && (!is_last || self.copies.at_end) {
            return Ok(());
        }
        let mut made = reaches(random, &self.ground, &self.state, &self.copies.gone);
        let is_let = |call: &Call| call.reached(&self.ground, &self.state).is_some_and(|reached| reached.is_let);
        // No case ends without a copy that has to arrive.
        if is_last && !made.iter().any(is_let) {
            for map in two_pages(&self.ground, &self.state) {
                calls.push(map);
                self.take(map, false)?;
            }
            made = reaches(random, &self.ground, &self.state, &self.copies.gone);
        }
        let unmapped = made.iter().find_map(|call| unmapped_after(random, &self.ground, &self.state, *call));
        for call in made.into_iter().chain(unmapped.into_iter().flatten()) {
            if let Call::Reach { .. } = call {
                self.copies.made += 1;
                (self.copies.calls, self.copies.at_end) = (0, is_last);
            }
            calls.push(call);
            self.take(call, false)?;
        }
        Ok(())
    }

    /// Waits until the faults of refused copies are in the kernel's log. The log may have no others after that.
    pub(super) fn faults_are_over(&mut self) -> Result<(), End> {
        if self.copies.refused {
            thread::sleep(PATIENCE);
            self.logged()?;
            self.copies.refused = false;
        }
        Ok(())
    }
}

/// Whether a pack has the procedures with which the device copies memory, or why not.
fn can_copy(step: &Running) -> Result<(), String> {
    let case = &*step.case;
    let kind = case.devices.kind(case.current);
    verb::COPYING.iter().try_for_each(|(name, given)| {
        let found = procedure::find(case.plan, case.planned, name, None, kind, &step.planned.at);
        let (pack, found) = found.map_err(|end| match end {
            End::Skipped(why) => why,
            End::Failed(problem) | End::Error(problem) => problem.what.title,
        })?;
        misfit(pack, found, name, given).map_or(Ok(()), Err)
    })
}

/// Maps of two pages that the device can copy between.
fn two_pages(ground: &Ground, state: &State) -> Vec<Call> {
    let page = ground.model.page;
    let fits = |memory: &Memory| {
        memory.alone && memory.writable && !memory.collapses && memory.page == page && memory.size >= 2 * page
    };
    let (Some(region), Some(place)) = (ground.memory.iter().position(fits), state.device) else { return Vec::new() };
    let map = |offset: u64, iova: u64| {
        let access = Access::READ_WRITE;
        Call::Map { region, offset, iova, size: page, access, place, file: false, fails: 0 }
    };
    let all =
        state.ranges(ground, place).iter().flat_map(|range| (1..64).map(|n| range.start.saturating_add(2 * n * page)));
    let free: Vec<u64> = all.filter(|iova| map(0, *iova).outcome(ground, state) == Outcome::Ok).take(2).collect();
    (0..).zip(free).map(|(number, iova)| map(number * page, iova)).collect()
}

/// After a copy that reached its memory: an unmap of that memory, and the same copy again, which the IOMMU has to refuse although it has just
/// looked the IOVA up.
pub fn unmapped_after(random: &mut Random, ground: &Ground, state: &State, copy: Call) -> Option<[Call; 2]> {
    let Call::Reach { to, before, .. } = copy else { return None };
    let is_target = |(first, mapped): &(u64, Mapped)| (*first..=mapped.last).contains(&to);
    let (iova, target) = state.seen().find(is_target)?;
    let unmap = Call::Unmap { iova, size: target.last - iova + 1, place: state.device? };
    let mut after = state.clone();
    unmap.enter(ground, &mut after, &unmap.outcome(ground, state));
    let mut others: Vec<(u64, Mapped)> = after.seen().collect();
    while !others.is_empty() {
        let (from, _) = others.swap_remove(random.below(others.len() as u64) as usize);
        let again = Call::Reach { from, to, before };
        if again.reached(ground, &after).is_some_and(|reached| !reached.is_let) {
            return Some([unmap, again]);
        }
    }
    None
}

/// Copies by the device: one that reaches its memory, and one that the IOMMU has to refuse. `gone` is what the device reached before.
pub fn reaches(random: &mut Random, ground: &Ground, state: &State, gone: &[(u64, Mapped)]) -> Vec<Call> {
    /// How often a copy is made up until it fits.
    const TRIES: usize = 64;
    let Ok(size) = ground.dma else { return Vec::new() };
    let (there, unit) = (state.seen().collect::<Vec<_>>(), ground.model.page);
    // Any of its pages, and the last bytes of that.
    let place = |random: &mut Random, (first, mapped): (u64, Mapped)| {
        let pages = ((mapped.last - first) / unit).saturating_add(1);
        (first + unit * random.below(pages)).saturating_add(unit.saturating_sub(size))
    };
    let mut find = |is_let: bool| {
        let before = if is_let { &[] } else { gone };
        let targets: Vec<(u64, Mapped)> = there.iter().chain(before).copied().collect();
        (0..TRIES).filter(|_| !there.is_empty()).find_map(|_| {
            let target = random.pick(&targets);
            let (from, to) = (random.pick(&there), place(random, target));
            let Pages { list, from: offset } = target.1.pages?;
            let before = Pages { list, from: offset + (to - target.0) };
            let call = Call::Reach { from: place(random, from), to, before };
            call.reached(ground, state).filter(|reached| reached.is_let == is_let).map(|_| call)
        })
    };
    [find(true), find(false)].into_iter().flatten().collect()
}
