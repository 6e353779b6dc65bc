// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger: what a case has mapped where, as its calls and the [model](Model) of its backend say. It knows no device and makes no call.
//!
//! `leaves.rs` compares it with the IOMMU's page table, and `follow.rs` enters what requests did that were made by their names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::backend::{Access, Mappings, Model, Pages, Rules};
use crate::host::facts::kernel_is_before;
use crate::language::Size;
use crate::model::{BackendName, Errno};
use crate::uapi::{inject, system::page_size};

/// An address space: an IOAS by its id; `None` for a container's.
pub type Space = Option<u32>;

/// Why it is no longer known what is mapped, after steps that ran at the same time.
const AT_ONCE: &str = "what is mapped at one place by several threads is not followed";
/// More ranges are not kept of a thread.
const MOST_TOUCHED: usize = 4096;

/// Where the device is whose page table is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    /// In its own address space, as it was opened.
    #[default]
    Own,
    /// In another one of its IOMMUFD.
    In(u32),
    /// It is detached.
    Nowhere,
}

/// What is mapped where nothing is.
static NONE: Mappings = Mappings::new();

/// What a device is to the one whose page table is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The same, and no other device of the case is in its group.
    Alone,
    /// The same, with others in its group.
    OneOfGroup,
    /// Another one of its group.
    Beside,
    /// One of another group.
    Elsewhere,
}

/// The mappings of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ledger {
    backend: BackendName,
    #[serde(with = "as_list")]
    spaces: BTreeMap<Space, Mappings>,
    /// The physical addresses of pages that are mapped, of each mapping that a call made and whose pages are known.
    pages: Vec<Vec<u64>>,
    /// Why the mappings are no longer known.
    lost: Option<String>,
    changes: u64,
    place: Place,
    /// Whether it is there by PASID 0, which is the device itself.
    by_zero: bool,
    /// The address spaces that the case made.
    made: BTreeSet<u32>,
    /// The page tables that are known, with their address spaces.
    tables: BTreeMap<u32, u32>,
    /// The address spaces that were told to do with the smallest pages.
    small: BTreeSet<u32>,
    /// In a thread: the ranges that it changed or relied on. `None` elsewhere.
    #[serde(skip)]
    touched: Option<Touched>,
}

/// What a thread changed or relied on.
#[derive(Debug, Clone, Default)]
struct Touched {
    ranges: BTreeSet<(Space, u64, u64)>,
    /// More than ranges say.
    all: bool,
}

impl Touched {
    fn add(&mut self, space: Space, (first, last): (u64, u64)) {
        self.all |= self.ranges.len() >= MOST_TOUCHED;
        if !self.all {
            self.ranges.insert((space, first, last));
        }
    }

    fn meets(&self, other: &Touched) -> bool {
        let in_other = |(space, first, last): &(Space, u64, u64)| {
            other.ranges.iter().any(|(theirs, begin, end)| theirs == space && begin <= last && first <= end)
        };
        self.all || other.all || self.ranges.iter().any(in_other)
    }
}

/// Address spaces as a list, since not every key of theirs is a text.
mod as_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{BTreeMap, Mappings, Space};

    pub fn serialize<S: Serializer>(spaces: &BTreeMap<Space, Mappings>, serializer: S) -> Result<S::Ok, S::Error> {
        spaces.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Space, Mappings>, D::Error> {
        Vec::deserialize(deserializer).map(Vec::into_iter).map(Iterator::collect)
    }
}

impl Ledger {
    /// A ledger without mappings, by the rules of a backend.
    pub fn new(backend: BackendName) -> Ledger {
        Ledger {
            backend,
            spaces: BTreeMap::new(),
            pages: Vec::new(),
            lost: None,
            changes: 0,
            place: Place::Own,
            by_zero: false,
            made: BTreeSet::new(),
            tables: BTreeMap::new(),
            small: BTreeSet::new(),
            touched: None,
        }
    }

    /// Notes that something happened to mappings, such as a call that failed and has to have changed nothing.
    pub fn changed(&mut self) {
        self.changes += 1;
    }

