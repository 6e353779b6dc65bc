// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which calls are made: any, and most often those at a boundary, or next to what was mapped or unmapped before.

use super::call::{Call, Target};
use super::ground::{Ground, Memory, Place, State};
use crate::backend::{Access, IovaRange, Mapped, Pages};
use crate::model::{BackendName, Random};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// With more bytes mapped, nothing large is: a page table of small pages takes long to read after every step.
const MOST_BYTES: u64 = MIB;
/// No longer range is asked for the pages that were written: each is told.
const MOST_TOLD: u64 = 64 * MIB;

/// Makes the calls of a sequence up.
struct Generator<'g> {
    random: &'g mut Random,
    ground: &'g Ground,
    /// Addresses at or before which it maps: few, so that mappings come near each other.
    places: Vec<u64>,
    /// What was unmapped last.
    freed: Vec<(u64, u64)>,
    /// The call that has to come next.
    next: Option<Call>,
    /// Whether nothing was mapped yet since the device was opened, so that the page table is as small as it can be.
    anew: bool,
}

/// The mappings of an address space: where each begins, and how long it is.
type Spans = [(u64, u64)];

impl<'g> Generator<'g> {
    /// `anew`: the device was opened just now.
    fn new(random: &'g mut Random, ground: &'g Ground, anew: bool) -> Self {
        let mut generator = Generator { random, ground, places: Vec::new(), freed: Vec::new(), next: None, anew };
        for _ in 0..3 {
            let range = generator.random.pick(&ground.ranges);
            let place = match generator.random.below(8) {
                0 => range.start,
                1 => range.last.wrapping_add(1),
                2 | 3 => (1 + generator.random.below(3)) * GIB,
                4 => range.start.next_multiple_of(2 * MIB),
                // Where no table of the smallest pages is yet, most likely.
                5 => 16 * MIB + 2 * MIB * generator.random.below(1 << 14),
                _ => 16 * MIB + 2 * MIB * generator.random.below(8),
            };
            generator.places.push(place);
        }
        generator
    }

    /// The next call, in this state.
    fn call(&mut self, state: &State) -> Call {
        loop {
            let call = self.next.take().unwrap_or_else(|| self.any_call(state));
            if call.is_possible(self.ground, state) {
                return call;
            }
        }
    }

    fn any_call(&mut self, state: &State) -> Call {
        let spans = |place: Place| -> Vec<(u64, u64)> {
            state.mappings(place).iter().map(|(first, it)| (first, (it.last - first).saturating_add(1))).collect()
        };
        if std::mem::take(&mut self.anew) && self.ground.whole.is_none() && self.random.one_in(2) {
            return self.first();
        }
        let has_other = self.ground.has_other();
        let usual = state.device.unwrap_or(Place::Own);
        let place = if has_other && self.random.one_in(12) { usual.opposite() } else { usual };
        let (mappings, all) = (state.mappings(place), spans(place));
        let is_reached = state.is_reached(place);
        let largest = all.iter().copied().max_by_key(|(_, size)| *size);
        let collapses = self.ground.memory.iter().any(|memory| memory.collapses);
        match self.random.below(100) {
            0 => Call::UnmapAll { place },
            1..45 => self.unmap((place, is_reached), &all),
            45..60 if has_other => {
                let source = if self.random.one_in(8) { place.opposite() } else { place };
                let from = spans(source);
                if from.is_empty() {
                    self.map(state, place, &all)
                } else {
                    let are_reached = is_reached && state.is_reached(source);
                    self.copy((source, &from), place, are_reached, &all)
                }
            }
            // It is not kept long.
            60..80 if mappings.bytes() > MOST_BYTES => {
                largest.map_or(Call::UnmapAll { place }, |(iova, size)| Call::Unmap { iova, size, place })
            }
            80..84 if collapses => self.renew(),
            84..94 if has_other => self.object(state, place),
            84..87 => self.dirty_pages(&all),
            _ if all.len() > 40 => self.unmap((place, is_reached), &all),
            _ if self.random.one_in(16) => self.goes_on(state, place).unwrap_or_else(|| self.map(state, place, &all)),
            _ if self.ground.whole.is_none() && self.random.one_in(32) => self.across_tables(place),
            _ if !self.ground.slow && mappings.bytes() < MOST_BYTES && self.random.one_in(8) => {
                self.fills_up(place, &all).unwrap_or_else(|| self.map(state, place, &all))
            }
            _ => self.map(state, place, &all),
        }
    }

