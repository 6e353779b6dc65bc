// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model: what each call on an address space has to answer, and what is mapped afterwards. It knows no device and makes no call.
//!
//! The engine's ledger enters in it the calls that a case makes, and compares it with the page table. `explore` asks it before each call.
//!
//! Sources: `vfio_dma_do_map`, `vfio_dma_do_unmap` (`drivers/vfio/vfio_iommu_type1.c`); `iommufd_vfio_map_dma`, `iommufd_vfio_unmap_dma`
//! (`drivers/iommu/iommufd/vfio_compat.c`); `iommufd_ioas_map`, `iommufd_ioas_copy`, `iommufd_ioas_unmap` (`ioas.c`), and what they call in
//! `io_pagetable.c`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Access, IovaRange, Rules, Unmap};
use crate::model::Errno;

const EPERM: Errno = Errno(libc::EPERM);
const ENOENT: Errno = Errno(libc::ENOENT);
const EFAULT: Errno = Errno(libc::EFAULT);
const EEXIST: Errno = Errno(libc::EEXIST);
const EINVAL: Errno = Errno(libc::EINVAL);
const EOVERFLOW: Errno = Errno(libc::EOVERFLOW);

/// The right answer to a call: the bytes that it maps, copies or unmaps; or an errno for each rule that it breaks, of which the kernel may
/// give any: it promises no order of its checks.
pub type Answer = Result<u64, Vec<Errno>>;

/// A mapping, which begins at the IOVA that it is kept under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    /// Its last byte.
    pub last: u64,
    /// What the device may do.
    pub access: Access,
    /// Whether its pages may be written, which a copy with other access needs.
    pub writable: bool,
    /// Where its pages are, if that is known.
    pub pages: Option<Pages>,
    /// Whether it is a device's memory, which the device may take back at any time. Then nothing of it is left in the page table.
    pub may_go: bool,
}

/// The pages of a mapping: a part of a list that whoever keeps the mappings has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// The number of the list.
    pub list: usize,
    /// Where in it the mapping begins, in bytes.
    pub from: u64,
}

impl Mapped {
    /// What is left of it from this many bytes on.
    fn behind(self, bytes: u64) -> Mapped {
        let pages = self.pages.map(|Pages { list, from }| Pages { list, from: from + bytes });
        Mapped { pages, ..self }
    }
}

/// The mappings of an address space by their first IOVAs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mappings(BTreeMap<u64, Mapped>);

/// What sets the rules of a call apart.
#[derive(Debug, Clone, Copy)]
pub struct Model<'m> {
    /// The backend's.
    pub rules: &'m Rules,
    /// Whether the kernel is older than Linux 6.18.
    pub old: bool,
    /// What the IOMMU maps at least, and IOVAs are multiples of, in bytes.
    pub page: u64,
}

/// A call that maps.
#[derive(Debug, Clone, Copy)]
pub struct ToMap {
    pub iova: u64,
    pub size: u64,
    pub vaddr: u64,
    pub access: Access,
    /// Whether all of the memory is there.
    pub is_there: bool,
    /// Whether the process may write to it.
    pub writable: bool,
}

/// A call that copies.
#[derive(Debug, Clone, Copy)]
pub struct ToCopy {
    pub from: u64,
    pub iova: u64,
    pub size: u64,
    pub access: Access,
}

/// The rules that a call breaks.
#[derive(Default)]
struct Broken(Vec<Errno>);

impl Broken {
    fn rule(&mut self, errno: Errno, is_broken: bool) {
        if is_broken && !self.0.contains(&errno) {
            self.0.push(errno);
        }
    }

    fn answer(self, otherwise: u64) -> Answer {
        if self.0.is_empty() { Ok(otherwise) } else { Err(self.0) }
    }
}