    /// The number of changes so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Stops knowing what is mapped, for this reason.
    pub fn lose(&mut self, reason: impl Into<String>) {
        self.lost.get_or_insert_with(|| reason.into());
    }

    /// Why it is not known what is mapped.
    pub fn lost(&self) -> Option<&str> {
        let beside = || self.touched.as_ref().map(|_| "other threads map at the same time");
        self.lost.as_deref().or_else(beside)
    }

    /// A ledger for an address space that nothing was done to yet, in the same thread.
    pub fn untouched(&self) -> Ledger {
        let touched = self.touched.as_ref().map(|_| Touched::default());
        Ledger { lost: self.lost.clone(), touched, ..Ledger::new(self.backend) }
    }

    /// The ledger of a thread, which others run beside.
    pub fn fork(&self) -> Ledger {
        Ledger { touched: Some(Touched::default()), ..self.clone() }
    }

    /// Takes over what the threads did whose ledgers were made by [`Ledger::fork`], if they kept out of each other's way.
    pub fn join(&mut self, threads: Vec<Ledger>) {
        let changed: Vec<Ledger> = threads.into_iter().filter(|thread| thread.changes > self.changes).collect();
        let others = |index: usize| changed.iter().skip(index + 1);
        let touched = |ledger: &Ledger| ledger.touched.clone().unwrap_or_default();
        let meet = changed
            .iter()
            .enumerate()
            .any(|(index, one)| others(index).any(|other| touched(one).meets(&touched(other))));
        if meet {
            self.lose(AT_ONCE);
        }
        changed.iter().for_each(|thread| thread.lost.iter().for_each(|why| self.lose(why)));
        if changed.is_empty() {
            return;
        }
        self.changed();
        for thread in changed {
            for &(space, first, last) in &touched(&thread).ranges {
                self.touch(space, first, (last - first).saturating_add(1));
                self.of(space).take_over(thread.mappings(space), first, last);
            }
            if touched(&thread).all {
                // No other thread did anything.
                self.touch_all();
                let Ledger { backend, spaces, place, by_zero, made, tables, small, .. } = thread;
                (self.backend, self.spaces, self.place, self.by_zero) = (backend, spaces, place, by_zero);
                (self.made, self.tables, self.small) = (made, tables, small);
                self.forget_pages();
            }
        }
    }

    /// Notes that a thread changes a range, or relies on it.
    fn touch(&mut self, space: Space, iova: u64, size: u64) {
        let last = iova.saturating_add(size.saturating_sub(1));
        let wide = self.mappings(space).widened(iova, last);
        self.touched.iter_mut().for_each(|touched| touched.add(space, wide));
    }

    fn touch_all(&mut self) {
        self.touched.iter_mut().for_each(|touched| touched.all = true);
    }

    /// Notes an address space that the case made.
    pub fn made_space(&mut self, id: u32) {
        self.destroyed(id);
        self.changed();
        self.made.insert(id);
    }

    /// Notes a page table of an address space, or one of something else.
    pub fn made_table(&mut self, id: u32, space: Option<u32>) {
        self.destroyed(id);
        self.changed();
        self.tables.extend(space.map(|space| (id, space)));
    }

    /// Notes that an address space was told to do with the smallest pages, or that it need not. The kernel refuses the first where anything
    /// larger could be mapped (`iopt_disable_large_pages` in drivers/iommu/iommufd/io_pagetable.c).
    pub fn told_small(&mut self, space: u32, is_small: bool) {
        self.touch_all();
        if is_small {
            self.small.insert(space);
        } else {
            self.small.remove(&space);
        }
    }

    /// Whether no entry of the page table of the device is larger than a page. `own` is its own address space.
    pub fn has_small_pages(&self, own: Space) -> bool {
        let space = match self.place {
            Place::Own => own,
            Place::In(space) => Some(space),
            Place::Nowhere => None,
        };
        Rules::of(self.backend).small_pages || space.is_some_and(|space| self.small.contains(&space))
    }

