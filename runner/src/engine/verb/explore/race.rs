// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that two threads make at the same time, and the orders of these calls that explain the answers.
//!
//! TYPE1 holds one lock for the whole of a map or an unmap (`iommu->lock` in drivers/vfio/vfio_iommu_type1.c), so that such calls are as if
//! made one after the other. IOMMUFD promises the same for each mapping by itself, except that an unmap may fail with `EBUSY`
//! (`iopt_unmap_iova_range` in drivers/iommu/iommufd/io_pagetable.c). So no unmap here is about more than one mapping.

use std::{sync::Barrier, thread};

use super::{
    Explorer,
    call::Call,
    errno_name,
    ground::{Ground, Place, State},
    steps::written,
};
use crate::{
    backend::Access,
    engine::{
        failure::{End, Problem},
        leaves,
    },
    language::{Dynamic, Outcome, Size},
    model::{Errno, Random, code::Code},
};

/// How often two threads make calls at the same time in each sequence.
pub const EACH_SEQUENCE: u64 = 2;
/// How often a sequence with such calls is made again where something was wrong.
pub const AGAIN: usize = 20;
/// How many calls a thread makes.
const EACH: usize = 2;
/// How many pages are free from the first one on where the threads map.
const ROOM: u64 = 8;

/// What a thread does with a range.
#[derive(Debug, Clone, Copy, PartialEq, Hash)]
pub enum Raced {
    /// Maps the region there, from this offset on.
    Map {
        offset: u64,
    },
    Unmap,
}

/// What two threads do at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Hash)]
pub struct Race {
    /// The region that they map.
    pub region: usize,
    /// Where each of them maps and unmaps: the same range, or one beside the other.
    iovas: [u64; 2],
    size: u64,
    /// What each does, in this order.
    threads: [[Option<Raced>; EACH]; 2],
}

/// What a call gave: the bytes that it reports, if it reports any.
pub type Got = Result<Option<u64>, Errno>;

impl Race {
    /// Makes up what two threads do where nothing is mapped; `None` where there is no such place near.
    pub fn made_up(random: &mut Random, ground: &Ground, state: &State) -> Option<Race> {
        let page = ground.model.page;
        let is_usual = |region: &usize| {
            let memory = &ground.memory[*region];
            memory.alone && memory.writable && !memory.collapses && memory.page == page && memory.size >= ROOM * page
        };
        let region = (0..ground.memory.len()).find(is_usual)?;
        let range = random.pick(&ground.ranges);
        let first = match random.below(4) {
            0 => range.start,
            1 => range.last.checked_sub(2 * ROOM * page)? & !(page - 1),
            _ => (16 << 20) + page * random.below(1 << 11),
        };
        let last = first.checked_add(ROOM * page - 1)?;
        let is_within = ground.ranges.iter().any(|range| range.start <= first && last <= range.last);
        let is_free = state.mappings(Place::Own).overlapping(first, last).next().is_none();
        if state.device != Some(Place::Own) || !is_within || !is_free {
            return None;
        }
        let size = page * (1 + random.below(ROOM / 2));
        let iovas = [first, if random.one_in(2) { first } else { first + size }];
        let offset = |random: &mut Random| page * random.below((ground.memory[region].size - size) / page + 1);
        let mut one = |usual: bool| {
            let maps = if random.one_in(4) { !usual } else { usual };
            Some(if maps { Raced::Map { offset: offset(random) } } else { Raced::Unmap })
        };
        let threads = [[one(true), one(false)], [one(true), one(false)]];
        Some(Race { region, iovas, size, threads })
    }

    /// Whether there are two threads with something to do, and nothing in their way.
    pub fn is_possible(&self, state: &State) -> bool {
        let [first, second] = self.iovas;
        let last = first.max(second) + (self.size - 1);
        let is_free = state.mappings(Place::Own).overlapping(first, last).next().is_none();
        state.device == Some(Place::Own) && is_free && self.calls().iter().all(|calls| !calls.is_empty())
    }

    /// The calls of each thread.
    pub fn calls(&self) -> [Vec<Call>; 2] {
        let Race { region, iovas, size, threads } = *self;
        let call = |iova: u64, raced: Raced| match raced {
            Raced::Map { offset } => {
                let (access, place) = (Access::READ_WRITE, Place::Own);
                Call::Map { region, offset, iova, size, access, place, file: false, fails: 0 }
            }
            Raced::Unmap => Call::Unmap { iova, size, place: Place::Own },
        };
        [0, 1].map(|thread| threads[thread].into_iter().flatten().map(|raced| call(iovas[thread], raced)).collect())
    }