impl Model<'_> {
    fn is_aligned(&self, value: u64) -> bool {
        value.is_multiple_of(self.page)
    }

    /// What a map has to answer.
    pub fn map(&self, mappings: &Mappings, ranges: &[IovaRange], call: &ToMap) -> Answer {
        let ToMap { iova, size, vaddr, access, is_there, writable } = *call;
        let mut broken = Broken::default();
        broken.rule(EINVAL, size == 0 || ![iova, size, vaddr].into_iter().all(|value| self.is_aligned(value)));
        broken.rule(EINVAL, !access.read && !access.write);
        broken.rule(EFAULT, !is_there || access.write && !writable);
        self.ends(&mut broken, vaddr, size);
        self.place(&mut broken, mappings, ranges, iova, size);
        broken.answer(size)
    }

    /// What a copy has to answer, from mappings to others, which may be the same.
    pub fn copy(&self, (from_those, mappings): (&Mappings, &Mappings), ranges: &[IovaRange], call: &ToCopy) -> Answer {
        let ToCopy { from, iova, size, access } = *call;
        let mut broken = Broken::default();
        broken.rule(EINVAL, size == 0 || ![from, iova, size].into_iter().all(|value| self.is_aligned(value)));
        broken.rule(EINVAL, !access.read && !access.write);
        self.ends(&mut broken, from, size);
        if size > 0 {
            let source: Vec<(u64, Mapped)> = from_those.overlapping(from, end(from, size)).collect();
            let covered: u64 = source.iter().map(|(first, it)| it.last.min(end(from, size)) - first.max(&from)).sum();
            broken.rule(ENOENT, source.is_empty() || covered + source.len() as u64 != size);
            broken.rule(EPERM, access.write && !source.iter().all(|(_, mapped)| mapped.writable));
        }
        self.place(&mut broken, mappings, ranges, iova, size);
        broken.answer(size)
    }

    /// The rules of a range that is to be mapped.
    fn place(&self, broken: &mut Broken, mappings: &Mappings, ranges: &[IovaRange], iova: u64, size: u64) {
        self.ends(broken, iova, size);
        if let Some(last) = size.checked_sub(1).and_then(|rest| iova.checked_add(rest)) {
            broken.rule(EINVAL, !ranges.iter().any(|range| range.start <= iova && last <= range.last));
            broken.rule(EEXIST, mappings.overlapping(iova, last).next().is_some());
        }
    }

    /// The rule that a range ends within 64 bits.
    fn ends(&self, broken: &mut Broken, first: u64, size: u64) {
        if size.checked_sub(1).is_some_and(|rest| first.checked_add(rest).is_none()) {
            broken.rule(EOVERFLOW, true);
            // Its commit 6012379ede6a.
            broken.rule(EINVAL, self.old && self.rules.old_overflow);
        }
    }

    /// What an unmap has to answer. The mappings are afterwards what it leaves; where it fails, too.
    pub fn unmap(&self, mappings: &mut Mappings, iova: u64, size: u64) -> Answer {
        let mut broken = Broken::default();
        broken.rule(EINVAL, size == 0 || self.rules.unmaps_pages && !(self.is_aligned(iova) && self.is_aligned(size)));
        self.ends(&mut broken, iova, size);
        if !broken.0.is_empty() {
            // The ends of the range are cut before its length is looked at.
            let cuts = self.rules.unmap == Unmap::Cuts;
            broken.rule(EINVAL, cuts && !(self.is_aligned(iova) && self.is_aligned(size)));
            return Err(broken.0);
        }
        let last = end(iova, size);
        match self.rules.unmap {
            Unmap::WholeFromStart => {
                let begins_within = mappings.at(iova).is_some_and(|(first, _)| first < iova);
                Ok(if begins_within { 0 } else { mappings.take_overlapping(iova, size) })
            }
            Unmap::AllOrNothing => {
                let begins_within = mappings.at(iova).is_some_and(|(first, _)| first < iova);
                let ends_within = mappings.at(last).is_some_and(|(_, mapped)| mapped.last > last);
                broken.rule(EINVAL, begins_within || ends_within);
                broken.answer(0).map(|_| mappings.take_overlapping(iova, size))
            }
            Unmap::Cuts => {
                for end in std::iter::once(last).chain(iova.checked_sub(1)) {
                    mappings.cut_behind(end, self.page).map_err(|errno| vec![errno])?;
                }
                mappings.take_in_turn(iova, size)
            }
            Unmap::InTurn => mappings.take_in_turn(iova, size),
        }
        .and_then(|gone| if gone == 0 && !self.rules.unmaps_nothing { Err(vec![ENOENT]) } else { Ok(gone) })
    }
}

/// The last byte of a range of at least one byte.
fn end(iova: u64, size: u64) -> u64 {
    iova.saturating_add(size - 1)
}

impl Mappings {
    /// No mappings.
    pub const fn new() -> Mappings {
        Mappings(BTreeMap::new())
    }