    /// The address space of an object that a device can be attached to: an address space or a page table. `own` is the device's.
    pub fn space_of(&self, own: Space, object: u32) -> Option<u32> {
        let is_space = || Some(object) == own || self.made.contains(&object);
        self.tables.get(&object).copied().or_else(|| is_space().then_some(object))
    }

    /// Enters that a device was attached to an object, or a PASID of it. `own` is its own address space.
    ///
    /// A device that is attached elsewhere takes its group along (`iommufd_device_do_replace` in drivers/iommu/iommufd/device.c).
    pub fn attached(&mut self, part: Part, own: Space, object: u32, pasid: Option<u32>) {
        let is_seen = match part {
            Part::Alone | Part::OneOfGroup => pasid.is_none_or(|pasid| pasid == 0),
            Part::Beside => pasid.is_none(),
            Part::Elsewhere => false,
        };
        if !is_seen {
            return;
        }
        let place = match self.space_of(own, object) {
            Some(space) if Some(space) == own => Place::Own,
            Some(space) => Place::In(space),
            None => {
                self.lose("what is mapped in a nested page table is not followed");
                Place::Nowhere
            }
        };
        self.moves(place);
        self.by_zero = pasid.is_some();
    }

    /// Enters that a device was detached, or a PASID of it. The kernel detaches by PASID 0 only what is attached by it
    /// (`vfio_iommufd_physical_pasid_detach_ioas` in drivers/vfio/iommufd.c).
    pub fn detached(&mut self, part: Part, pasid: Option<u32>) {
        match (part, pasid) {
            (Part::Beside | Part::Elsewhere, _) => {}
            (_, Some(0)) if self.by_zero => self.moves(Place::Nowhere),
            (_, Some(_)) => {}
            (Part::Alone, None) => self.moves(Place::Nowhere),
            // The group stays where it is until its last device is detached (`iommufd_hw_pagetable_detach`).
            (Part::OneOfGroup, None) => {
                self.lose("whether the other devices of the group are attached is not followed")
            }
        }
    }

    fn moves(&mut self, place: Place) {
        self.changed();
        self.touch_all();
        (self.place, self.by_zero) = (place, false);
        // What no device can reach is not pinned, and pages may move.
        self.forget_pages();
    }

    fn forget_pages(&mut self) {
        self.pages.clear();
        self.spaces.values_mut().for_each(Mappings::forget_pages);
    }

    /// Notes that IOMMUFD plays the older TYPE1 from now on, which may unmap a part of a mapping.
    pub fn plays_type1(&mut self) {
        self.changed();
        self.touch_all();
        self.backend = BackendName::CompatType1;
    }

    /// Whether the device whose page table is compared is in an address space now. `own` is its own.
    pub fn is_in(&self, own: Space, space: Space) -> bool {
        match self.place {
            Place::Own => space == own,
            Place::In(there) => space == Some(there),
            Place::Nowhere => false,
        }
    }

    /// What the page table of the device has to show. `own` is its own address space.
    pub fn seen(&self, own: Space) -> &Mappings {
        match self.place {
            Place::Own => self.mappings(own),
            Place::In(space) => self.mappings(Some(space)),
            Place::Nowhere => &NONE,
        }
    }

    /// The mappings of an address space.
    pub fn mappings(&self, space: Space) -> &Mappings {
        self.spaces.get(&space).unwrap_or(&NONE)
    }

    /// The bytes that are mapped in an address space.
    pub fn bytes(&self, space: Space) -> u64 {
        self.mappings(space).bytes()
    }

