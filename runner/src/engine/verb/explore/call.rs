// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call is: what it has to answer, and what it changes.

use super::ground::{Ground, Place, State};
use super::race::Race;
use crate::backend::{Access, Answer, IovaRange, Mappings, Pages, ToCopy, ToMap};
use crate::language::{Outcome, Size, Step};
use crate::model::Errno;
use crate::uapi::system::page_size;

/// A call by itself: its values need nothing that another one saved, but the objects of IOMMUFD.
#[derive(Debug, Clone, Copy, PartialEq, Hash)]
pub enum Call {
    /// Of the region of this number, from `offset` on.
    Map {
        region: usize,
        offset: u64,
        iova: u64,
        size: u64,
        access: Access,
        place: Place,
        /// Whether it is the region's file that is mapped.
        file: bool,
        /// Which of its allocations fails first, and then each after it, before it is made; 0 if none does.
        fails: u32,
    },
    /// A map at an IOVA that the kernel chooses, which is unmapped again.
    Choose {
        region: usize,
        offset: u64,
        size: u64,
        access: Access,
        place: Place,
    },
    Unmap {
        iova: u64,
        size: u64,
        place: Place,
    },
    UnmapAll {
        place: Place,
    },
    Copy {
        from: u64,
        source: Place,
        iova: u64,
        size: u64,
        access: Access,
        place: Place,
        /// As with a map.
        fails: u32,
    },
    /// The process gets other pages for a part of a region, which devices may have mapped.
    Renew {
        region: usize,
        offset: u64,
        size: u64,
    },
    /// All pages of a region become one huge page, which the kernel does only if nobody holds one of them.
    Collapse {
        region: usize,
    },
    /// The device goes to an address space, or to the page table.
    Attach {
        to: Target,
        short: bool,
    },
    Detach,
    /// A page table is made in an address space.
    MakeTable {
        place: Place,
        short: bool,
    },
    DropTable,
    /// The kernel is told where it may choose IOVAs; anywhere if there is no range.
    Allow {
        place: Place,
        ranges: [Option<IovaRange>; 2],
    },
    /// The option of an address space for pages above the smallest is set.
    HugePages {
        place: Place,
        value: u64,
    },
    /// What can be mapped is asked for.
    Ranges {
        place: Place,
    },
    /// A container begins or ends to record which pages are written.
    Track {
        enable: bool,
    },
    /// A container is asked which pages were written.
    Dirty {
        iova: u64,
        size: u64,
    },
    /// Two threads map and unmap at the same time.
    Beside(Race),
    /// The device copies from one IOVA to another.
    Reach {
        from: u64,
        to: u64,
        /// The memory that is mapped at the second IOVA, or was before.
        before: Pages,
    },
}

/// What a copy by the device has to come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    pub size: u64,
    /// The memory that it reads.
    pub source: Pages,
    /// The memory that it writes to, or has to leave alone.
    pub target: Pages,
    /// Whether the IOMMU lets it.
    pub is_let: bool,
}

/// What the device can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    Space(Place),
    /// The page table that a call made, if there is one.
    Table,
}

impl Target {
    /// The address space that the device is in there.
    fn place(self, state: &State) -> Option<Place> {
        match self {
            Target::Space(place) => Some(place),
            Target::Table => state.table,
        }
    }
}

impl Call {
    /// Whether it can be made: what it names is there.
    pub fn is_possible(&self, ground: &Ground, state: &State) -> bool {
        match self {
            Call::Attach { to: Target::Table, .. } | Call::DropTable => state.table.is_some(),
            Call::MakeTable { .. } => state.table.is_none(),
            Call::Choose { .. } => self.chosen(ground, state).is_some(),
            Call::Reach { .. } => self.reached(ground, state).is_some(),
            Call::Beside(race) => race.is_possible(state),
            Call::Track { .. } | Call::Dirty { .. } => !ground.has_other(),
            _ => true,
        }
    }