    /// A map into a page table that is as small as it can be, mostly where it takes as many levels as there can be.
    fn first(&mut self) -> Call {
        let (any, size) = (self.random.pick(&self.ground.ranges), self.page());
        let range = if self.random.one_in(2) { any } else { *self.ground.ranges.last().unwrap_or(&any) };
        let iova = if self.random.one_in(4) { range.start } else { range.last - (size - 1) };
        let (iova, size) = self.below_the_end(iova, size);
        let (place, access) = (Place::Own, Access::READ);
        Call::Map { region: 0, offset: 0, iova, size, access, place, file: false, fails: 1 }
    }

    /// A map of a few pages across a border of 2 MiB, most likely where there is no table behind it yet: the first pages may be mapped when the
    /// allocation for the others fails. Where memory is one huge page, one page behind the border is renewed before, so that the IOMMU is given
    /// the two parts one after the other.
    fn across_tables(&mut self, place: Place) -> Call {
        let (page, range) = (self.page(), self.random.pick(&self.ground.ranges));
        let region = self.ground.memory.iter().position(|memory| memory.collapses);
        let length = self.ground.memory[region.unwrap_or(0)].size;
        let (before, behind) = (page * (1 + self.random.below(2)), page * (1 + self.random.below(2)));
        let size = (before + behind).min(length);
        let offset = page * self.random.below((length - size) / page + 1);
        let tables = (range.last - range.start).min(16 * GIB) / (2 * MIB);
        let border = range.start.saturating_add(2 * MIB * (1 + self.random.below(tables.max(1))));
        let iova = border - before;
        let map = Call::Map {
            region: region.unwrap_or(0),
            offset,
            iova,
            size,
            access: self.access(),
            place,
            file: false,
            fails: 1 + self.random.below(10) as u32,
        };
        match region {
            Some(region) => {
                self.next = Some(map);
                Call::Renew { region, offset: offset + before, size: page }
            }
            None => map,
        }
    }

    /// A call about objects of IOMMUFD.
    fn object(&mut self, state: &State, place: Place) -> Call {
        let any = self.random.pick(&Place::ALL);
        let short = self.ground.whole.is_none() && self.random.one_in(16);
        // Where it may choose few, all of them are soon taken.
        if !state.whole(place).allowed.is_empty() && self.random.one_in(3) {
            return self.choose(state, place);
        }
        match self.random.below(24) {
            0..5 => Call::Attach { to: Target::Space(any), short },
            5..8 => Call::Attach { to: Target::Table, short },
            // A device that is nowhere shows nothing.
            8..14 if state.device.is_none() => Call::Attach { to: Target::Space(any), short },
            8 | 9 => Call::Detach,
            10..13 => Call::MakeTable { place: any, short },
            13 | 14 => Call::DropTable,
            15..17 => self.allow(place),
            17 | 18 => Call::HugePages { place: any, value: self.random.pick(&[0, 0, 0, 0, 1, 1, 1, 2]) },
            19 => Call::Ranges { place: any },
            _ => self.choose(state, place),
        }
    }

    /// A map at an IOVA that the kernel chooses: often of a page, which fits as long as one is free where it may choose.
    fn choose(&mut self, state: &State, place: Place) -> Call {
        let is_limited = !state.whole(place).allowed.is_empty();
        match self.map(state, place, &[]) {
            Call::Map { region, offset, size, access, .. } => {
                let size = if is_limited && self.random.one_in(2) { self.page() } else { size };
                Call::Choose { region, offset, size, access, place }
            }
            other => other,
        }
    }

    /// Ranges that the kernel may choose IOVAs from, or none, which is all of them.
    fn allow(&mut self, place: Place) -> Call {
        let mut range = || {
            let page = self.page();
            let size = match self.random.below(4) {
                0 | 1 => page * (1 + self.random.below(4)),
                2 => GIB,
                _ => 16 * MIB * (1 + self.random.below(4)),
            };
            let start = match self.random.below(4) {
                0 => self.random.pick(&self.ground.ranges).last.wrapping_sub(size / 2),
                1 => self.random.pick(&self.ground.ranges).start,
                _ => self.random.pick(&self.places),
            };
            let last = start.saturating_add(size - 1);
            // Each rule is broken now and then.
            if self.random.one_in(16) { IovaRange { start: last, last: start } } else { IovaRange { start, last } }
        };
        let (first, second) = (range(), range());
        let ranges = match self.random.below(3) {
            0 => [None, None],
            1 => [Some(first), None],
            _ => [Some(first), Some(second)],
        };
        Call::Allow { place, ranges }
    }