    /// What says which answer is right.
    pub fn model(&self) -> Model<'static> {
        Model { rules: Rules::of(self.backend), old: kernel_is_before((6, 18)), page: page_size() }
    }

    /// Enters a mapping that a call made.
    pub fn mapped(&mut self, space: Space, iova: u64, size: u64, access: Access) {
        self.changed();
        if self.spaces.values().all(Mappings::is_empty) {
            self.pages.clear();
        }
        if size > 0 {
            self.touch(space, iova, size);
            self.of(space).insert(iova, size, access);
        }
    }

    /// Notes that what a call mapped at an IOVA is a device's memory, which the device may take back.
    pub fn may_go(&mut self, space: Space, iova: u64) {
        self.of(space).may_go(iova);
    }

    /// Notes where the pages are of a mapping that was just entered: their physical addresses, and 0 for each that is not known.
    pub fn pinned(&mut self, space: Space, iova: u64, pages: Vec<u64>) {
        let list = self.pages.len();
        self.pages.push(pages);
        self.of(space).know(iova, Pages { list, from: 0 });
    }

    /// The physical addresses of the pages of a mapping, from its first on.
    pub fn pages(&self, pages: Pages, page: u64) -> &[u64] {
        let from = usize::try_from(pages.from / page).ok();
        from.and_then(|from| self.pages.get(pages.list)?.get(from..)).unwrap_or_default()
    }

    /// Enters a copy that a call made: a mapping for each that it was made of.
    pub fn copied(&mut self, (from, start): (Space, u64), (to, iova): (Space, u64), size: u64, access: Access) {
        self.changed();
        if size > 0 {
            self.touch(from, start, size);
            self.touch(to, iova, size);
            let mut pieces = self.of(from).pieces(start, size, access);
            if from != to {
                // In an address space without a device nothing is pinned, and pages may move.
                pieces.iter_mut().for_each(|(_, mapped)| mapped.pages = None);
            }
            self.of(to).insert_pieces(iova, pieces);
        }
    }

    /// Enters that a call unmapped a range, as the backend unmaps. Fails if the call reported another number of bytes.
    pub fn unmapped(&mut self, space: Space, iova: u64, size: u64, reported: u64) -> Result<(), String> {
        self.changed();
        if self.lost.is_some() || size == 0 {
            return Ok(());
        }
        self.touch(space, iova, size);
        let is_alone = self.touched.is_none();
        let (model, mappings) = (self.model(), self.of(space));
        let mut after = mappings.clone();
        let gone = match model.unmap(&mut after, iova, size) {
            Ok(gone) => {
                *mappings = after;
                gone
            }
            // It has failed if it was given a part of a mapping, and the case has said so.
            Err(_) => mappings.take_overlapping(iova, size),
        };
        if is_alone { reports(gone, reported) } else { Ok(()) }
    }

    /// Enters that a call failed to unmap a range, which may have unmapped a part of it; if it ran out of memory, nothing.
    pub fn not_unmapped(&mut self, space: Space, iova: u64, size: u64, errno: Errno) {
        self.changed();
        if inject::has_failed() {
            return;
        }
        self.touch(space, iova, size);
        let (model, mappings) = (self.model(), self.of(space));
        let mut after = mappings.clone();
        if model.unmap(&mut after, iova, size).is_err_and(|errnos| errnos.contains(&errno)) {
            *mappings = after;
        }
    }

    /// Enters that a call unmapped everything. Fails if the call reported another number of bytes.
    pub fn unmapped_all(&mut self, space: Space, reported: u64) -> Result<(), String> {
        self.changed();
        self.touch(space, 0, u64::MAX);
        let gone = self.bytes(space);
        self.spaces.remove(&space);
        if self.lost.is_some() || self.touched.is_some() { Ok(()) } else { reports(gone, reported) }
    }

    /// Enters that an object of IOMMUFD was destroyed, which may have been an address space. Its id may be given to another one.
    pub fn destroyed(&mut self, id: u32) {
        self.touch_all();
        self.spaces.remove(&Some(id));
        self.made.remove(&id);
        self.small.remove(&id);
        self.tables.remove(&id);
    }

    fn of(&mut self, space: Space) -> &mut Mappings {
        self.spaces.entry(space).or_default()
    }
}

