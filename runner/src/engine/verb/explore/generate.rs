// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which calls are made: any, and most often those at a boundary, or next to what was mapped or unmapped before.

use crate::backend::{Access, Answer, IovaRange, Mappings, Model, ToCopy, ToMap};
use crate::engine::ledger::{Ledger, Space};
use crate::language::verb::{self, Advice, IoasCopy, Madvise, Map, Object, Unmap, UnmapAll, Where};
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
        place: Place,
        /// Whether each of its allocations fails once before it is made.
        short: bool,
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
        short: bool,
    },
    /// The process gets other pages for a part of a region, which devices may have mapped.
    Renew {
        region: usize,
        offset: u64,
        size: u64,
    },
    /// All pages of a region become one huge page, which takes that nobody holds any of them.
    Collapse {
        region: usize,
    },
}

/// An address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The device's.
    Own,
    /// One of IOMMUFD that no device is attached to: nothing is pinned there.
    Other,
}

/// What scenarios call the other address space.
pub const OTHER: &str = "other";

/// A region that is mapped.
#[derive(Debug, Clone)]
pub struct Memory {
    pub name: String,
    pub vaddr: u64,
    pub size: u64,
    pub page: u64,
    /// Whether the process may write to it.
    pub writable: bool,
    /// Whether the process can get fresh pages for it that nobody else holds.
    pub renews: bool,
    /// Whether it can be one huge page, too.
    pub collapses: bool,
}

/// What calls are made on.
#[derive(Debug, Clone)]
pub struct Ground {
    pub backend: BackendName,
    pub memory: Vec<Memory>,
    /// What can be mapped in the device's own address space.
    pub ranges: Vec<IovaRange>,
    /// Whether allocations can be made to fail.
    pub shortens: bool,
}

/// The mappings of both address spaces, and the rules.
#[derive(Debug, Clone, Copy)]
pub struct Known<'m> {
    pub model: Model<'m>,
    pub own: &'m Mappings,
    pub other: &'m Mappings,
}

impl<'m> Known<'m> {
    fn of(&self, place: Place) -> &'m Mappings {
        match place {
            Place::Own => self.own,
            Place::Other => self.other,
        }
    }
}

impl Ground {
    /// Whether a range that ends at 2^64 could be mapped.
    pub fn has_the_end(&self) -> bool {
        self.ranges.iter().any(|range| range.last == u64::MAX)
    }

    /// Whether there is another address space.
    pub fn has_other(&self) -> bool {
        self.backend == BackendName::Iommufd
    }

    /// What makes nothing be mapped any more, and shows that nobody holds a page.
    pub fn last_calls(&self) -> Vec<Call> {
        let places = [Place::Own, Place::Other].into_iter().filter(|place| *place == Place::Own || self.has_other());
        let regions = (0..self.memory.len()).filter(|region| self.memory[*region].collapses);
        let unmaps = places.map(|place| Call::UnmapAll { place });
        unmaps.chain(regions.map(|region| Call::Collapse { region })).collect()
    }

    fn ranges(&self, place: Place) -> &[IovaRange] {
        const ALL: &[IovaRange] = &[IovaRange { start: 0, last: u64::MAX }];
        match place {
            Place::Own => &self.ranges,
            Place::Other => ALL,
        }
    }
}

impl Call {
    /// The step that makes it.
    pub fn step(&self, ground: &Ground) -> Step {
        let is = |number: u64| Dynamic::Is(Size(number));
        let object = |place| (place == Place::Other).then(|| Object::Named(Name(OTHER.to_owned())));
        match *self {
            Call::Map { region, offset, iova, size, access, place, short: _ } => {
                let memory = &ground.memory[region];
                let part = memory.size.checked_sub(offset) != Some(size);
                Map {
                    region: Name(memory.name.clone()),
                    iova: Some(Where::At(is(iova))),
                    size: part.then(|| is(size)),
                    offset: (offset > 0).then(|| is(offset)),
                    access: word(access),
                    ioas: object(place),
                }
                .into()
            }
            Call::Unmap { iova, size, place } => Unmap { iova: is(iova), size: is(size), ioas: object(place) }.into(),
            Call::UnmapAll { place } => UnmapAll(verb::InIoas { ioas: object(place) }).into(),
            Call::Copy { from, source, iova, size, access, place, short: _ } => IoasCopy {
                from_iova: is(from),
                from_ioas: object(source),
                size: is(size),
                iova: Some(Where::At(is(iova))),
                access: word(access),
                ioas: object(place),
            }
            .into(),
            Call::Renew { region, offset, size } => {
                let region = Name(ground.memory[region].name.clone());
                let (offset, size) = (Some(is(offset)), Some(is(size)));
                Madvise { region, offset, size, advice: Advice::Dontneed }.into()
            }
            Call::Collapse { region } => {
                let region = Name(ground.memory[region].name.clone());
                Madvise { region, offset: None, size: None, advice: Advice::Collapse }.into()
            }
        }
    }

