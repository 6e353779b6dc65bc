// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which calls are made: any, and most often those at a boundary, or next to what was mapped or unmapped before.

use crate::backend::{Access, Answer, IovaRange, Mappings, Model, Rules, ToCopy, ToMap};
use crate::engine::ledger::{Ledger, Space};
use crate::language::verb::{self, IoasCopy, Map, Unmap, UnmapAll, Where};
use crate::language::{Dynamic, Name, Outcome, Size, Step};
use crate::model::{BackendName, Random};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// With more bytes mapped, nothing large is: a page table of small pages takes long to read after every step.
const MOST_BYTES: u64 = MIB;

/// A call by itself: its values need nothing that another one saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Call {
    /// Of the region of this number, from `offset` on.
    Map {
        region: usize,
        offset: u64,
        iova: u64,
        size: u64,
        access: Access,
    },
    Unmap {
        iova: u64,
        size: u64,
    },
    UnmapAll,
    Copy {
        from: u64,
        iova: u64,
        size: u64,
        access: Access,
    },
}

/// A region that is mapped.
#[derive(Debug, Clone)]
pub struct Memory {
    pub name: String,
    pub vaddr: u64,
    pub size: u64,
    pub page: u64,
    /// Whether the process may write to it.
    pub writable: bool,
}

/// What calls are made on.
#[derive(Debug, Clone)]
pub struct Ground {
    pub backend: BackendName,
    pub memory: Vec<Memory>,
    pub ranges: Vec<IovaRange>,
}

impl Ground {
    /// Whether a range that ends at 2^64 could be mapped.
    pub fn has_the_end(&self) -> bool {
        self.ranges.iter().any(|range| range.last == u64::MAX)
    }
}

impl Call {
    /// The step that makes it.
    pub fn step(&self, ground: &Ground) -> Step {
        let is = |number: u64| Dynamic::Is(Size(number));
        match *self {
            Call::Map { region, offset, iova, size, access } => {
                let memory = &ground.memory[region];
                let part = memory.size.checked_sub(offset) != Some(size);
                Map {
                    region: Name(memory.name.clone()),
                    iova: Some(Where::At(is(iova))),
                    size: part.then(|| is(size)),
                    offset: (offset > 0).then(|| is(offset)),
                    access: word(access),
                    ioas: None,
                }
                .into()
            }
            Call::Unmap { iova, size } => Unmap { iova: is(iova), size: is(size), ioas: None }.into(),
            Call::UnmapAll => UnmapAll(verb::InIoas { ioas: None }).into(),
            Call::Copy { from, iova, size, access } => IoasCopy {
                from_iova: is(from),
                from_ioas: None,
                size: is(size),
                iova: Some(Where::At(is(iova))),
                access: word(access),
                ioas: None,
            }
            .into(),
        }
    }

    /// The IOVAs that it is about: the first, and how many.
    pub fn range(&self) -> (u64, u64) {
        match *self {
            Call::Map { iova, size, .. } | Call::Unmap { iova, size } | Call::Copy { iova, size, .. } => (iova, size),
            Call::UnmapAll => (0, u64::MAX),
        }
    }

    /// The step as YAML, with what is expected of it.
    pub fn yaml(&self, ground: &Ground, outcome: &Outcome) -> String {
        let place = |iova: u64| format!("{iova:#x}");
        let access = |access| word(access).map_or(String::new(), |word| format!(", access: {}", word.as_str()));
        let call = match *self {
            Call::Map { region, offset, iova, size, access: of } => {
                let memory = &ground.memory[region];
                let size = if memory.size.checked_sub(offset) == Some(size) {
                    String::new()
                } else {
                    format!(", size: {}", Size(size))
                };
                let offset = if offset == 0 { String::new() } else { format!(", offset: {offset:#x}") };
                format!("map: {{ region: {}, iova: {}{size}{offset}{} }}", memory.name, place(iova), access(of))
            }
            Call::Unmap { iova, size } => format!("unmap: {{ iova: {}, size: {} }}", place(iova), Size(size)),
            Call::UnmapAll => "unmap_all:".to_owned(),
            Call::Copy { from, iova, size, access: of } => format!(
                "copy: {{ from_iova: {}, iova: {}, size: {}{} }}",
                place(from),
                place(iova),
                Size(size),
                access(of)
            ),
        };
        let expected = match outcome {
            Outcome::Ok => return call,
            Outcome::Bytes(Dynamic::Is(size)) => format!("{{ bytes: {size} }}"),
            other => serde_json::to_string(other).expect("an outcome has a JSON form").replace('"', ""),
        };
        format!("{call}\nexpect: {expected}")
    }