    /// The IOVAs that it is about: the first, and how many.
    pub fn range(&self) -> (u64, u64) {
        let [first, second] = self.iovas;
        (first, second - first + self.size)
    }

    /// The same with a call less.
    pub fn plainer(&self) -> Vec<Race> {
        let places = (0..2).flat_map(|thread| (0..EACH).map(move |call| (thread, call)));
        let without = |(thread, call): (usize, usize)| {
            let mut fewer = *self;
            fewer.threads[thread][call].take().map(|_| fewer)
        };
        let fewer = places.filter_map(without);
        fewer.filter(|race| race.calls().iter().all(|calls| !calls.is_empty())).collect()
    }

    /// What each call may come to, over all orders.
    fn outcomes(&self, ground: &Ground, state: &State) -> [Vec<Outcome>; 2] {
        let threads = self.calls();
        let mut all = [0, 1].map(|thread: usize| vec![Vec::new(); threads[thread].len()]);
        for order in orders([threads[0].len(), threads[1].len()]) {
            let (mut state, mut next) = (state.clone(), [0, 0]);
            for thread in order {
                let call = threads[thread][next[thread]];
                let outcome = call.outcome(ground, &state);
                call.enter(ground, &mut state, &outcome);
                all[thread][next[thread]].push(outcome);
                next[thread] += 1;
            }
        }
        let busy = ground.model.busy().is_some() && self.iovas[0] == self.iovas[1];
        let one = |(call, outcomes): (&Call, Vec<Outcome>)| match &outcomes[0] {
            _ if busy && matches!(call, Call::Unmap { .. }) => Outcome::Either,
            first if outcomes.iter().all(|outcome| outcome == first) => first.clone(),
            _ => Outcome::Either,
        };
        let [first, second] = all;
        [(0, first), (1, second)].map(|(thread, all): (usize, _)| threads[thread].iter().zip(all).map(one).collect())
    }

    /// Both threads as a step, with what is expected of each call, whatever the order.
    pub fn yaml(&self, ground: &Ground, state: &State) -> String {
        let outcomes = self.outcomes(ground, state);
        let mut text = "parallel:\n  branches:".to_owned();
        for (calls, outcomes) in self.calls().iter().zip(outcomes) {
            for (index, (call, outcome)) in calls.iter().zip(outcomes).enumerate() {
                for (step, _) in call.steps(ground, state) {
                    let step = written(&step, &outcome).replace('\n', "\n        ");
                    text += &format!("\n    {} - {step}", if index == 0 { "-" } else { " " });
                }
            }
        }
        text
    }
}