    /// What a copy by the device has to come to in this state; `None` where nobody can tell, or for another call.
    pub fn reached(&self, ground: &Ground, state: &State) -> Option<Reached> {
        let Call::Reach { from, to, before } = *self else { return None };
        let size = *ground.dma.as_ref().ok()?;
        let (mappings, last) = (state.mappings(state.device?), |iova: u64| iova.checked_add(size - 1));
        let whole = |iova: u64| {
            let (first, mapped) = mappings.overlapping(iova, last(iova)?).next()?;
            let Pages { list, from } = mapped.pages?;
            let pages = || Pages { list, from: from + (iova - first) };
            (first <= iova && mapped.last >= last(iova)?).then(|| (mapped, pages()))
        };
        let (of_source, source) = whole(from)?;
        let (target, is_let) = match whole(to) {
            Some((mapped, pages)) => (pages, mapped.access.write),
            None if mappings.overlapping(to, last(to)?).next().is_none() => (before, false),
            None => return None,
        };
        let meet = source.list == target.list && source.from.abs_diff(target.from) < size;
        // What was pinned to be read may be a page that the process left when it wrote to it.
        let is_read = of_source.access.read && of_source.writable;
        // Some devices take 0 for no address.
        let fits = from > 0 && to > 0 && is_read && !meet;
        let are_shared = [source, target].into_iter().all(|pages| state.is_shared(ground, pages));
        (fits && are_shared).then_some(Reached { size, source, target, is_let })
    }

    /// What takes it back, if each of its allocations fails once before it is made.
    pub fn undo(&self, state: &State) -> Option<Call> {
        match *self {
            Call::Map { iova, size, place, fails: 1.., .. } | Call::Copy { iova, size, place, fails: 1.., .. } => {
                Some(Call::Unmap { iova, size, place })
            }
            Call::MakeTable { short: true, .. } => Some(Call::DropTable),
            Call::Attach { short: true, .. } => Some(match state.device {
                Some(_) if state.by_table => Call::Attach { to: Target::Table, short: false },
                Some(place) => Call::Attach { to: Target::Space(place), short: false },
                None => Call::Detach,
            }),
            _ => None,
        }
    }

    /// Which of its allocations fails first, if any does.
    pub fn fails_first(&self) -> u32 {
        match *self {
            Call::Map { fails, .. } | Call::Copy { fails, .. } => fails,
            _ => 1,
        }
    }

    /// Whether two threads make it.
    pub fn is_race(&self) -> bool {
        matches!(self, Call::Beside(_))
    }

    /// The step that takes it back, with what that has to come to.
    pub fn undoing(&self, ground: &Ground, state: &State) -> Option<(Step, Outcome)> {
        let undo = self.undo(state)?;
        // No allocation fails in an attach that fails anyway, nor in one within an address space, for now.
        if let Call::Attach { to, .. } = self
            && (self.outcome(ground, state) != Outcome::Ok
                || state.device.is_some_and(|at| to.place(state) == Some(at)))
        {
            return None;
        }
        let (step, _) = undo.steps(ground, state).pop()?;
        let outcome = match undo {
            Call::Unmap { size, .. } => Outcome::Bytes(Size(size).into()),
            _ => Outcome::Ok,
        };
        Some((step, outcome))
    }

    /// Whether it is about the address space that the device was not opened with.
    pub fn is_on_other(&self) -> bool {
        self.on_own() != *self
    }

    /// The region that it is about.
    pub fn region(&self) -> Option<usize> {
        match *self {
            Call::Map { region, .. }
            | Call::Choose { region, .. }
            | Call::Renew { region, .. }
            | Call::Collapse { region } => Some(region),
            Call::Reach { before, .. } => Some(before.list),
            Call::Beside(race) => Some(race.region),
            _ => None,
        }
    }

    /// The IOVAs of the device that it is about: the first, and how many. `device` is where the device is afterwards.
    pub fn range(&self, device: Option<Place>) -> Option<(u64, u64)> {
        match *self {
            Call::Map { iova, size, place, .. }
            | Call::Unmap { iova, size, place }
            | Call::Copy { iova, size, place, .. }
                if device == Some(place) =>
            {
                Some((iova, size))
            }
            Call::Beside(race) if device == Some(Place::Own) => Some(race.range()),
            Call::UnmapAll { place } | Call::Choose { place, .. } if device == Some(place) => Some((0, u64::MAX)),
            Call::Attach { .. } | Call::Detach => Some((0, u64::MAX)),
            _ => None,
        }
    }

    /// What a map has to answer whose IOVA the kernel chooses, if that is known.
    fn chosen(&self, ground: &Ground, state: &State) -> Option<Answer> {
        let Call::Choose { region, offset, size, access, place } = *self else { return None };
        let call = to_map(ground, state, (region, offset), (0, size), access, place);
        state.model(ground, place).map_anywhere(state.whole(place), state.ranges(ground, place), &call)
    }