    /// Whether each allocation of the call fails once before it is made, and what then takes it back.
    pub fn undo(&self) -> Option<Call> {
        match *self {
            Call::Map { iova, size, place, short: true, .. } | Call::Copy { iova, size, place, short: true, .. } => {
                Some(Call::Unmap { iova, size, place })
            }
            Call::Map { .. }
            | Call::Copy { .. }
            | Call::Unmap { .. }
            | Call::UnmapAll { .. }
            | Call::Renew { .. }
            | Call::Collapse { .. } => None,
        }
    }

    /// Whether it is about the address space without a device.
    pub fn is_on_other(&self) -> bool {
        match *self {
            Call::Map { place, .. } | Call::Unmap { place, .. } | Call::UnmapAll { place } => place == Place::Other,
            Call::Copy { source, place, .. } => source == Place::Other || place == Place::Other,
            Call::Renew { .. } | Call::Collapse { .. } => false,
        }
    }

    /// The region that it is about.
    pub fn region(&self) -> Option<usize> {
        match *self {
            Call::Map { region, .. } | Call::Renew { region, .. } | Call::Collapse { region } => Some(region),
            Call::Copy { .. } | Call::Unmap { .. } | Call::UnmapAll { .. } => None,
        }
    }

    /// The IOVAs of the device's own address space that it is about: the first, and how many.
    pub fn range(&self) -> Option<(u64, u64)> {
        match *self {
            Call::Map { iova, size, place: Place::Own, .. }
            | Call::Unmap { iova, size, place: Place::Own }
            | Call::Copy { iova, size, place: Place::Own, .. } => Some((iova, size)),
            Call::UnmapAll { place: Place::Own } => Some((0, u64::MAX)),
            Call::Map { place: Place::Other, .. }
            | Call::Unmap { place: Place::Other, .. }
            | Call::Copy { place: Place::Other, .. }
            | Call::UnmapAll { place: Place::Other }
            | Call::Renew { .. }
            | Call::Collapse { .. } => None,
        }
    }

    /// The step as YAML, with what is expected of it.
    pub fn yaml(&self, ground: &Ground, outcome: &Outcome) -> String {
        let at = |iova: u64| format!("{iova:#x}");
        let access = |access| word(access).map_or(String::new(), |word| format!(", access: {}", word.as_str()));
        let ioas = |key: &str, place| if place == Place::Other { format!(", {key}: {OTHER}") } else { String::new() };
        let call = match *self {
            Call::Map { region, offset, iova, size, access: of, place, short: _ } => {
                let memory = &ground.memory[region];
                let size = if memory.size.checked_sub(offset) == Some(size) {
                    String::new()
                } else {
                    format!(", size: {}", Size(size))
                };
                let offset = if offset == 0 { String::new() } else { format!(", offset: {offset:#x}") };
                let (to, of) = (ioas("ioas", place), access(of));
                format!("map: {{ region: {}, iova: {}{size}{offset}{of}{to} }}", memory.name, at(iova))
            }
            Call::Unmap { iova, size, place } => {
                format!("unmap: {{ iova: {}, size: {}{} }}", at(iova), Size(size), ioas("ioas", place))
            }
            Call::UnmapAll { place: Place::Own } => "unmap_all:".to_owned(),
            Call::UnmapAll { place: Place::Other } => format!("unmap_all: {{ ioas: {OTHER} }}"),
            Call::Copy { from, source, iova, size, access: of, place, short: _ } => format!(
                "copy: {{ from_iova: {}{}, iova: {}, size: {}{}{} }}",
                at(from),
                ioas("from_ioas", source),
                at(iova),
                Size(size),
                access(of),
                ioas("ioas", place)
            ),
            Call::Renew { region, offset, size } => {
                let name = &ground.memory[region].name;
                format!("madvise: {{ region: {name}, offset: {offset:#x}, size: {}, advice: dontneed }}", Size(size))
            }
            Call::Collapse { region } => {
                format!("madvise: {{ region: {}, advice: collapse }}", ground.memory[region].name)
            }
        };
        let call = match outcome {
            Outcome::Ok => call,
            Outcome::Bytes(Dynamic::Is(size)) => format!("{call}\nexpect: {{ bytes: {size} }}"),
            other => {
                let other = serde_json::to_string(other).expect("an outcome has a JSON form").replace('"', "");
                format!("{call}\nexpect: {other}")
            }
        };
        let Some(undo) = self.undo() else { return call };
        let Call::Unmap { size, .. } = undo else { unreachable!("what undoes it unmaps") };
        let undo = undo.yaml(ground, &Outcome::Bytes(Size(size).into()));
        let nested = |text: &str| text.replace('\n', "\n      ");
        format!("fail_nth:\n  steps:\n    - {}\n  undo:\n    - {}", nested(&call), nested(&undo))
    }