    /// A call about the pages that devices wrote.
    fn dirty_pages(&mut self, all: &Spans) -> Call {
        if all.is_empty() || self.random.one_in(3) {
            return Call::Track { enable: !self.random.one_in(4) };
        }
        match self.unmap((Place::Own, true), all) {
            Call::Unmap { iova, size, .. } => Call::Dirty { iova, size: size.min(MOST_TOLD) },
            other => other,
        }
    }

    /// A few pages, one by one or in a row.
    fn renew(&mut self) -> Call {
        let page = self.page();
        let regions: Vec<usize> =
            (0..self.ground.memory.len()).filter(|region| self.ground.memory[*region].collapses).collect();
        let region = self.random.pick(&regions);
        let pages = self.ground.memory[region].size / page;
        let first = if self.random.one_in(2) { self.random.below(8) } else { self.random.below(pages) };
        let most = if self.random.one_in(4) { 16 } else { 2 };
        let count = (1 + self.random.below(most)).min(pages - first);
        Call::Renew { region, offset: first * page, size: count * page }
    }

    /// The first allocation of a call on a range fails first, or none does. Each page may take an allocation, so only short calls do;
    /// most often those that may succeed with their first pages, and not with their last.
    fn fails(&mut self, iova: u64, size: u64) -> u32 {
        let crosses = size > 0 && iova / (2 * MIB) != iova.saturating_add(size - 1) / (2 * MIB);
        let fails = self.random.one_in(if crosses { 32 } else { 512 })
            && self.ground.whole.is_none()
            && size <= 4 * self.page();
        u32::from(fails)
    }

    fn page(&self) -> u64 {
        self.ground.model.page
    }

    /// A few pages; sometimes as many as a huge page has, or one more or less.
    fn size(&mut self, most: u64) -> u64 {
        let page = self.page();
        let few = 1 + self.random.below(8);
        let size = match self.random.below(64) {
            0 => 2 * MIB,
            1 => 2 * MIB + page,
            2 => 2 * MIB - page,
            3..20 => page,
            _ => few * page,
        };
        size.min(most)
    }

    /// A map of the memory behind that of a mapping, right behind it, so that one may be taken for a part of the other.
    fn goes_on(&mut self, state: &State, place: Place) -> Option<Call> {
        let all: Vec<(u64, Mapped)> = state.mappings(place).iter().collect();
        let (first, mapped) = *all.get(self.random.below(all.len().max(1) as u64) as usize)?;
        let (Pages { list: region, from }, length) = (mapped.pages?, (mapped.last - first).checked_add(1)?);
        let (offset, iova) = (from + length, first.checked_add(length)?);
        let room = self.ground.memory[region].size.checked_sub(offset).filter(|room| *room > 0)?;
        let size = self.size(room.min(16 * self.page()));
        let (iova, size) = self.below_the_end(iova, size);
        let (access, fails) = (mapped.access, self.fails(iova, size));
        Some(Call::Map { region, offset, iova, size, access, place, file: false, fails })
    }

    /// A map of all that is left of 2 MiB before a mapping or behind it, so that both share a table of the smallest pages.
    fn fills_up(&mut self, place: Place, all: &Spans) -> Option<Call> {
        let (first, length) = *all.get(self.random.below(all.len().max(1) as u64) as usize)?;
        let end = first.checked_add(length)?;
        let (iova, size) = match self.random.one_in(2) {
            true => (first - first % (2 * MIB), first % (2 * MIB)),
            false => (end, end.checked_next_multiple_of(2 * MIB)? - end),
        };
        // In a row, so that one call of the IOMMU takes it away.
        let fits = |memory: &Memory| memory.writable && !memory.collapses && memory.page < GIB && memory.size >= size;
        let region = self.ground.memory.iter().position(fits).filter(|_| size > 0)?;
        let room = self.ground.memory[region].size - size;
        let offset = Some(iova % (2 * MIB)).filter(|offset| *offset <= room && self.random.one_in(2)).unwrap_or(0);
        let (iova, size) = self.below_the_end(iova, size);
        Some(Call::Map { region, offset, iova, size, access: self.access(), place, file: false, fails: 0 })
    }