    /// What it has to answer; the first of its steps, if it has several.
    pub fn outcome(&self, ground: &Ground, state: &State) -> Outcome {
        let bytes = |gone: u64| Outcome::Bytes(Size(gone).into());
        let done = |answer: Answer| answer.map_or_else(Outcome::Errno, |_| Outcome::Ok);
        let model = ground.model;
        match *self {
            Call::Map { region, offset, iova, size, access, place, file, .. } => {
                let mut call = to_map(ground, state, (region, offset), (iova, size), access, place);
                if file {
                    // It begins at the offset, and nobody asks how the process maps it (`iopt_map_file_pages` in drivers/iommu/iommufd/io_pagetable.c).
                    call = ToMap { vaddr: offset, writable: true, ..call };
                }
                done(state.model(ground, place).map(state.mappings(place), state.ranges(ground, place), &call))
            }
            Call::Choose { .. } => self.chosen(ground, state).map_or(Outcome::Either, done),
            Call::Unmap { iova, size, place } => {
                let answer = model.unmap(&mut state.mappings(place).clone(), iova, size);
                answer.map_or_else(Outcome::Errno, bytes)
            }
            Call::UnmapAll { place } => bytes(state.mappings(place).bytes()),
            Call::Copy { from, source, iova, size, access, place, .. } => {
                let call = ToCopy { from, iova, size, access, pins: state.is_reached(place) };
                let mappings = (state.mappings(source), state.mappings(place));
                done(state.model(ground, place).copy(mappings, state.ranges(ground, place), &call))
            }
            Call::Attach { to, .. } => {
                // It stays in an address space that it is in.
                let new = to.place(state).filter(|goes| state.device != Some(*goes));
                new.map_or(Outcome::Ok, |place| done(model.join(state.whole(place), &ground.ranges)))
            }
            Call::MakeTable { place, .. } => {
                let ranges = if state.device == Some(place) { &ground.ranges } else { &ground.aperture };
                done(model.join(state.whole(place), ranges))
            }
            Call::DropTable => done(model.destroy(state.by_table)),
            Call::Allow { place, ranges } => {
                let ranges: Vec<IovaRange> = ranges.into_iter().flatten().collect();
                done(model.allow(state.ranges(ground, place), &ranges))
            }
            Call::HugePages { place, value } => {
                let small = state.of(place).small;
                done(model.small_pages(state.mappings(place), state.is_reached(place), value, small))
            }
            Call::Track { .. } => done(model.track()),
            Call::Dirty { iova, size } => done(model.dirty(state.mappings(Place::Own), iova, size, state.tracked)),
            Call::Renew { .. } | Call::Collapse { .. } | Call::Detach | Call::Ranges { .. } | Call::Beside(_) => {
                Outcome::Ok
            }
            Call::Reach { .. } => match self.reached(ground, state) {
                Some(Reached { is_let: false, .. }) => Outcome::Errno(vec![Errno(libc::EFAULT)]),
                _ => Outcome::Ok,
            },
        }
    }

    /// Enters what it does where it comes to this, which it has to.
    pub fn enter(&self, ground: &Ground, state: &mut State, outcome: &Outcome) {
        let is_done = *outcome == Outcome::Ok;
        match *self {
            Call::Map { region, offset, iova, size, access, place, file, .. } if is_done => {
                let memory = &ground.memory[region];
                let mappings = &mut state.of_mut(place).mappings;
                mappings.insert(iova, size, access);
                mappings.know(iova, Pages { list: region, from: offset });
                if !is_there(memory.size, offset, size) || access.write && !memory.writable && !file {
                    mappings.unsound(iova);
                }
            }
            Call::Copy { from, source, iova, size, access, place, .. } if is_done => {
                let pieces = state.mappings(source).pieces(from, size, access);
                state.of_mut(place).mappings.insert_pieces(iova, pieces);
            }
            // What it leaves, also where it fails.
            Call::Unmap { iova, size, place } => {
                _ = ground.model.unmap(&mut state.of_mut(place).mappings, iova, size);
            }
            Call::UnmapAll { place } => {
                state.of_mut(place).mappings = Mappings::new();
                let is_empty = Place::ALL.into_iter().all(|place| state.mappings(place).is_empty());
                state.renewed &= !is_empty;
                state.stale &= !is_empty;
            }
            // By one order of several, which all leave what one thread after the other leaves, or part of it.
            Call::Beside(race) => {
                for call in race.calls().concat() {
                    let outcome = call.outcome(ground, state);
                    call.enter(ground, state, &outcome);
                }
            }
            Call::Renew { .. } => state.renewed = true,
            Call::Attach { to, .. } if is_done => {
                (state.device, state.by_table) = match to {
                    Target::Space(place) => (Some(place), false),
                    Target::Table => (state.table, true),
                };
            }
            Call::Detach => (state.device, state.by_table) = (None, false),
            Call::MakeTable { place, .. } if is_done => state.table = Some(place),
            Call::DropTable if is_done => state.table = None,
            Call::Allow { place, ranges } if is_done => {
                state.of_mut(place).allowed = ranges.into_iter().flatten().collect();
            }
            Call::HugePages { place, value } if is_done => state.of_mut(place).small = value == 0,
            Call::Track { enable } if is_done => state.tracked = enable,
            Call::Dirty { iova, size } if is_done => {
                // Where a mapping begins within a word of the caller's bitmap, its own one keeps bits behind its end.
                let word = u64::from(u64::BITS) * page_size();
                let last = iova + (size - 1);
                let within = |(first, _): (u64, _)| (first - iova) % word != 0;
                let is_shifted = state.mappings(Place::Own).overlapping(iova, last).any(within);
                state.stale |= is_shifted;
            }
            _ => {}
        }
    }