    /// What it has to answer.
    pub fn outcome(&self, ground: &Ground, model: &Model, mappings: &Mappings) -> Outcome {
        let failing = |answer: Answer, otherwise: fn(u64) -> Outcome| answer.map_or_else(Outcome::Errno, otherwise);
        let bytes = |gone: u64| Outcome::Bytes(Size(gone).into());
        match *self {
            Call::Map { region, offset, iova, size, access } => {
                let memory = &ground.memory[region];
                let is_there = memory.size.checked_sub(offset).is_some_and(|rest| size <= rest);
                let vaddr = memory.vaddr + offset;
                let call = ToMap { iova, size, vaddr, access, is_there, writable: memory.writable };
                failing(model.map(mappings, &ground.ranges, &call), |_| Outcome::Ok)
            }
            Call::Unmap { iova, size } => failing(model.unmap(&mut mappings.clone(), iova, size), bytes),
            Call::UnmapAll => bytes(mappings.bytes()),
            Call::Copy { from, iova, size, access } => {
                let call = ToCopy { from, iova, size, access };
                failing(model.copy(mappings, &ground.ranges, &call), |_| Outcome::Ok)
            }
        }
    }

    /// Enters what it does where it comes to what it has to.
    pub fn enter(&self, ledger: &mut Ledger, space: Space, outcome: &Outcome) {
        match (*self, outcome) {
            (Call::Map { iova, size, access, .. }, Outcome::Ok) => ledger.mapped(space, iova, size, access),
            (Call::Copy { from, iova, size, access }, Outcome::Ok) => {
                ledger.copied((space, from), (space, iova), size, access);
            }
            (Call::Unmap { iova, size }, Outcome::Errno(errnos)) => {
                errnos.first().into_iter().for_each(|errno| ledger.not_unmapped(space, iova, size, *errno));
            }
            (Call::Unmap { iova, size }, Outcome::Bytes(Dynamic::Is(Size(bytes)))) => {
                _ = ledger.unmapped(space, iova, size, *bytes);
            }
            (Call::UnmapAll, Outcome::Bytes(Dynamic::Is(Size(bytes)))) => _ = ledger.unmapped_all(space, *bytes),
            _ => {}
        }
    }

    /// The same call with plainer values, those first that say most.
    pub fn plainer(&self) -> Vec<Call> {
        match *self {
            Call::Map { region, offset, iova, size, access } => {
                let mut all = Vec::new();
                if offset > 0 {
                    all.push(Call::Map { region, offset: 0, iova, size, access });
                }
                if access != Access::READ_WRITE {
                    all.push(Call::Map { region, offset, iova, size, access: Access::READ_WRITE });
                }
                if region > 0 {
                    all.push(Call::Map { region: 0, offset: 0, iova, size, access });
                }
                all
            }
            Call::Copy { from, iova, size, access } if access != Access::READ_WRITE => {
                vec![Call::Copy { from, iova, size, access: Access::READ_WRITE }]
            }
            Call::Unmap { .. } | Call::UnmapAll | Call::Copy { .. } => Vec::new(),
        }
    }
}

/// The access as a step says it; nothing for the one that is usual.
fn word(access: Access) -> Option<verb::Access> {
    match (access.read, access.write) {
        (true, true) => None,
        (true, false) => Some(verb::Access::Read),
        (false, true) => Some(verb::Access::Write),
        (false, false) => Some(verb::Access::None),
    }
}

/// Makes the calls of a sequence up.
pub struct Generator<'g> {
    random: &'g mut Random,
    ground: &'g Ground,
    model: Model<'static>,
    /// Addresses at or before which it maps: few, so that mappings come near each other.
    places: Vec<u64>,
    /// What was unmapped last.
    freed: Vec<(u64, u64)>,
}