impl Explorer<'_, '_, '_, '_> {
    /// Has two threads make their calls at the same time. An order of these has to explain the answers, and what is in the page table then.
    pub(super) fn race(&mut self, race: Race) -> Result<(), End> {
        let Some(open) = self.step.case.opened.get(self.step.case.current) else { return Err(self.step.not_open()) };
        let (threads, iommu) = (race.calls(), open.session.iommu());
        let (barrier, memory) = (Barrier::new(threads.len()), &self.ground.memory);
        let make = |call: &Call| match *call {
            Call::Map { region, offset, iova, size, access, .. } => {
                iommu.map(memory[region].vaddr + offset, iova, size, access).map(|()| None)
            }
            Call::Unmap { iova, size, .. } => iommu.unmap(iova, size).map(Some),
            _ => unreachable!("threads map and unmap"),
        };
        let all = |calls: &[Call]| {
            barrier.wait();
            calls.iter().map(make).collect::<Vec<Got>>()
        };
        let got = thread::scope(|scope| {
            let second = scope.spawn(|| all(&threads[1]));
            let first = all(&threads[0]);
            [first, second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))]
        });
        self.step.case.found.checks += got.iter().map(Vec::len).sum::<usize>() as u32;
        let explained = explanations(&self.ground, &self.state, &threads, &got);
        let space = leaves::own(&open);
        let before = self.step.case.ledger.clone();
        let mut end = self.unexplained(&threads, &got);
        for (made, state) in explained {
            let case = &mut *self.step.case;
            case.ledger = before.clone();
            for (call, got) in made {
                match (call, got) {
                    (Call::Map { iova, size, access, .. }, Ok(_)) => case.ledger.mapped(space, iova, size, access),
                    (Call::Unmap { iova, size, .. }, Ok(Some(bytes))) => {
                        _ = case.ledger.unmapped(space, iova, size, bytes);
                    }
                    _ => case.ledger.changed(),
                }
            }
            self.state = state;
            let (first, size) = race.range();
            self.pinned(Place::Own, (first, first + (size - 1)))?;
            match self.compare(Some((first, size)), false) {
                Ok(()) => return Ok(()),
                Err(wrong) => end = wrong,
            }
        }
        Err(end)
    }

    /// What is wrong where no order of the calls of two threads explains what they gave.
    fn unexplained(&self, threads: &[Vec<Call>; 2], got: &[Vec<Got>; 2]) -> End {
        let one = |(call, got): (&Call, &Got)| {
            let (what, iova, size) = match *call {
                Call::Map { iova, size, .. } => ("map", iova, size),
                Call::Unmap { iova, size, .. } => ("unmap", iova, size),
                _ => unreachable!("threads map and unmap"),
            };
            let got = match got {
                Ok(None) => "success".to_owned(),
                Ok(Some(bytes)) => Size(*bytes).to_string(),
                Err(errno) => errno_name(*errno),
            };
            format!("{what} of {} at {iova:#x} gave {got}", Size(size))
        };
        let thread =
            |(calls, got): (&Vec<Call>, &Vec<Got>)| calls.iter().zip(got).map(one).collect::<Vec<_>>().join(", ");
        let both = threads.iter().zip(got).map(thread).collect::<Vec<_>>();
        let title = format!("no order of the calls of two threads explains what they gave: {}; {}", both[0], both[1]);
        End::Failed(Problem::new(Code::Outcome, self.at.clone(), title))
    }
}

/// Every order of the calls of two threads, by which thread makes its next one.
fn orders(left: [usize; 2]) -> Vec<Vec<usize>> {
    let first = |thread: usize| {
        let mut rest = left;
        rest[thread] -= 1;
        orders(rest).into_iter().map(move |order| [vec![thread], order].concat())
    };
    match left {
        [0, 0] => vec![Vec::new()],
        _ => (0..2).filter(|thread| left[*thread] > 0).flat_map(first).collect(),
    }
}