    /// What it has to answer.
    pub fn outcome(&self, ground: &Ground, known: &Known) -> Outcome {
        let failing = |answer: Answer, otherwise: fn(u64) -> Outcome| answer.map_or_else(Outcome::Errno, otherwise);
        let bytes = |gone: u64| Outcome::Bytes(Size(gone).into());
        let model = known.model;
        match *self {
            Call::Map { region, offset, iova, size, access, place, short: _ } => {
                let memory = &ground.memory[region];
                // Where nothing is pinned, nobody looks at the memory.
                let is_there =
                    place == Place::Other || memory.size.checked_sub(offset).is_some_and(|rest| size <= rest);
                let vaddr = memory.vaddr + offset;
                let call = ToMap { iova, size, vaddr, access, is_there, writable: memory.writable };
                failing(model.map(known.of(place), ground.ranges(place), &call), |_| Outcome::Ok)
            }
            Call::Unmap { iova, size, place } => failing(model.unmap(&mut known.of(place).clone(), iova, size), bytes),
            Call::UnmapAll { place } => bytes(known.of(place).bytes()),
            Call::Copy { from, source, iova, size, access, place, short: _ } => {
                let call = ToCopy { from, iova, size, access };
                let (source, target) = (known.of(source), known.of(place));
                failing(model.copy((source, target), ground.ranges(place), &call), |_| Outcome::Ok)
            }
            Call::Renew { .. } | Call::Collapse { .. } => Outcome::Ok,
        }
    }

    /// Enters what it does where it comes to what it has to. `other` is the address space without a device.
    pub fn enter(&self, ledger: &mut Ledger, (own, other): (Space, Space), outcome: &Outcome) {
        let of = |place| if place == Place::Own { own } else { other };
        match (*self, outcome) {
            (Call::Map { iova, size, access, place, .. }, Outcome::Ok) => ledger.mapped(of(place), iova, size, access),
            (Call::Copy { from, source, iova, size, access, place, .. }, Outcome::Ok) => {
                ledger.copied((of(source), from), (of(place), iova), size, access);
            }
            (Call::Unmap { iova, size, place }, Outcome::Errno(errnos)) => {
                errnos.first().into_iter().for_each(|errno| ledger.not_unmapped(of(place), iova, size, *errno));
            }
            (Call::Unmap { iova, size, place }, Outcome::Bytes(Dynamic::Is(Size(bytes)))) => {
                _ = ledger.unmapped(of(place), iova, size, *bytes);
            }
            (Call::UnmapAll { place }, Outcome::Bytes(Dynamic::Is(Size(bytes)))) => {
                _ = ledger.unmapped_all(of(place), *bytes);
            }
            _ => {}
        }
    }

