// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger: what a case has mapped where, as its calls and the [model](Model) of its backend say. It knows no device and makes no call.
//!
//! `leaves.rs` compares it with the IOMMU's page table, and `follow.rs` enters what requests did that were made by their names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backend::{Access, Mappings, Model, Pages, Rules};
use crate::host::facts::kernel_is_before;
use crate::language::Size;
use crate::model::{BackendName, Errno};
use crate::uapi::{inject, system::page_size};

/// An address space: an IOAS by its id; `None` for a container's.
pub type Space = Option<u32>;

/// The mappings of a case.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ledger {
    backend: BackendName,
    #[serde(with = "as_list")]
    spaces: BTreeMap<Space, Mappings>,
    /// The physical addresses of pages that are mapped, of each mapping that a call made and whose pages are known.
    pages: Vec<Vec<u64>>,
    /// Why the mappings are no longer known.
    lost: Option<String>,
    changes: u64,
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
        Ledger { backend, spaces: BTreeMap::new(), pages: Vec::new(), lost: None, changes: 0 }
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
        self.lost.as_deref()
    }

    /// The mappings of an address space.
    pub fn mappings(&self, space: Space) -> &Mappings {
        static NONE: Mappings = Mappings::new();
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
            self.of(space).insert(iova, size, access);
        }
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
        reports(gone, reported)
    }

    /// Enters that a call failed to unmap a range, which may have unmapped a part of it; if it ran out of memory, nothing.
    pub fn not_unmapped(&mut self, space: Space, iova: u64, size: u64, errno: Errno) {
        self.changed();
        if inject::has_failed() {
            return;
        }
        let (model, mappings) = (self.model(), self.of(space));
        let mut after = mappings.clone();
        if model.unmap(&mut after, iova, size).is_err_and(|errnos| errnos.contains(&errno)) {
            *mappings = after;
        }
    }

    /// Enters that a call unmapped everything. Fails if the call reported another number of bytes.
    pub fn unmapped_all(&mut self, space: Space, reported: u64) -> Result<(), String> {
        self.changed();
        let gone = self.bytes(space);
        self.spaces.remove(&space);
        if self.lost.is_some() { Ok(()) } else { reports(gone, reported) }
    }

    /// Enters that an object of IOMMUFD was destroyed, which may have been an address space. Its id may be given to another one.
    pub fn destroyed(&mut self, id: u32) {
        self.spaces.remove(&Some(id));
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