/// The orders that explain what the calls gave, of which each leaves something else: the calls with what they gave, and what is there then.
pub fn explanations(
    ground: &Ground,
    state: &State,
    threads: &[Vec<Call>; 2],
    got: &[Vec<Got>; 2],
) -> Vec<(Vec<(Call, Got)>, State)> {
    let mut all: Vec<(Vec<(Call, Got)>, State)> = Vec::new();
    for order in orders([threads[0].len(), threads[1].len()]) {
        let (mut state, mut next, mut made) = (state.clone(), [0, 0], Vec::new());
        let fits = order.into_iter().all(|thread| {
            let (call, got) = (threads[thread][next[thread]], got[thread][next[thread]]);
            next[thread] += 1;
            made.push((call, got));
            let meets =
                threads[1 - thread].iter().any(|other| other.range(Some(Place::Own)) == call.range(Some(Place::Own)));
            if matches!(call, Call::Unmap { .. })
                && meets
                && got.err().is_some_and(|errno| ground.model.busy() == Some(errno))
            {
                return true;
            }
            let outcome = call.outcome(ground, &state);
            call.enter(ground, &mut state, &outcome);
            match (outcome, got) {
                (Outcome::Ok, Ok(_)) => true,
                (Outcome::Bytes(Dynamic::Is(Size(bytes))), Ok(reported)) => reported == Some(bytes),
                (Outcome::Errno(errnos), Err(errno)) => errnos.contains(&errno),
                _ => false,
            }
        });
        if fits && all.iter().all(|(_, known)| *known != state) {
            all.push((made, state));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::ground::Memory;
    use super::*;
    use crate::backend::{IovaRange, Model, Rules};
    use crate::model::BackendName;

    const PAGE: u64 = 4096;

    fn ground(backend: BackendName) -> Ground {
        let memory = Memory {
            name: "small".to_owned(),
            vaddr: 1 << 40,
            size: 64 * PAGE,
            page: PAGE,
            writable: true,
            renews: true,
            collapses: false,
            file: false,
            alone: true,
        };
        let ranges = vec![IovaRange { start: 0, last: 0xffff_ffff_ffff }];
        let (aperture, model) = (ranges.clone(), Model { rules: Rules::of(backend), old: false, page: PAGE });
        let (giant, slow, whole, dma) = (None, false, None, Err("no pack has it".to_owned()));
        Ground { backend, model, memory: vec![memory], ranges, aperture, giant, slow, whole, dma }
    }

    fn race(iovas: [u64; 2], threads: [[Option<Raced>; EACH]; 2]) -> Race {
        Race { region: 0, iovas, size: PAGE, threads }
    }

    const MAP: Option<Raced> = Some(Raced::Map { offset: 0 });
    const UNMAP: Option<Raced> = Some(Raced::Unmap);
    const EEXIST: Got = Err(Errno(libc::EEXIST));
    const ENOENT: Got = Err(Errno(libc::ENOENT));
    const EBUSY: Got = Err(Errno(libc::EBUSY));

    fn left(backend: BackendName, race: &Race, got: [&[Got]; 2]) -> Vec<u64> {
        let found = explanations(&ground(backend), &State::new(), &race.calls(), &got.map(<[Got]>::to_vec));
        found.into_iter().map(|(_, state)| state.mappings(Place::Own).bytes() / PAGE).collect()
    }

    #[test]
    fn answers_are_right_if_an_order_explains_them() {
        use BackendName::{Iommufd, VfioType1v2};
        let both_map = race([0x10000; 2], [[MAP, UNMAP], [MAP, None]]);
        let gone = Ok(Some(PAGE));
        // The second thread maps before the first one, between its calls, or after them.
        assert_eq!(left(VfioType1v2, &both_map, [&[EEXIST, gone], &[Ok(None)]]), [0]);
        assert_eq!(left(VfioType1v2, &both_map, [&[Ok(None), gone], &[EEXIST]]), [0]);
        assert_eq!(left(VfioType1v2, &both_map, [&[Ok(None), gone], &[Ok(None)]]), [1]);
        for wrong in [
            [&[Ok(None), Ok(Some(0))][..], &[EEXIST]],
            [&[EEXIST, gone], &[EEXIST]],
            [&[Ok(None), ENOENT], &[Ok(None)]],
            [&[Ok(None), EBUSY], &[Ok(None)]],
        ] {
            assert!(left(VfioType1v2, &both_map, wrong).is_empty(), "{wrong:?}");
        }
        // IOMMUFD may refuse to unmap what another thread is about.
        assert_eq!(left(Iommufd, &both_map, [&[Ok(None), EBUSY], &[EEXIST]]), [1]);
        let apart = race([0x10000, 0x11000], [[MAP, UNMAP], [MAP, None]]);
        assert_eq!(left(Iommufd, &apart, [&[Ok(None), gone], &[Ok(None)]]), [1]);
        for wrong in [[&[Ok(None), EBUSY][..], &[Ok(None)]], [&[Ok(None), gone], &[EEXIST]]] {
            assert!(left(Iommufd, &apart, wrong).is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_made_up_is_about_the_same_range_or_about_neighbours() {
        for backend in BackendName::ALL {
            let (ground, mut random, state) = (ground(backend), Random::new(3), State::new());
            let made: Vec<Race> = (0..200).filter_map(|_| Race::made_up(&mut random, &ground, &state)).collect();
            let same = made.iter().filter(|race| race.iovas[0] == race.iovas[1]).count();
            assert!(same > 30 && made.len() - same > 30, "{backend}: {same} of {}", made.len());
            for race in made {
                assert!(race.is_possible(&state), "{race:?}");
                assert_eq!(race.plainer().len(), 4);
            }
        }
    }

    #[test]
    fn a_scenario_says_of_each_call_what_every_order_has_in_common() {
        let apart = race([0x10000, 0x11000], [[MAP, UNMAP], [MAP, None]]);
        let text = apart.yaml(&ground(BackendName::Iommufd), &State::new());
        let expected = "parallel:\n  branches:\n    - - map: { region: small, iova: 0x10000, size: 4KiB }\n      - unmap: { iova: 0x10000, size: 4KiB }\n        \
                        expect: { bytes: 4KiB }\n    - - map: { region: small, iova: 0x11000, size: 4KiB }";
        assert_eq!(text, expected);
        let same = race([0x10000; 2], [[MAP, None], [MAP, None]]);
        assert_eq!(same.yaml(&ground(BackendName::Iommufd), &State::new()).matches("expect: either").count(), 2);
    }
}