fn reports(gone: u64, reported: u64) -> Result<(), String> {
    if gone == reported {
        return Ok(());
    }
    Err(format!("the call reports {} unmapped, and the mappings there had {}", Size(reported), Size(gone)))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const PAGE: u64 = 4096;
    pub const OWN: Space = Some(1);

    /// Two mappings of four pages, at the pages 0 and 8.
    pub fn two(backend: BackendName) -> Ledger {
        let mut ledger = Ledger::new(backend);
        ledger.mapped(OWN, 0, 4 * PAGE, Access::READ_WRITE);
        ledger.mapped(OWN, 8 * PAGE, 4 * PAGE, Access::READ_WRITE);
        ledger
    }

    fn pages(ledger: &Ledger, space: Space) -> Vec<(u64, u64)> {
        let mappings = ledger.mappings(space).iter();
        mappings.map(|(first, mapped)| (first / PAGE, (mapped.last - first + 1) / PAGE)).collect()
    }

    #[test]
    fn each_backend_unmaps_in_its_own_way() {
        for (backend, first, count, reported, left) in [
            (BackendName::VfioType1, 0, 1, 4, vec![(8, 4)]),
            (BackendName::VfioType1, 1, 1, 0, vec![(0, 4), (8, 4)]),
            (BackendName::VfioType1, 1, 20, 0, vec![(0, 4), (8, 4)]),
            (BackendName::VfioType1v2, 0, 20, 8, vec![]),
            (BackendName::CompatType1, 1, 1, 1, vec![(0, 1), (2, 2), (8, 4)]),
            (BackendName::CompatType1, 2, 7, 3, vec![(0, 2), (9, 3)]),
            (BackendName::Iommufd, 4, 4, 0, vec![(0, 4), (8, 4)]),
        ] {
            let mut ledger = two(backend);
            ledger.unmapped(OWN, first * PAGE, count * PAGE, reported * PAGE).unwrap();
            assert_eq!(pages(&ledger, OWN), left, "{backend} {first} {count}");
        }
        for (backend, first, count, left) in [
            (BackendName::Iommufd, 0, 10, vec![(8, 4)]),
            (BackendName::CompatType1v2, 1, 20, vec![(0, 4), (8, 4)]),
            (BackendName::VfioType1v2, 0, 10, vec![(0, 4), (8, 4)]),
        ] {
            let mut ledger = two(backend);
            ledger.not_unmapped(OWN, first * PAGE, count * PAGE, Errno(libc::ENOENT));
            assert_eq!(pages(&ledger, OWN), left, "{backend} {first} {count}");
        }
        let two = || two(BackendName::Iommufd);
        let error = two().unmapped(OWN, 0, 4 * PAGE, 8 * PAGE).unwrap_err();
        assert_eq!(error, "the call reports 32KiB unmapped, and the mappings there had 16KiB");
        assert!(two().unmapped_all(OWN, 7 * PAGE).is_err() && two().unmapped_all(OWN, 8 * PAGE).is_ok());
    }

    #[test]
    fn a_copy_is_made_of_the_mappings_that_it_was_made_from() {
        let mut ledger = two(BackendName::Iommufd);
        ledger.mapped(OWN, 4 * PAGE, 4 * PAGE, Access::READ);
        ledger.copied((OWN, 2 * PAGE), (OWN, 100 * PAGE), 8 * PAGE, Access::READ_WRITE);
        assert_eq!(pages(&ledger, OWN), [(0, 4), (4, 4), (8, 4), (100, 2), (102, 4), (106, 2)]);
        ledger.copied((OWN, 2 * PAGE), (Some(2), 0), 8 * PAGE, Access::READ);
        assert_eq!(pages(&ledger, Some(2)), [(0, 2), (2, 4), (6, 2)]);
    }

    #[test]
    fn the_parts_of_a_mapping_know_their_pages() {
        let mut ledger = two(BackendName::CompatType1);
        ledger.pinned(OWN, 8 * PAGE, vec![0x1000, 0x5000, 0, 0x9000]);
        ledger.unmapped(OWN, 9 * PAGE, PAGE, PAGE).unwrap();
        ledger.copied((OWN, 10 * PAGE), (OWN, 20 * PAGE), 2 * PAGE, Access::READ);
        ledger.copied((OWN, 11 * PAGE), (OWN, 30 * PAGE), PAGE, Access::READ);
        ledger.copied((OWN, 8 * PAGE), (Some(2), 0), PAGE, Access::READ);
        let known = |space: Space, page: u64| {
            let (_, mapped) =
                ledger.mappings(space).overlapping(page * PAGE, page * PAGE).next().expect("it is mapped");
            mapped.pages.map(|pages| ledger.pages(pages, PAGE).to_vec())
        };
        assert_eq!(known(OWN, 0), None);
        assert_eq!(known(OWN, 8), Some(vec![0x1000, 0x5000, 0, 0x9000]), "those behind its end are not asked for");
        assert_eq!((known(OWN, 10), known(OWN, 20)), (Some(vec![0, 0x9000]), Some(vec![0, 0x9000])));
        assert_eq!((known(OWN, 30), known(Some(2), 0)), (Some(vec![0x9000]), None));
        ledger.unmapped_all(Some(2), PAGE).unwrap();
        ledger.unmapped_all(OWN, 10 * PAGE).unwrap();
        ledger.mapped(OWN, 0, PAGE, Access::READ);
        ledger.pinned(OWN, 0, vec![0x7000]);
        assert_eq!(ledger.pages, [[0x7000]], "it keeps no more than what is mapped");
    }

    #[test]
    fn a_device_has_the_mappings_of_where_it_is() {
        let mut ledger = two(BackendName::Iommufd);
        ledger.pinned(OWN, 0, vec![0x1000]);
        ledger.made_space(2);
        ledger.mapped(Some(2), 0, PAGE, Access::READ);
        ledger.made_table(3, Some(2));
        ledger.made_table(4, None);
        let seen = |ledger: &Ledger| ledger.seen(OWN).bytes() / PAGE;
        for (to, pages, is_own) in [(2, 1, false), (1, 8, true), (3, 1, false)] {
            ledger.attached(Part::Alone, OWN, to, None);
            assert_eq!((seen(&ledger), ledger.is_in(OWN, OWN)), (pages, is_own), "{to}");
        }
        assert!(ledger.mappings(OWN).iter().all(|(_, mapped)| mapped.pages.is_none()), "they may have moved meanwhile");
        // PASID 0 is the device itself, and others are not.
        for (pasid, pages) in [(1, 1), (0, 1)] {
            ledger.detached(Part::Alone, Some(pasid));
            assert_eq!(seen(&ledger), pages, "nothing is attached by PASID {pasid}");
        }
        ledger.attached(Part::Alone, OWN, 1, Some(1));
        assert_eq!(seen(&ledger), 1);
        ledger.attached(Part::Alone, OWN, 1, Some(0));
        assert_eq!(seen(&ledger), 8);
        ledger.detached(Part::Alone, Some(0));
        assert_eq!(seen(&ledger), 0);
        ledger.attached(Part::Alone, OWN, 3, None);
        ledger.detached(Part::Alone, None);
        assert_eq!((seen(&ledger), ledger.is_in(OWN, Some(2)), ledger.lost()), (0, false, None));
        // The kernel gives the id of the page table to an address space.
        ledger.destroyed(3);
        ledger.made_space(3);
        ledger.attached(Part::Alone, OWN, 3, None);
        assert_eq!((seen(&ledger), ledger.lost()), (0, None));
        ledger.attached(Part::Alone, OWN, 4, None);
        assert_eq!(ledger.lost(), Some("what is mapped in a nested page table is not followed"));
    }

    #[test]
    fn a_group_is_where_one_of_its_devices_was_attached() {
        let mut ledger = two(BackendName::Iommufd);
        ledger.made_space(2);
        let seen = |ledger: &Ledger| ledger.seen(OWN).bytes() / PAGE;
        for (part, pasid, pages) in [(Part::Elsewhere, None, 8), (Part::Beside, Some(1), 8), (Part::Beside, None, 0)] {
            ledger.attached(part, OWN, 2, pasid);
            assert_eq!(seen(&ledger), pages, "{part:?}, {pasid:?}");
        }
        ledger.attached(Part::OneOfGroup, OWN, 1, None);
        ledger.detached(Part::Beside, None);
        assert_eq!((seen(&ledger), ledger.lost()), (8, None), "the group stays until its last device is detached");
        ledger.detached(Part::OneOfGroup, None);
        assert_eq!(ledger.lost(), Some("whether the other devices of the group are attached is not followed"));
    }

    #[test]
    fn threads_that_keep_out_of_each_others_way_are_followed() {
        let mut ledger = two(BackendName::VfioType1);
        let mut threads = [ledger.fork(), ledger.fork(), ledger.fork()];
        threads[0].mapped(OWN, 20 * PAGE, 2 * PAGE, Access::READ);
        // It takes all of the mapping, of which it names a part.
        threads[1].unmapped(OWN, 8 * PAGE, PAGE, 77).unwrap();
        threads[1].mapped(OWN, 30 * PAGE, PAGE, Access::READ);
        threads[1].unmapped(OWN, 30 * PAGE, PAGE, PAGE).unwrap();
        assert_eq!(threads[0].lost(), Some("other threads map at the same time"));
        ledger.join(threads.to_vec());
        assert_eq!((pages(&ledger, OWN), ledger.lost()), (vec![(0, 4), (20, 2)], None));
        let mut threads = [ledger.fork(), ledger.fork()];
        threads[0].unmapped_all(OWN, 0).unwrap();
        threads[1].mapped(OWN, 40 * PAGE, PAGE, Access::READ);
        let mut alone = ledger.clone();
        alone.join(vec![threads[0].clone(), alone.fork()]);
        assert_eq!((pages(&alone, OWN), alone.lost()), (vec![], None));
        ledger.join(threads.to_vec());
        assert_eq!(ledger.lost(), Some(AT_ONCE));
    }

    #[test]
    fn a_thread_that_moves_the_device_is_followed_alone() {
        let mut ledger = two(BackendName::Iommufd);
        let mut thread = ledger.fork();
        thread.made_space(2);
        thread.mapped(Some(2), 0, PAGE, Access::READ);
        thread.attached(Part::Alone, OWN, 2, None);
        let (mut both, mut other) = (ledger.clone(), ledger.fork());
        ledger.join(vec![thread.clone(), ledger.fork()]);
        assert_eq!((ledger.seen(OWN).bytes(), ledger.lost()), (PAGE, None));
        other.mapped(OWN, 4 * PAGE, PAGE, Access::READ);
        both.join(vec![thread, other]);
        assert_eq!(both.lost(), Some(AT_ONCE));
    }

    #[test]
    fn address_spaces_do_not_share_mappings() {
        let mut ledger = two(BackendName::Iommufd);
        ledger.mapped(Some(2), 0, PAGE, Access::READ);
        ledger.unmapped(Some(2), 0, 4 * PAGE, PAGE).unwrap();
        assert_eq!(pages(&ledger, OWN), [(0, 4), (8, 4)]);
        ledger.mapped(Some(2), 0, PAGE, Access::READ);
        ledger.destroyed(2);
        ledger.unmapped_all(Some(2), 0).unwrap();
        assert_eq!(ledger.bytes(OWN), 8 * PAGE);
    }

    #[test]
    fn a_mapping_may_end_at_the_top_of_the_address_space() {
        let mut ledger = two(BackendName::CompatType1);
        ledger.mapped(OWN, u64::MAX - 4095, 4096, Access::READ);
        ledger.unmapped(OWN, 4 * PAGE, u64::MAX, 5 * PAGE).unwrap();
        assert_eq!(pages(&ledger, OWN), [(0, 4)]);
    }

    #[test]
    fn what_is_not_followed_is_not_judged() {
        let mut ledger = two(BackendName::Iommufd);
        assert_eq!((ledger.changes(), ledger.lost()), (2, None));
        ledger.lose("`detach` is not followed");
        assert_eq!(ledger.lost(), Some("`detach` is not followed"));
        ledger.unmapped(OWN, 0, PAGE, 77).unwrap();
    }
}