    /// The same call in the address space that the device was opened with.
    pub fn on_own(mut self) -> Call {
        match &mut self {
            Call::Map { place, .. }
            | Call::Choose { place, .. }
            | Call::Unmap { place, .. }
            | Call::UnmapAll { place }
            | Call::MakeTable { place, .. }
            | Call::Allow { place, .. }
            | Call::HugePages { place, .. }
            | Call::Ranges { place }
            | Call::Attach { to: Target::Space(place), .. } => *place = Place::Own,
            Call::Copy { source, place, .. } => (*source, *place) = (Place::Own, Place::Own),
            Call::Renew { .. }
            | Call::Collapse { .. }
            | Call::Attach { to: Target::Table, .. }
            | Call::Detach
            | Call::DropTable
            | Call::Track { .. }
            | Call::Dirty { .. }
            | Call::Reach { .. }
            | Call::Beside(_) => {}
        }
        self
    }

    /// The same call with plainer values, those first that say most.
    pub fn plainer(&self) -> Vec<Call> {
        let mut all = Vec::new();
        // No allocation fails, or all of them do, if not just some.
        let fewer = |fails: u32| 0..fails.min(2);
        all.extend(self.is_on_other().then(|| self.on_own()));
        match *self {
            Call::Map { region, offset, iova, size, access, place, file, fails } => {
                let map = |region, offset, access, file, fails| Call::Map {
                    region,
                    offset,
                    iova,
                    size,
                    access,
                    place,
                    file,
                    fails,
                };
                all.extend(fewer(fails).map(|fails| map(region, offset, access, file, fails)));
                if file {
                    all.push(map(region, offset, access, false, fails));
                }
                if offset > 0 {
                    all.push(map(region, 0, access, file, fails));
                }
                if access != Access::READ_WRITE {
                    all.push(map(region, offset, Access::READ_WRITE, file, fails));
                }
                if region > 0 && !file {
                    all.push(map(0, 0, access, false, fails));
                }
            }
            Call::Copy { from, source, iova, size, access, place, fails } => {
                let copy = |access, fails| Call::Copy { from, source, iova, size, access, place, fails };
                all.extend(fewer(fails).map(|fails| copy(access, fails)));
                if access != Access::READ_WRITE {
                    all.push(copy(Access::READ_WRITE, fails));
                }
            }
            Call::Beside(race) => all.extend(race.plainer().into_iter().map(Call::Beside)),
            Call::Attach { to, short: true } => all.push(Call::Attach { to, short: false }),
            Call::MakeTable { place, short: true } => all.push(Call::MakeTable { place, short: false }),
            _ => {}
        }
        all
    }
}

/// A map of a region, from an offset on.
fn to_map(
    ground: &Ground,
    state: &State,
    (region, offset): (usize, u64),
    (iova, size): (u64, u64),
    access: Access,
    place: Place,
) -> ToMap {
    let memory = &ground.memory[region];
    // Where nothing is pinned, nobody looks at the memory.
    let looks = state.is_reached(place);
    let is_there = !looks || is_there(memory.size, offset, size);
    ToMap { iova, size, vaddr: memory.vaddr + offset, access, is_there, writable: !looks || memory.writable }
}

fn is_there(all: u64, offset: u64, size: u64) -> bool {
    all.checked_sub(offset).is_some_and(|rest| size <= rest)
}