    fn map(&mut self, state: &State, place: Place, all: &Spans) -> Call {
        let (is_reached, mapped) = (state.is_reached(place), state.mappings(place).bytes());
        let page = self.page();
        if let Some(region) = self.ground.giant
            && mapped < MOST_BYTES
            && self.random.one_in(if self.ground.model.rules.small_pages { 256 } else { 64 })
        {
            return self.giant(region, place, all);
        }
        let is_usual = |region: &usize| self.ground.memory[*region].writable && self.ground.memory[*region].page < GIB;
        let all_of = 0..self.ground.memory.len();
        let usual: Vec<usize> = all_of.clone().filter(is_usual).collect();
        let others: Vec<usize> = all_of.filter(|region| !self.ground.memory[*region].writable).collect();
        // Where there is no device, that memory may not be written is noticed only when one comes.
        let rarely = self.random.one_in(if is_reached { 16 } else { 32 }) || usual.is_empty();
        let region = self.random.pick(if rarely && !others.is_empty() { &others } else { &usual });
        let (length, of_page) = (self.ground.memory[region].size, self.ground.memory[region].page);
        // Pages that are not in a row take an entry each, which all have to be read again and again.
        let is_large = mapped < MOST_BYTES && (!self.ground.memory[region].collapses || self.random.one_in(64));
        let most = if is_large { length } else { length.min(16 * page) };
        let mut size = self.size(most);
        let room = (length - size) / page;
        let mut offset = match self.random.below(4) {
            0 => 0,
            1 => (length - size) / of_page * of_page,
            2 => length - size,
            _ => self.random.below(room + 1) * page,
        };
        let mut iova = self.place(size, all);
        if !is_reached {
            // Without a device there are no pages either, and any address is right.
            iova -= iova % page;
        }
        let mut access = self.access();
        let fails = self.fails(iova, size);
        let file = self.ground.memory[region].file && self.random.one_in(2);
        // Each rule is broken now and then, mostly alone.
        match self.random.below(48) {
            0 => size = 0,
            // The memory ends behind the process, and behind the last address.
            1 if !is_reached => {
                // Wherever it is, so that the same seed makes the same call.
                let (iova, size) = (0, 0u64.wrapping_sub(page * (1 + self.random.below(4))));
                return Call::Map { region, offset: 0, iova, size, access, place, file: false, fails: 0 };
            }
            1..4 if !is_reached => {}
            1 => size -= page / 2,
            2 => offset += page / 2,
            3 => iova = iova.wrapping_add(page / 2),
            4 => iova = 0u64.wrapping_sub(page * self.random.below(2)).wrapping_sub(size / 2 / page * page),
            // A known bug of both compat backends: the page table warns of a mapping without access.
            5 if self.ground.backend == BackendName::Iommufd => access = Access::NONE,
            6 => iova = 0u64.wrapping_sub(size),
            _ => {}
        }
        if offset + size > length || offset >= length {
            offset = 0;
        }
        let (iova, size) = self.below_the_end(iova, size);
        Call::Map { region, offset, iova, size, access, place, file, fails }
    }

    /// A map of a page of 1 GiB, or a large part of it.
    fn giant(&mut self, region: usize, place: Place, all: &Spans) -> Call {
        let (length, huge) = (self.ground.memory[region].size, 2 * MIB);
        let size = match self.random.below(8) {
            0 => huge * (1 + self.random.below(4)),
            1 => length - huge * (1 + self.random.below(4)),
            _ => length,
        };
        let offset = huge * self.random.below((length - size) / huge + 1);
        let iova = match self.random.below(8) {
            0 => self.place(size, all),
            1 | 2 => GIB * (1 + self.random.below(3)) + huge * self.random.below(4),
            _ => GIB * (1 + self.random.below(3)) + offset,
        };
        let (iova, size) = self.below_the_end(iova, size);
        Call::Map { region, offset, iova, size, access: Access::READ_WRITE, place, file: false, fails: 0 }
    }

    /// The range, a page lower where it ends at 2^64 and a device could reach that: those ranges are left out for now.
    fn below_the_end(&self, iova: u64, size: u64) -> (u64, u64) {
        let is_last = size > 0 && iova.checked_add(size - 1) == Some(u64::MAX);
        if is_last && self.ground.has_the_end() { (iova.saturating_sub(self.page()), size) } else { (iova, size) }
    }

    fn access(&mut self) -> Access {
        match self.random.below(8) {
            0 => Access::READ,
            1 => Access::WRITE,
            _ => Access::READ_WRITE,
        }
    }

    /// Where to map: mostly where something begins or ends.
    fn place(&mut self, size: u64, all: &Spans) -> u64 {
        let page = self.page();
        let place = self.random.pick(&self.places);
        let near = |random: &mut Random, all: &Spans| {
            let (first, length) = random.pick(all);
            // Right before it, right behind it, and across its ends by a page.
            let places = [
                first.wrapping_sub(size),
                first.wrapping_add(length),
                first.wrapping_sub(size).wrapping_add(page),
                first.wrapping_add(length).wrapping_sub(page),
                first.wrapping_sub(size).wrapping_sub(page),
                first.wrapping_add(length).wrapping_add(page),
            ];
            random.pick(&places)
        };
        let freed = std::mem::take(&mut self.freed);
        let place = match self.random.below(16) {
            0..5 if !all.is_empty() => near(self.random, all),
            5..8 if !freed.is_empty() => self.random.pick(&freed).0,
            8 => place.wrapping_sub(size),
            9 => place.wrapping_sub(size).wrapping_add(page * (1 + self.random.below(3))),
            10..13 => place,
            _ => place.wrapping_add(page * self.random.below(24)),
        };
        self.freed = freed;
        place
    }