    /// The same call with plainer values, those first that say most.
    pub fn plainer(&self) -> Vec<Call> {
        match *self {
            Call::Map { region, offset, iova, size, access, place, short } => {
                let map =
                    |region, offset, access, short| Call::Map { region, offset, iova, size, access, place, short };
                let mut all = Vec::new();
                if short {
                    all.push(map(region, offset, access, false));
                }
                if offset > 0 {
                    all.push(map(region, 0, access, short));
                }
                if access != Access::READ_WRITE {
                    all.push(map(region, offset, Access::READ_WRITE, short));
                }
                if region > 0 {
                    all.push(map(0, 0, access, short));
                }
                all
            }
            Call::Copy { from, source, iova, size, access, place, short } => {
                let copy = |access, short| Call::Copy { from, source, iova, size, access, place, short };
                let mut all = Vec::new();
                if short {
                    all.push(copy(access, false));
                }
                if access != Access::READ_WRITE {
                    all.push(copy(Access::READ_WRITE, short));
                }
                all
            }
            Call::Unmap { .. } | Call::UnmapAll { .. } | Call::Renew { .. } | Call::Collapse { .. } => Vec::new(),
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
    /// Whether nothing was mapped yet since the device was opened, so that the page table is as small as it can be.
    anew: bool,
}

impl<'g> Generator<'g> {
    /// `anew`: the device was opened just now.
    pub fn new(random: &'g mut Random, ground: &'g Ground, model: Model<'static>, anew: bool) -> Self {
        let mut generator = Generator { random, ground, model, places: Vec::new(), freed: Vec::new(), anew };
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
    pub fn call(&mut self, own: &Mappings, other: &Mappings) -> Call {
        let list = |mappings: &Mappings| -> Vec<(u64, u64)> {
            mappings.iter().map(|(first, it)| (first, it.last - first + 1)).collect()
        };
        if std::mem::take(&mut self.anew) && self.ground.shortens && self.random.one_in(2) {
            // Mostly where it takes as many levels as there can be.
            let (any, size) = (self.random.pick(&self.ground.ranges), self.page());
            let range = if self.random.one_in(2) { any } else { *self.ground.ranges.last().unwrap_or(&any) };
            let iova = if self.random.one_in(4) { range.start } else { range.last - (size - 1) };
            let (iova, size) = self.below_the_end(Place::Own, iova, size);
            return Call::Map {
                region: 0,
                offset: 0,
                iova,
                size,
                access: Access::READ,
                place: Place::Own,
                short: true,
            };
        }
        let has_other = self.ground.has_other();
        let place = if has_other && self.random.one_in(12) { Place::Other } else { Place::Own };
        let (mappings, all) = match place {
            Place::Own => (own, list(own)),
            Place::Other => (other, list(other)),
        };
        let largest = all.iter().copied().max_by_key(|(_, size)| *size);
        let collapses = self.ground.memory.iter().any(|memory| memory.collapses);
        match self.random.below(100) {
            0 => Call::UnmapAll { place },
            1..45 => self.unmap(place, &all),
            45..60 if has_other => {
                let source = if self.random.one_in(8) { Place::Other } else { Place::Own };
                let from = list(if source == Place::Own { own } else { other });
                if from.is_empty() {
                    self.map(place, mappings.bytes(), &all)
                } else {
                    self.copy(source, &from, place, &all)
                }
            }
            // It is not kept long.
            60..80 if mappings.bytes() > MOST_BYTES => {
                largest.map_or(Call::UnmapAll { place }, |(iova, size)| Call::Unmap { iova, size, place })
            }
            80..84 if collapses => self.renew(),
            _ if all.len() > 40 => self.unmap(place, &all),
            _ => self.map(place, mappings.bytes(), &all),
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

    /// Whether each allocation of a call on `size` bytes is made to fail once first. Each page may take an allocation, so only short calls do.
    fn short(&mut self, size: u64) -> bool {
        self.random.one_in(512) && self.ground.shortens && size <= 4 * self.page()
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

    fn map(&mut self, place: Place, mapped: u64, all: &[(u64, u64)]) -> Call {
        let page = self.page();
        let is_usual = |region: &usize| self.ground.memory[*region].writable;
        let (usual, others): (Vec<usize>, Vec<usize>) = (0..self.ground.memory.len()).partition(is_usual);
        // Without a device nobody notices that memory may not be written, before one comes.
        let rarely = place == Place::Own && self.random.one_in(16) || usual.is_empty();
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
        if place == Place::Other {
            // Without a device there are no pages either, and any address is right.
            iova -= iova % page;
        }
        let mut access = self.access();
        let short = self.short(size);
        // Each rule is broken now and then, mostly alone.
        match self.random.below(48) {
            0 => size = 0,
            // The memory ends behind the process, and behind the last address.
            1 if place == Place::Other => {
                let (vaddr, iova) = (self.ground.memory[region].vaddr, 0);
                let size = 0u64.wrapping_sub(vaddr) + page * (1 + self.random.below(4));
                return Call::Map { region, offset: 0, iova, size, access, place, short: false };
            }
            1..4 if place == Place::Other => {}
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
        let (iova, size) = self.below_the_end(place, iova, size);
        Call::Map { region, offset, iova, size, access, place, short }
    }

    /// The range, a page lower where it ends at 2^64 for a device: those ranges are left out for now.
    fn below_the_end(&self, place: Place, iova: u64, size: u64) -> (u64, u64) {
        let is_last = place == Place::Own && size > 0 && iova.checked_add(size - 1) == Some(u64::MAX);
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

    fn unmap(&mut self, place: Place, all: &[(u64, u64)]) -> Call {
        let page = self.page();
        if all.is_empty() || self.random.one_in(16) {
            let size = self.size(u64::MAX);
            return Call::Unmap { iova: self.place(size, all), size, place };
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
            1 | 2 if place == Place::Other => {}
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

    fn copy(&mut self, source: Place, sources: &[(u64, u64)], place: Place, all: &[(u64, u64)]) -> Call {
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
        if place == Place::Other {
            // Without a device there are no pages either, and any address is right.
            iova -= iova % page;
        }
        let mut access = self.access();
        let short = self.short(size);
        match self.random.below(48) {
            0 => size = 0,
            // What has no page is cut by one, and what is cut there has none either.
            1..4 if source == Place::Other || place == Place::Other => {}
            1 => size -= page / 2,
            2 => from += page / 2,
            3 => iova += page / 2,
            4 => access = Access::NONE,
            5 => size = 0u64.wrapping_sub(from).wrapping_add(page),
            _ => {}
        }
        let (iova, size) = self.below_the_end(place, iova, size);
        Call::Copy { from, source, iova, size, access, place, short }
    }
}

/// The calls of a sequence that begins with these random numbers and nothing mapped, each with what it has to come to: those that are made
/// if the kernel does what the model says.
pub fn ahead(
    random: &Random,
    ground: &Ground,
    (model, anew): (Model<'static>, bool),
    length: u64,
) -> Vec<(Call, Outcome)> {
    let (own, other) = (None, Some(0));
    let mut ledger = Ledger::new(ground.backend);
    let mut random = random.clone();
    let mut generator = Generator::new(&mut random, ground, model, anew);
    let mut call = || {
        let call = generator.call(ledger.mappings(own), ledger.mappings(other));
        let known = Known { model, own: ledger.mappings(own), other: ledger.mappings(other) };
        let outcome = call.outcome(ground, &known);
        call.enter(&mut ledger, (own, other), &outcome);
        (call, outcome)
    };
    (0..length).map(|_| call()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Rules;
    use crate::language::{Problems, decode, parse};

    fn ground(backend: BackendName) -> Ground {
        let memory = |name: &str, pages: u64, writable| Memory {
            name: name.to_owned(),
            vaddr: 1 << 40,
            size: pages * 4096,
            page: 4096,
            writable,
            renews: true,
            collapses: writable,
        };
        let ranges =
            vec![IovaRange { start: 0, last: 0xfedf_ffff }, IovaRange { start: 0xfef0_0000, last: 0xffff_ffff_ffff }];
        let memory = vec![memory("small", 64, true), memory("read_only", 4, false)];
        Ground { backend, memory, ranges, shortens: true }
    }

    /// The calls of a sequence, each with what it has to come to, if the kernel does what the model says.
    fn made_up(ground: &Ground, seed: u64, length: u64) -> Vec<(Call, Outcome)> {
        let model = Model { rules: Rules::of(ground.backend), old: false, page: 4096 };
        ahead(&Random::new(seed), ground, (model, seed.is_multiple_of(8)), length)
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
                Call::Map { iova, size: size @ 1.., place: Place::Own, .. } if outcome == Outcome::Ok => {
                    iova.checked_add(size - 1)
                }
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
                let mut step: Step = decode(&parse(&text).expect("YAML"), &mut problems)
                    .unwrap_or_else(|| panic!("{text}: {problems:?}"));
                let expect = |outcome: &Outcome| {
                    (*outcome != Outcome::Ok).then(|| crate::language::ByBackend::All(outcome.clone().into()))
                };
                if let verb::Verb::FailNth(failing) = &step.verb {
                    let undo = call.undo().expect("it is taken back");
                    let Call::Unmap { size, .. } = undo else { panic!("{undo:?}") };
                    let undone = Step { expect: expect(&Outcome::Bytes(Size(size).into())), ..undo.step(&ground) };
                    assert_eq!(failing.undo, [undone], "{text}");
                    step = failing.steps[0].clone();
                }
                assert_eq!(step, Step { expect: expect(&outcome), ..call.step(&ground) }, "{text}");
            }
        }
    }
}