impl<'g> Generator<'g> {
    pub fn new(random: &'g mut Random, ground: &'g Ground, model: Model<'static>) -> Self {
        let mut generator = Generator { random, ground, model, places: Vec::new(), freed: Vec::new() };
        for _ in 0..3 {
            let range = generator.random.pick(&ground.ranges);
            let place = match generator.random.below(8) {
                0 => range.start,
                1 => range.last.wrapping_add(1),
                2 | 3 => (1 + generator.random.below(3)) * GIB,
                4 => range.start.next_multiple_of(2 * MIB),
                _ => 16 * MIB + 2 * MIB * generator.random.below(8),
            };
            generator.places.push(place);
        }
        generator
    }

    /// The next call, with these mappings there.
    pub fn call(&mut self, mappings: &Mappings) -> Call {
        let all: Vec<(u64, u64)> = mappings.iter().map(|(first, it)| (first, it.last - first + 1)).collect();
        let copies = self.ground.backend == BackendName::Iommufd;
        let largest = all.iter().copied().max_by_key(|(_, size)| *size);
        match self.random.below(100) {
            0 => Call::UnmapAll,
            1..45 => self.unmap(&all),
            45..60 if copies && !all.is_empty() => self.copy(&all),
            // It is not kept long.
            60..80 if mappings.bytes() > MOST_BYTES => {
                largest.map_or(Call::UnmapAll, |(iova, size)| Call::Unmap { iova, size })
            }
            _ if all.len() > 40 => self.unmap(&all),
            _ => self.map(mappings.bytes(), &all),
        }
    }