    fn unmap(&mut self, (place, is_reached): (Place, bool), all: &Spans) -> Call {
        let page = self.page();
        if all.is_empty() || self.random.one_in(16) {
            let size = self.size(u64::MAX);
            return Call::Unmap { iova: self.place(size, all), size, place };
        }
        let index = self.random.below(all.len() as u64) as usize;
        let (first, length) = all[index];
        let unit = if length >= 16 * MIB && self.random.one_in(2) { 2 * MIB } else { page };
        let pages = length / unit;
        let (mut iova, mut size) = match self.random.below(16) {
            0..7 => (first, length),
            // A part: its first pages, its last ones, or some in the middle.
            7 => (first, unit * (1 + self.random.below(pages))),
            8 => {
                let skipped = unit * self.random.below(pages);
                (first + skipped, length - skipped)
            }
            9 => {
                let skipped = self.random.below(pages);
                (first + skipped * unit, unit * (1 + self.random.below(pages - skipped)))
            }
            // It and some before or behind, or one page too many or too few.
            10 => (first.saturating_sub(page), length + page),
            11 => (first, length + page),
            12 => (first.saturating_sub(page), length),
            _ => {
                let last = all[(index + self.random.below(4) as usize).min(all.len() - 1)];
                (first, (last.0 - first).wrapping_add(last.1))
            }
        };
        match self.random.below(64) {
            0 => size = 0,
            1 | 2 if !is_reached => {}
            1 => size = size.saturating_sub(page / 2),
            2 => iova += page / 2,
            3 => size = 0u64.wrapping_sub(iova),
            4 => size = 0u64.wrapping_sub(iova).wrapping_add(page),
            _ => {}
        }
        if size > 0 {
            self.freed.push((iova, size));
            if self.freed.len() > 8 {
                self.freed.remove(0);
            }
        }
        Call::Unmap { iova, size, place }
    }

    /// `are_reached`: a device reaches both address spaces.
    fn copy(&mut self, (source, sources): (Place, &Spans), place: Place, are_reached: bool, all: &Spans) -> Call {
        let page = self.page();
        let index = self.random.below(sources.len() as u64) as usize;
        let (first, length) = sources[index];
        let pages = length / page;
        let (mut from, mut size) = match self.random.below(8) {
            0..3 => (first, length),
            3..6 => {
                let skipped = self.random.below(pages);
                (first + skipped * page, page * (1 + self.random.below((pages - skipped).min(16))))
            }
            6 => (first, length + page),
            _ => {
                let last = sources[(index + 1).min(sources.len() - 1)];
                (first, (last.0 - first).wrapping_add(last.1))
            }
        };
        size = size.min(MIB);
        let mut iova = self.place(size, all);
        if !are_reached {
            // Without a device there are no pages either, and any address is right.
            iova -= iova % page;
        }
        let mut access = self.access();
        let fails = self.fails(iova, size);
        match self.random.below(48) {
            0 => size = 0,
            // What has no page is cut by one, and what is cut there has none either.
            1..4 if !are_reached => {}
            1 => size -= page / 2,
            2 => from += page / 2,
            3 => iova += page / 2,
            4 => access = Access::NONE,
            5 => size = 0u64.wrapping_sub(from).wrapping_add(page),
            _ => {}
        }
        let (iova, size) = self.below_the_end(iova, size);
        Call::Copy { from, source, iova, size, access, place, fails }
    }
}

/// What makes nothing be mapped any more, with the device where it was at first, and shows that nobody holds a page.
pub fn last_calls(ground: &Ground, state: &State) -> Vec<Call> {
    let places = Place::ALL.into_iter().filter(|place| *place == Place::Own || ground.has_other());
    let mut calls: Vec<Call> = places.clone().map(|place| Call::UnmapAll { place }).collect();
    for place in places {
        let space = state.of(place);
        calls.extend((!space.allowed.is_empty()).then_some(Call::Allow { place, ranges: [None, None] }));
        calls.extend(space.small.then_some(Call::HugePages { place, value: 1 }));
    }
    if state.device != Some(Place::Own) || state.by_table {
        calls.push(Call::Attach { to: Target::Space(Place::Own), short: false });
    }
    calls.extend(state.table.map(|_| Call::DropTable));
    calls.extend(state.tracked.then_some(Call::Track { enable: false }));
    let regions = (0..ground.memory.len()).filter(|region| ground.memory[*region].collapses);
    calls.extend(regions.map(|region| Call::Collapse { region }));
    calls
}