    /// The mappings in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Mapped)> {
        self.0.iter().map(|(&first, &mapped)| (first, mapped))
    }

    /// The number of bytes that are mapped.
    pub fn bytes(&self) -> u64 {
        self.iter().fold(0, |sum, (first, mapped)| sum.saturating_add((mapped.last - first).saturating_add(1)))
    }

    /// Enters a mapping of at least one byte.
    pub fn insert(&mut self, iova: u64, size: u64, access: Access) {
        self.0
            .insert(iova, Mapped { last: end(iova, size), access, writable: access.write, pages: None, may_go: false });
    }

    /// Notes where the pages of the mapping are that begins at an IOVA.
    pub fn know(&mut self, iova: u64, pages: Pages) {
        if let Some(mapped) = self.0.get_mut(&iova) {
            mapped.pages = Some(pages);
        }
    }

    /// Notes that the mapping that begins at an IOVA is a device's memory, which may be taken back.
    pub fn may_go(&mut self, iova: u64) {
        if let Some(mapped) = self.0.get_mut(&iova) {
            mapped.may_go = true;
        }
    }

    /// Forgets where the pages of all mappings are.
    pub fn forget_pages(&mut self) {
        self.0.values_mut().for_each(|mapped| mapped.pages = None);
    }

    /// Takes over, for a range, what others have there. No mapping of either reaches out of it.
    pub fn take_over(&mut self, others: &Mappings, first: u64, last: u64) {
        self.0.retain(|&begin, _| !(first..=last).contains(&begin));
        self.0.extend(others.0.range(first..=last).map(|(&begin, &mapped)| (begin, Mapped { pages: None, ..mapped })));
    }

    /// The range together with the mappings that reach into it.
    pub fn widened(&self, first: u64, last: u64) -> (u64, u64) {
        let all = self.overlapping(first, last);
        all.fold((first, last), |(first, last), (begin, mapped)| (first.min(begin), last.max(mapped.last)))
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a copy of a range of at least one byte is made of: a mapping for each that it was made of, with where it begins from the
    /// range's beginning on.
    pub fn pieces(&self, from: u64, size: u64, access: Access) -> Vec<(u64, Mapped)> {
        let piece = |(first, mapped): (u64, Mapped)| {
            let last = mapped.last.min(end(from, size)) - from;
            (first.max(from) - from, Mapped { last, access, ..mapped.behind(from.saturating_sub(first)) })
        };
        self.overlapping(from, end(from, size)).map(piece).collect()
    }

    /// Enters what a copy is made of.
    pub fn insert_pieces(&mut self, iova: u64, pieces: Vec<(u64, Mapped)>) {
        let placed = |(first, mapped): (u64, Mapped)| (iova + first, Mapped { last: iova + mapped.last, ..mapped });
        self.0.extend(pieces.into_iter().map(placed));
    }

    /// Removes the mappings that have a byte in a range, whole, and returns their bytes.
    pub fn take_overlapping(&mut self, iova: u64, size: u64) -> u64 {
        let found: Vec<(u64, Mapped)> = self.overlapping(iova, end(iova, size)).collect();
        found.into_iter().fold(0, |gone, (first, mapped)| {
            self.0.remove(&first);
            gone + (mapped.last - first) + 1
        })
    }

    /// Removes mapping after mapping of a range, up to the first that is not whole in it (`iopt_unmap_iova_range`).
    fn take_in_turn(&mut self, iova: u64, size: u64) -> Answer {
        let found: Vec<(u64, Mapped)> = self.overlapping(iova, end(iova, size)).collect();
        let mut gone = 0;
        for (first, mapped) in found {
            if first < iova || mapped.last > end(iova, size) {
                return Err(vec![ENOENT]);
            }
            self.0.remove(&first);
            gone += mapped.last - first + 1;
        }
        Ok(gone)
    }

    /// Cuts the mapping that goes on behind this byte (`iopt_area_split`).
    fn cut_behind(&mut self, byte: u64, page: u64) -> Result<(), Errno> {
        let Some((first, mapped)) = self.at(byte).filter(|(first, mapped)| byte != *first && byte != mapped.last)
        else {
            return Ok(());
        };
        if !(byte + 1).is_multiple_of(page) {
            return Err(EINVAL);
        }
        self.0.insert(first, Mapped { last: byte, ..mapped });
        self.0.insert(byte + 1, mapped.behind(byte + 1 - first));
        Ok(())
    }

    /// The mapping that has this byte.
    fn at(&self, byte: u64) -> Option<(u64, Mapped)> {
        self.overlapping(byte, byte).next()
    }

    /// The mappings that have a byte from `first` to `last`, in order.
    pub fn overlapping(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, Mapped)> {
        // They do not overlap each other: of those that begin before the range only the last can reach into it.
        let before = self.0.range(..first).next_back().filter(|(_, mapped)| mapped.last >= first);
        before.into_iter().chain(self.0.range(first..=last)).map(|(&first, &mapped)| (first, mapped))
    }
}