    fn page(&self) -> u64 {
        self.model.page
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

    fn map(&mut self, mapped: u64, all: &[(u64, u64)]) -> Call {
        let page = self.page();
        let is_usual = |region: &usize| self.ground.memory[*region].writable;
        let (usual, others): (Vec<usize>, Vec<usize>) = (0..self.ground.memory.len()).partition(is_usual);
        let rarely = self.random.one_in(16) || usual.is_empty();
        let region = self.random.pick(if rarely && !others.is_empty() { &others } else { &usual });
        let (length, of_page) = (self.ground.memory[region].size, self.ground.memory[region].page);
        let most = if mapped < MOST_BYTES { length } else { length.min(16 * page) };
        let mut size = self.size(most);
        let room = (length - size) / page;
        let mut offset = match self.random.below(4) {
            0 => 0,
            1 => (length - size) / of_page * of_page,
            2 => length - size,
            _ => self.random.below(room + 1) * page,
        };
        let mut iova = self.place(size, all);
        let mut access = self.access();
        // Each rule is broken now and then, mostly alone.
        match self.random.below(48) {
            0 => size = 0,
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
        Call::Map { region, offset, iova, size, access }
    }

    /// The range, a page lower where it ends at 2^64: those ranges are left out for now.
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
    fn place(&mut self, size: u64, all: &[(u64, u64)]) -> u64 {
        let page = self.page();
        let place = self.random.pick(&self.places);
        let near = |random: &mut Random, all: &[(u64, u64)]| {
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

    fn unmap(&mut self, all: &[(u64, u64)]) -> Call {
        let page = self.page();
        if all.is_empty() || self.random.one_in(16) {
            let size = self.size(u64::MAX);
            return Call::Unmap { iova: self.place(size, all), size };
        }
        let index = self.random.below(all.len() as u64) as usize;
        let (first, length) = all[index];
        let pages = length / page;
        let (mut iova, mut size) = match self.random.below(16) {
            0..7 => (first, length),
            // A part: its first pages, its last ones, or some in the middle.
            7 => (first, page * (1 + self.random.below(pages))),
            8 => {
                let skipped = page * self.random.below(pages);
                (first + skipped, length - skipped)
            }
            9 => {
                let skipped = self.random.below(pages);
                (first + skipped * page, page * (1 + self.random.below(pages - skipped)))
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
        Call::Unmap { iova, size }
    }

    fn copy(&mut self, all: &[(u64, u64)]) -> Call {
        let page = self.page();
        let index = self.random.below(all.len() as u64) as usize;
        let (first, length) = all[index];
        let pages = length / page;
        let (mut from, mut size) = match self.random.below(8) {
            0..3 => (first, length),
            3..6 => {
                let skipped = self.random.below(pages);
                (first + skipped * page, page * (1 + self.random.below((pages - skipped).min(16))))
            }
            6 => (first, length + page),
            _ => {
                let last = all[(index + 1).min(all.len() - 1)];
                (first, (last.0 - first).wrapping_add(last.1))
            }
        };
        size = size.min(MIB);
        let mut iova = self.place(size, all);
        let mut access = self.access();
        match self.random.below(48) {
            0 => size = 0,
            1 => size -= page / 2,
            2 => from += page / 2,
            3 => iova += page / 2,
            4 => access = Access::NONE,
            5 => size = 0u64.wrapping_sub(from).wrapping_add(page),
            _ => {}
        }
        let (iova, size) = self.below_the_end(iova, size);
        Call::Copy { from, iova, size, access }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ledger::tests::OWN;
    use crate::language::{Problems, decode, parse};

    fn ground(backend: BackendName) -> Ground {
        let memory = |name: &str, pages: u64, writable| Memory {
            name: name.to_owned(),
            vaddr: 1 << 40,
            size: pages * 4096,
            page: 4096,
            writable,
        };
        let ranges =
            vec![IovaRange { start: 0, last: 0xfedf_ffff }, IovaRange { start: 0xfef0_0000, last: 0xffff_ffff_ffff }];
        Ground { backend, memory: vec![memory("small", 64, true), memory("read_only", 4, false)], ranges }
    }

    /// The calls of a sequence, each with what it has to come to, if the kernel does what the model says.
    fn made_up(ground: &Ground, seed: u64, length: usize) -> Vec<(Call, Outcome)> {
        let mut ledger = Ledger::new(ground.backend);
        let mut random = Random::new(seed);
        let model = Model { rules: Rules::of(ground.backend), old: false, page: 4096 };
        let mut generator = Generator::new(&mut random, ground, model);
        let mut call = || {
            let call = generator.call(ledger.mappings(OWN));
            let outcome = call.outcome(ground, &model, ledger.mappings(OWN));
            call.enter(&mut ledger, OWN, &outcome);
            (call, outcome)
        };
        (0..length).map(|_| call()).collect()
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
            let share = |of: &dyn Fn(&(Call, Outcome)) -> bool| {
                calls.iter().filter(|call| of(call)).count() * 100 / calls.len()
            };
            let succeeds = share(&|(_, outcome)| !matches!(outcome, Outcome::Errno(_)));
            assert!((50..95).contains(&succeeds), "{backend}: {succeeds} of 100 succeed");
            let unmaps = share(&|(_, outcome)| matches!(outcome, Outcome::Bytes(Dynamic::Is(Size(1..)))));
            assert!(unmaps > 15, "{backend}: {unmaps} of 100 unmap something");
            for errno in [libc::EINVAL, libc::EEXIST, libc::EFAULT, libc::EOVERFLOW] {
                let alone = Outcome::Errno(vec![crate::model::Errno(errno)]);
                let with = |(_, outcome): &(Call, Outcome)| {
                    *outcome == alone || errno == libc::EOVERFLOW && outcome.to_string().contains("EOVERFLOW")
                };
                assert!(calls.iter().any(with), "{backend}: {alone}");
            }
        }
    }

    #[test]
    fn ranges_that_end_at_2_64_are_left_out() {
        for backend in BackendName::ALL {
            let ranges =
                vec![IovaRange { start: 0, last: 0xfedf_ffff }, IovaRange { start: 0xfef0_0000, last: u64::MAX }];
            let ground = Ground { ranges, ..ground(backend) };
            let calls = (0..200).flat_map(|seed| made_up(&ground, seed, 100));
            let at_the_end = calls.filter_map(|(call, outcome)| match call {
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
            for (call, outcome) in (0..20).flat_map(|seed| made_up(&ground, seed, 100)) {
                let text = call.yaml(&ground, &outcome);
                let mut problems = Problems::new();
                let step: Step = decode(&parse(&text).expect("YAML"), &mut problems)
                    .unwrap_or_else(|| panic!("{text}: {problems:?}"));
                let expect = (outcome != Outcome::Ok).then(|| crate::language::ByBackend::All(outcome.clone().into()));
                assert_eq!(step, Step { expect, ..call.step(&ground) }, "{text}");
            }
        }
    }
}