/// The calls of a sequence that begins with these random numbers and nothing mapped: those that are made if the kernel does what the model
/// says.
pub fn ahead(random: &mut Random, ground: &Ground, anew: bool, length: u64) -> Vec<Call> {
    let mut state = State::new();
    let mut generator = Generator::new(random, ground, anew);
    let mut call = || {
        let call = generator.call(&state);
        let outcome = call.outcome(ground, &state);
        call.enter(ground, &mut state, &outcome);
        call
    };
    (0..length).map(|_| call()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::copies::{reaches, unmapped_after};
    use super::*;
    use crate::backend::{Model, Rules};
    use crate::language::{ByBackend, Dynamic, Outcome, Problems, Size, Step, decode, parse, verb::Verb};
    use crate::model::Errno;

    const RANGES: [IovaRange; 2] =
        [IovaRange { start: 0, last: 0xfedf_ffff }, IovaRange { start: 0xfef0_0000, last: 0xffff_ffff_ffff }];

    fn ground(backend: BackendName) -> Ground {
        let memory = |name: &str, pages: u64, writable| Memory {
            name: name.to_owned(),
            vaddr: 1 << 40,
            size: pages * 4096,
            page: 4096,
            writable,
            renews: true,
            collapses: writable,
            file: writable && backend == BackendName::Iommufd,
            alone: true,
        };
        let aperture = vec![IovaRange { start: 0, last: 0xffff_ffff_ffff }];
        let model = Model { rules: Rules::of(backend), old: false, page: 4096 };
        let memory = vec![memory("small", 64, true), memory("read_only", 4, false)];
        Ground {
            backend,
            model,
            memory,
            ranges: RANGES.to_vec(),
            aperture,
            giant: None,
            slow: false,
            whole: None,
            dma: Ok(1024),
        }
    }

    /// The calls of a sequence, each with the state before it and what it has to come to, if the kernel does what the model says.
    fn made_up(ground: &Ground, seed: u64, length: u64) -> Vec<(Call, State, Outcome)> {
        let mut state = State::new();
        let calls = ahead(&mut Random::new(seed), ground, seed.is_multiple_of(8), length);
        let mut last = None;
        let mut enter = |call: Call| {
            let (before, outcome) = (state.clone(), call.outcome(ground, &state));
            call.enter(ground, &mut state, &outcome);
            last = Some(state.clone());
            (call, before, outcome)
        };
        let made = calls.into_iter().map(&mut enter).collect();
        // Whatever they were, everything can be as it was at first.
        let mut state = last.expect("a sequence has calls");
        for call in last_calls(ground, &state.clone()) {
            let outcome = call.outcome(ground, &state);
            assert!(!matches!(outcome, Outcome::Errno(_)), "{call:?}: {outcome}");
            call.enter(ground, &mut state, &outcome);
        }
        assert_eq!(state, State::new());
        made
    }

    #[test]
    fn the_same_seed_makes_the_same_calls() {
        let ground = ground(BackendName::Iommufd);
        assert_eq!(made_up(&ground, 7, 300), made_up(&ground, 7, 300));
        assert_ne!(made_up(&ground, 7, 300), made_up(&ground, 8, 300));
    }

    #[test]
    fn what_is_made_up_succeeds_often_and_breaks_every_rule() {
        for backend in BackendName::ALL {
            let calls: Vec<_> = (0..200).flat_map(|seed| made_up(&ground(backend), seed, 100)).collect();
            let share = |of: &dyn Fn(&Outcome) -> bool| {
                calls.iter().filter(|(_, _, outcome)| of(outcome)).count() * 100 / calls.len()
            };
            let succeeds = share(&|outcome| !matches!(outcome, Outcome::Errno(_)));
            assert!((50..95).contains(&succeeds), "{backend}: {succeeds} of 100 succeed");
            let unmaps = share(&|outcome| matches!(outcome, Outcome::Bytes(Dynamic::Is(Size(1..)))));
            assert!(unmaps > 15, "{backend}: {unmaps} of 100 unmap something");
            let of_iommufd = [libc::EADDRINUSE, libc::EBUSY, libc::ENOSPC, libc::EPERM];
            let all = [libc::EINVAL, libc::EEXIST, libc::EFAULT, libc::EOVERFLOW];
            let of_iommufd = of_iommufd.into_iter().filter(|_| backend == BackendName::Iommufd);
            for errno in all.into_iter().chain(of_iommufd) {
                let alone = Outcome::Errno(vec![Errno(errno)]);
                let with = |outcome: &Outcome| {
                    *outcome == alone || errno == libc::EOVERFLOW && outcome.to_string().contains("EOVERFLOW")
                };
                assert!(calls.iter().any(|(_, _, outcome)| with(outcome)), "{backend}: {alone}");
            }
        }
    }

    #[test]
    fn every_call_of_iommufd_is_made_with_both_answers() {
        let ground = ground(BackendName::Iommufd);
        let calls: Vec<_> = (0..500).flat_map(|seed| made_up(&ground, seed, 100)).collect();
        let made = |of: &dyn Fn(&Call, &State) -> bool, is_done: bool| {
            calls
                .iter()
                .filter(|(call, state, outcome)| of(call, state) && (*outcome == Outcome::Ok) == is_done)
                .count()
        };
        type Kind<'k> = (&'k dyn Fn(&Call, &State) -> bool, &'k str);
        let kinds: [Kind; 10] = [
            (&|call, _| matches!(call, Call::MakeTable { .. }), "table"),
            (&|call, _| matches!(call, Call::DropTable), "drop"),
            (&|call, state| matches!(call, Call::Attach { .. }) && state.device.is_none(), "attach"),
            (&|call, state| matches!(call, Call::Attach { .. }) && state.device.is_some(), "replace"),
            (&|call, _| matches!(call, Call::Attach { to: Target::Table, .. }), "attach to a table"),
            (&|call, _| matches!(call, Call::Allow { .. }), "allow"),
            (&|call, _| matches!(call, Call::HugePages { .. }), "huge pages"),
            (&|call, _| matches!(call, Call::Choose { .. }), "choose"),
            (&|call, _| matches!(call, Call::Map { file: true, .. }), "map a file"),
            (&|call, _| matches!(call, Call::Copy { source: Place::Other, place: Place::Own, .. }), "copy"),
        ];
        for (is, what) in kinds {
            assert!(made(is, true) > 5 && made(is, false) > 0, "{what}: {} and {}", made(is, true), made(is, false));
        }
        assert!(
            made(&|call, state| matches!(call, Call::Map { .. }) && state.device == Some(Place::Other), true) > 100
        );
        assert!(made(&|call, state| matches!(call, Call::Unmap { .. }) && state.by_table, false) > 100);
    }

    /// After a sequence of these calls, the copies by the device that are made up, each with the state.
    fn copied(ground: &Ground, seed: u64) -> (Vec<Call>, State) {
        let (mut random, mut state, mut gone) = (Random::new(seed), State::new(), Vec::new());
        for call in ahead(&mut random, ground, false, 99) {
            let (before, outcome) = (state.clone(), call.outcome(ground, &state));
            call.enter(ground, &mut state, &outcome);
            gone.extend(before.seen().filter(|(first, _)| state.seen().all(|(still, _)| still != *first)));
        }
        (reaches(&mut random, ground, &state, &gone), state)
    }

    #[test]
    fn every_backend_can_make_the_calls_that_are_made_up_for_all() {
        let of_seed = |backend, seed| ahead(&mut Random::new(seed), &ground(backend).common(), true, 100);
        let made = |backend: BackendName| (0..20).map(|seed| of_seed(backend, seed)).collect::<Vec<_>>();
        for backend in BackendName::ALL {
            assert_eq!(made(backend), made(BackendName::Iommufd));
            let ground = ground(backend);
            let is_free = |outcome: &Outcome| matches!(outcome, Outcome::Errno(errnos) if errnos.len() > 1);
            let mut free = 0;
            for calls in made(backend) {
                let mut state = State::new();
                for call in calls.into_iter().filter(|call| call.is_possible(&ground, &State::new())) {
                    let outcome = call.outcome(&ground, &state);
                    free += usize::from(is_free(&outcome));
                    call.enter(&ground, &mut state, &outcome);
                }
            }
            assert!(free > 20, "{backend}: {free} may fail with one of several");
        }
    }

    #[test]
    fn a_device_copies_to_what_it_reaches_and_to_what_it_reached_before() {
        for backend in BackendName::ALL {
            let mut ground = ground(backend);
            // Pages of it that the process gives up may be others than the device has.
            ground.memory[0].collapses = false;
            let (mut let_through, mut refused) = (0, 0);
            for (calls, state) in (0..100).map(|seed| copied(&ground, seed)) {
                for call in calls {
                    let reached = call.reached(&ground, &state).expect("it is known what it comes to");
                    let Call::Reach { from, to, .. } = call else { panic!("{call:?}") };
                    let at = |iova: u64| state.seen().find(|(first, it)| (*first..=it.last).contains(&iova));
                    assert!(at(from).is_some_and(|(_, it)| it.access.read), "{call:?}");
                    assert_eq!(at(to).is_some_and(|(_, it)| it.access.write), reached.is_let, "{call:?}");
                    if reached.is_let {
                        let_through += 1
                    } else {
                        refused += 1
                    };
                    // Not without the mappings that it is about.
                    assert!(!call.is_possible(&ground, &State::new()));
                    let unknown = Ground { dma: Err("no pack has it".into()), ..ground.clone() };
                    assert!(!call.is_possible(&unknown, &state));
                }
            }
            assert!(let_through > 20 && refused > 20, "{backend}: {let_through} and {refused}");
        }
    }

    #[test]
    fn what_a_device_reached_is_unmapped_and_copied_to_again() {
        for backend in BackendName::ALL {
            let (mut ground, mut random, mut made) = (ground(backend), Random::new(1), 0);
            ground.memory[0].collapses = false;
            for (calls, mut state) in (0..100).map(|seed| copied(&ground, seed)) {
                let is_let = |call: &Call| call.reached(&ground, &state).is_some_and(|reached| reached.is_let);
                let Some(copy) = calls.into_iter().find(is_let) else { continue };
                let Some([unmap, again]) = unmapped_after(&mut random, &ground, &state, copy) else { continue };
                let outcome = unmap.outcome(&ground, &state);
                unmap.enter(&ground, &mut state, &outcome);
                assert!(again.reached(&ground, &state).is_some_and(|reached| !reached.is_let), "{again:?}");
                let target = |call: Call| if let Call::Reach { to, .. } = call { Some(to) } else { None };
                assert_eq!(target(again), target(copy));
                made += 1;
            }
            assert!(made > 20, "{backend}: {made}");
        }
    }

    #[test]
    fn ranges_that_end_at_2_64_are_left_out() {
        for backend in BackendName::ALL {
            let ranges =
                vec![IovaRange { start: 0, last: 0xfedf_ffff }, IovaRange { start: 0xfef0_0000, last: u64::MAX }];
            let ground = Ground { ranges: ranges.clone(), aperture: ranges, ..ground(backend) };
            let calls = (0..200).flat_map(|seed| made_up(&ground, seed, 100));
            let at_the_end = calls.filter_map(|(call, _, outcome)| match call {
                Call::Map { iova, size: size @ 1.., .. } if outcome == Outcome::Ok => iova.checked_add(size - 1),
                _ => None,
            });
            let ends: Vec<u64> = at_the_end.filter(|last| *last > u64::MAX - 4096 * 16).collect();
            assert!(!ends.is_empty(), "{backend}");
            assert!(!ends.contains(&u64::MAX), "{backend}");
        }
    }

    #[test]
    fn the_yaml_of_a_call_is_its_step() {
        for backend in BackendName::ALL {
            let ground = ground(backend);
            let by_device = |seed: u64| {
                let (calls, state) = copied(&ground, seed);
                calls.into_iter().map(move |call| (call, state.clone(), Outcome::Ok))
            };
            for (call, state, _) in
                (0..100).flat_map(|seed| made_up(&ground, seed, 100).into_iter().chain(by_device(seed)))
            {
                let expected: Vec<Step> = call.steps(&ground, &state).into_iter().map(expecting).collect();
                let text = call.yaml(&ground, &state);
                assert!(!text.is_empty());
                let read = |text: &String| -> Step {
                    let mut problems = Problems::new();
                    decode(&parse(text).expect("YAML"), &mut problems).unwrap_or_else(|| panic!("{text}: {problems:?}"))
                };
                let mut steps: Vec<Step> = text.iter().map(read).collect();
                if let [Step { verb: Verb::FailNth(failing), .. }] = steps.as_slice() {
                    let undone = expecting(call.undoing(&ground, &state).expect("it is taken back"));
                    assert_eq!(failing.undo, [undone], "{text:?}");
                    steps = failing.steps.clone();
                }
                assert_eq!(steps, expected, "{text:?}");
            }
        }
    }

    fn expecting((step, outcome): (Step, Outcome)) -> Step {
        let expect = (outcome != Outcome::Ok).then(|| ByBackend::All(outcome.into()));
        Step { expect, ..step }
    }
}