impl FromIterator<(u64, Mapped)> for Mappings {
    fn from_iter<T: IntoIterator<Item = (u64, Mapped)>>(mappings: T) -> Mappings {
        Mappings(mappings.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BackendName;

    const PAGE: u64 = 4096;
    const RANGES: [IovaRange; 2] =
        [IovaRange { start: 0, last: 0xfedf_ffff }, IovaRange { start: 0xfef0_0000, last: 0xffff_ffff_ffff }];

    fn model(backend: BackendName) -> Model<'static> {
        Model { rules: Rules::of(backend), old: false, page: PAGE }
    }

    /// Two mappings of four pages, at the pages 0 and 8; the second is for the device to read.
    fn two() -> Mappings {
        let mut mappings = Mappings::new();
        mappings.insert(0, 4 * PAGE, Access::READ_WRITE);
        mappings.insert(8 * PAGE, 4 * PAGE, Access::READ);
        mappings
    }

    fn to_map(page: u64, pages: u64) -> ToMap {
        let (iova, size) = (page.wrapping_mul(PAGE), pages.wrapping_mul(PAGE));
        ToMap { iova, size, vaddr: 100 * PAGE, access: Access::READ_WRITE, is_there: true, writable: true }
    }

    #[test]
    fn a_map_breaks_each_rule_by_itself() {
        for backend in BackendName::ALL {
            let map = |call: ToMap| model(backend).map(&two(), &RANGES, &call);
            assert_eq!(map(to_map(4, 4)), Ok(4 * PAGE), "{backend}: between two neighbours");
            for (call, errno) in [
                (to_map(4, 0), EINVAL),
                (ToMap { iova: 4 * PAGE + 1, ..to_map(0, 1) }, EINVAL),
                (ToMap { size: PAGE / 2, ..to_map(4, 1) }, EINVAL),
                (ToMap { vaddr: 1, ..to_map(4, 1) }, EINVAL),
                (ToMap { access: Access::NONE, ..to_map(4, 1) }, EINVAL),
                (ToMap { writable: false, ..to_map(4, 1) }, EFAULT),
                (ToMap { is_there: false, ..to_map(4, 1) }, EFAULT),
                (to_map(3, 1), EEXIST),
                (to_map(4, 5), EEXIST),
                (to_map(0xfedff, 2), EINVAL),
                (to_map(0xfee00, 1), EINVAL),
                (to_map(0x1_0000_0000_0000 / PAGE, 1), EINVAL),
            ] {
                assert_eq!(map(call), Err(vec![errno]), "{backend}: {call:?}");
            }
            assert!(map(to_map(u64::MAX / PAGE, 2)).is_err_and(|errnos| errnos.contains(&EOVERFLOW)), "{backend}");
            let read_only = ToMap { access: Access::READ, writable: false, ..to_map(4, 1) };
            assert_eq!(map(read_only), Ok(PAGE), "{backend}");
        }
    }

    #[test]
    fn an_unmap_answers_as_its_backend_does_and_leaves_what_it_leaves() {
        use BackendName::{CompatType1, CompatType1v2, Iommufd, VfioType1, VfioType1v2};
        let first_two: [(u64, u64); 2] = [(0, 4), (8, 4)];
        for (backend, first, pages, answer, left) in [
            (VfioType1, 0, 1, Ok(4), vec![(8, 4)]),
            (VfioType1, 1, 20, Ok(0), first_two.to_vec()),
            (VfioType1, 5, 4, Ok(4), vec![(0, 4)]),
            (VfioType1v2, 0, 12, Ok(8), vec![]),
            (VfioType1v2, 0, 9, Err(EINVAL), first_two.to_vec()),
            (VfioType1v2, 1, 3, Err(EINVAL), first_two.to_vec()),
            (VfioType1v2, 4, 4, Ok(0), first_two.to_vec()),
            (CompatType1, 1, 1, Ok(1), vec![(0, 1), (2, 2), (8, 4)]),
            (CompatType1, 2, 7, Ok(3), vec![(0, 2), (9, 3)]),
            (CompatType1, 4, 4, Ok(0), first_two.to_vec()),
            (CompatType1v2, 0, 9, Err(ENOENT), vec![(8, 4)]),
            (CompatType1v2, 4, 4, Ok(0), first_two.to_vec()),
            (Iommufd, 0, 9, Err(ENOENT), vec![(8, 4)]),
            (Iommufd, 1, 20, Err(ENOENT), first_two.to_vec()),
            (Iommufd, 4, 4, Err(ENOENT), first_two.to_vec()),
            (Iommufd, 0, 0, Err(EINVAL), first_two.to_vec()),
        ] {
            let mut mappings = two();
            let got = model(backend).unmap(&mut mappings, first * PAGE, pages * PAGE);
            let expected = answer.map(|pages: u64| pages * PAGE).map_err(|errno| vec![errno]);
            assert_eq!(got, expected, "{backend} {first} {pages}");
            let found: Vec<_> = mappings.iter().map(|(at, it)| (at / PAGE, (it.last - at + 1) / PAGE)).collect();
            assert_eq!(found, left, "{backend} {first} {pages}");
        }
    }

    #[test]
    fn only_an_old_type1_refuses_a_range_beyond_64_bits_as_any_other_wrong_one() {
        for backend in BackendName::ALL {
            let type1 = matches!(backend, BackendName::VfioType1 | BackendName::VfioType1v2);
            let answer = |old| {
                let model = Model { old, ..model(backend) };
                model.unmap(&mut two(), 8 * PAGE, 0u64.wrapping_sub(7 * PAGE)).unwrap_err()
            };
            assert_eq!(answer(false), [EOVERFLOW], "{backend}");
            assert_eq!(answer(true).contains(&EINVAL), type1, "{backend}");
        }
    }

    #[test]
    fn a_range_may_end_with_the_last_byte_and_not_behind_it() {
        for backend in BackendName::ALL {
            let unmap = |size: u64| {
                let mut mappings = two();
                model(backend).unmap(&mut mappings, 8 * PAGE, size)
            };
            assert_eq!(unmap(0u64.wrapping_sub(8 * PAGE)), Ok(4 * PAGE), "{backend}");
            assert!(unmap(0u64.wrapping_sub(7 * PAGE)).is_err_and(|errnos| errnos.contains(&EOVERFLOW)), "{backend}");
        }
    }

    #[test]
    fn only_type1_wants_an_unmap_in_whole_pages() {
        for (backend, answer) in [
            (BackendName::VfioType1v2, Err(vec![EINVAL])),
            (BackendName::CompatType1, Ok(8 * PAGE)),
            (BackendName::Iommufd, Ok(8 * PAGE)),
        ] {
            assert_eq!(model(backend).unmap(&mut two(), 0, 12 * PAGE + 1), answer.clone(), "{backend}");
        }
        let cut = |iova, size| model(BackendName::CompatType1).unmap(&mut two(), iova, size);
        assert_eq!(cut(0, 2 * PAGE + 1), Err(vec![EINVAL]));
        assert_eq!(cut(PAGE / 2, u64::MAX), Err(vec![EOVERFLOW, EINVAL]), "it may fail at either end");
    }

    #[test]
    fn a_copy_needs_all_of_its_source_and_may_do_no_more_than_its_pages() {
        let copy = |from: u64, iova: u64, pages: u64, access: Access| {
            let call = ToCopy { from: from * PAGE, iova: iova * PAGE, size: pages * PAGE, access };
            model(BackendName::Iommufd).copy((&two(), &two()), &RANGES, &call)
        };
        assert_eq!(copy(1, 20, 3, Access::READ_WRITE), Ok(3 * PAGE));
        assert_eq!(copy(1, 20, 4, Access::READ), Err(vec![ENOENT]));
        assert_eq!(copy(3, 20, 6, Access::READ), Err(vec![ENOENT]), "there is a hole in it");
        assert_eq!(copy(8, 20, 1, Access::READ), Ok(PAGE));
        assert_eq!(copy(8, 20, 1, Access::READ_WRITE), Err(vec![EPERM]));
        assert_eq!(copy(0, 1, 1, Access::READ), Err(vec![EEXIST]));
        let mut mappings = two();
        mappings.insert(4 * PAGE, PAGE, Access::READ_WRITE);
        let pieces = mappings.pieces(2 * PAGE, 3 * PAGE, Access::READ);
        mappings.insert_pieces(20 * PAGE, pieces);
        let made: Vec<_> =
            mappings.overlapping(20 * PAGE, 30 * PAGE).map(|(at, it)| (at / PAGE, it.last / PAGE)).collect();
        assert_eq!(made, [(20, 21), (22, 22)]);
        assert!(mappings.overlapping(20 * PAGE, 30 * PAGE).all(|(_, it)| it.writable && it.access == Access::READ));
    }
}
