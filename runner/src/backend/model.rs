// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model: what each call on an address space has to answer, and what is mapped afterwards. It knows no device and makes no call.
//!
//! The engine's ledger enters in it the calls that a case makes, and compares it with the page table. `explore` asks it before each call.
//!
//! Sources: `vfio_dma_do_map`, `vfio_dma_do_unmap` (`drivers/vfio/vfio_iommu_type1.c`); `iommufd_vfio_map_dma`, `iommufd_vfio_unmap_dma`
//! (`drivers/iommu/iommufd/vfio_compat.c`); `iommufd_ioas_map`, `iommufd_ioas_copy`, `iommufd_ioas_unmap`, `iommufd_ioas_allow_iovas` (`ioas.c`),
//! `iommufd_device_do_replace` (`device.c`), and what they call in `io_pagetable.c`; `vfio_iommu_type1_dirty_pages` (`vfio_iommu_type1.c`).

use super::mappings::{Mapped, Mappings, end};
use super::{Access, IovaRange, Rules, Unmap};
use crate::model::Errno;

const EPERM: Errno = Errno(libc::EPERM);
const EADDRINUSE: Errno = Errno(libc::EADDRINUSE);
const EBUSY: Errno = Errno(libc::EBUSY);
const ENOSPC: Errno = Errno(libc::ENOSPC);
const ENOENT: Errno = Errno(libc::ENOENT);
const EFAULT: Errno = Errno(libc::EFAULT);
const EEXIST: Errno = Errno(libc::EEXIST);
const EINVAL: Errno = Errno(libc::EINVAL);
const EOVERFLOW: Errno = Errno(libc::EOVERFLOW);

/// The right answer to a call: the bytes that it maps, copies or unmaps; or an errno for each rule that it breaks, of which the kernel may
/// give any: it promises no order of its checks.
pub type Answer = Result<u64, Vec<Errno>>;

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
    /// Whether the pages are pinned for it: a device can reach the address space that it copies to.
    pub pins: bool,
}

/// An address space, as a call that is about all of it sees it.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'m> {
    pub mappings: &'m Mappings,
    /// Where the kernel may choose IOVAs, if it may not choose any.
    pub allowed: &'m [IovaRange],
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
        let ToCopy { from, iova, size, access, pins } = *call;
        let mut broken = Broken::default();
        broken.rule(EINVAL, size == 0 || ![from, iova, size].into_iter().all(|value| self.is_aligned(value)));
        broken.rule(EINVAL, !access.read && !access.write);
        self.ends(&mut broken, from, size);
        if size > 0 {
            let source: Vec<(u64, Mapped)> = from_those.overlapping(from, end(from, size)).collect();
            let covered: u64 = source.iter().map(|(first, it)| it.last.min(end(from, size)) - first.max(&from)).sum();
            broken.rule(ENOENT, source.is_empty() || covered + source.len() as u64 != size);
            broken.rule(EPERM, access.write && !source.iter().all(|(_, mapped)| mapped.writable));
            broken.rule(EFAULT, pins && !source.iter().all(|(_, mapped)| mapped.sound));
        }
        self.place(&mut broken, mappings, ranges, iova, size);
        broken.answer(size)
    }

    /// What it has to answer when a device is attached to an address space that it was not in, or a page table is made in one. `ranges` are what
    /// can be mapped there from then on.
    pub fn join(&self, space: Whole, ranges: &[IovaRange]) -> Answer {
        let mut broken = Broken::default();
        let mut all = space.mappings.iter().map(|(first, mapped)| IovaRange { start: first, last: mapped.last });
        broken.rule(EADDRINUSE, !all.all(|mapping| is_within(mapping, ranges)));
        broken.rule(EADDRINUSE, !space.allowed.iter().all(|allowed| is_within(*allowed, ranges)));
        broken.rule(EADDRINUSE, !self.are_aligned(space.mappings));
        broken.rule(EFAULT, !space.mappings.iter().all(|(_, mapped)| mapped.sound));
        broken.answer(0)
    }

    /// What it has to answer when a page table is destroyed.
    pub fn destroy(&self, is_in_use: bool) -> Answer {
        let mut broken = Broken::default();
        broken.rule(EBUSY, is_in_use);
        broken.answer(0)
    }

    /// What it has to answer when the kernel is told where it may choose IOVAs. `ranges` are what can be mapped.
    pub fn allow(&self, ranges: &[IovaRange], allowed: &[IovaRange]) -> Answer {
        let mut broken = Broken::default();
        let meets = |one: &IovaRange, other: &IovaRange| one.start <= other.last && other.start <= one.last;
        let is_met = |(index, one)| allowed.iter().skip(index + 1).any(|other| meets(one, other));
        broken.rule(EINVAL, allowed.iter().any(|range| range.start >= range.last));
        broken.rule(EINVAL, allowed.iter().enumerate().any(is_met));
        broken.rule(EADDRINUSE, !allowed.iter().all(|range| is_within(*range, ranges)));
        broken.answer(0)
    }

    /// Where the kernel may choose the IOVA of a mapping. Ranges next to each other are one (`interval_tree_for_each_span`).
    pub fn choices(&self, ranges: &[IovaRange], allowed: &[IovaRange]) -> Vec<IovaRange> {
        let both = |allowed: &IovaRange| {
            let common = |range: &IovaRange| {
                let (start, last) = (range.start.max(allowed.start), range.last.min(allowed.last));
                (start <= last).then_some(IovaRange { start, last })
            };
            ranges.iter().filter_map(common).collect::<Vec<_>>()
        };
        let mut all = if allowed.is_empty() { ranges.to_vec() } else { allowed.iter().flat_map(both).collect() };
        all.sort_by_key(|range| range.start);
        all.dedup_by(|next, range| {
            let is_next = range.last.checked_add(1) == Some(next.start);
            if is_next {
                range.last = next.last;
            }
            is_next
        });
        all
    }

    /// What a map at an IOVA that the kernel chooses has to answer; `None` where it depends on how the kernel looks for one.
    pub fn map_anywhere(&self, space: Whole, ranges: &[IovaRange], call: &ToMap) -> Option<Answer> {
        /// It takes an IOVA that the memory can have a huge page at.
        const ALIGNED: u64 = 2 << 20;
        let page = self.page;
        // The kernel chooses neither the first page nor the last one (`iopt_alloc_iova` in drivers/iommu/iommufd/io_pagetable.c).
        let mut holes = Vec::new();
        for IovaRange { start, last } in self.choices(ranges, space.allowed) {
            let (start, last) = (start.max(page), last.min(u64::MAX - page));
            if start > last {
                continue;
            }
            let mut from = Some(start);
            for (first, mapped) in space.mappings.overlapping(start, last) {
                holes.extend(from.filter(|from| *from < first).map(|from| (from, first - 1)));
                from = mapped.last.checked_add(1);
            }
            holes.extend(from.filter(|from| *from <= last).map(|from| (from, last)));
        }
        // Short of a byte, so that the largest fits in 64 bits.
        let largest = holes.iter().map(|(from, last)| last - from).max();
        // A page goes wherever a page is free; what is larger may need to be aligned.
        let is_page = call.size == page && self.is_aligned(call.vaddr);
        let has_page = |(from, last): &(u64, u64)| {
            from.checked_next_multiple_of(page).is_some_and(|from| from <= *last && last - from >= page - 1)
        };
        let (has_room, has_none) = match is_page {
            true => (holes.iter().any(has_page), !holes.iter().any(has_page)),
            false => (
                largest.is_some_and(|hole| hole >= call.size.saturating_add(2 * ALIGNED)),
                largest.is_none_or(|hole| hole < call.size.saturating_sub(1)),
            ),
        };
        let anywhere = [IovaRange { start: 0, last: u64::MAX }];
        match self.map(&Mappings::new(), &anywhere, &ToMap { iova: 0, ..*call }) {
            Ok(_) if !has_room && !has_none => None,
            Ok(_) if has_none => Some(Err(vec![ENOSPC])),
            Err(mut errnos) if !has_room => {
                errnos.push(ENOSPC);
                Some(Err(errnos))
            }
            answer => Some(answer),
        }
    }

    /// What the option has to answer by which an address space uses the smallest pages only (0), or larger ones, too (1). It cannot be limited
    /// while a device reaches it (`is_reached`) and something is mapped.
    pub fn small_pages(&self, mappings: &Mappings, is_reached: bool, value: u64, is_small: bool) -> Answer {
        let mut broken = Broken::default();
        broken.rule(EINVAL, value > 1);
        broken.rule(EINVAL, value == 0 && !is_small && is_reached && !mappings.is_empty());
        broken.rule(EADDRINUSE, value == 0 && !is_small && !self.are_aligned(mappings));
        broken.answer(value)
    }

    /// What an unmap may fail with while another thread maps or unmaps the same (`iopt_unmap_iova_range`); TYPE1 has them wait.
    pub fn busy(&self) -> Option<Errno> {
        matches!(self.rules.unmap, Unmap::Cuts | Unmap::InTurn).then_some(EBUSY)
    }

    /// Whether mappings begin and end with a page, and so does their memory. They need not where no device can reach them.
    fn are_aligned(&self, mappings: &Mappings) -> bool {
        let aligned = |(first, mapped): (u64, Mapped)| {
            let from = mapped.pages.map_or(0, |pages| pages.from);
            [first, mapped.last.wrapping_add(1), from].into_iter().all(|value| self.is_aligned(value))
        };
        mappings.iter().all(aligned)
    }

    /// What it has to answer when recording begins or ends which pages devices wrote, on a container.
    pub fn track(&self) -> Answer {
        self.rules.dirty_pages.map_or(Ok(0), |errno| Err(vec![errno]))
    }

    /// What a request has to answer for the pages that devices wrote in a range, on a container, and how many they are: all that are mapped.
    pub fn dirty(&self, mappings: &Mappings, iova: u64, size: u64, is_tracked: bool) -> Answer {
        self.track()?;
        let mut broken = Broken::default();
        broken.rule(EINVAL, !is_tracked || size == 0 || !(self.is_aligned(iova) && self.is_aligned(size)));
        self.ends(&mut broken, iova, size);
        let mut pages = 0;
        if size > 0 {
            let last = end(iova, size);
            let cut = |(first, mapped): (u64, Mapped)| first < iova || mapped.last > last;
            broken.rule(EINVAL, mappings.overlapping(iova, last).any(cut));
            pages = mappings.overlapping(iova, last).map(|(first, mapped)| (mapped.last - first + 1) / self.page).sum();
        }
        broken.answer(pages)
    }

    /// The rules of a range that is to be mapped.
    fn place(&self, broken: &mut Broken, mappings: &Mappings, ranges: &[IovaRange], iova: u64, size: u64) {
        self.ends(broken, iova, size);
        if let Some(last) = size.checked_sub(1).and_then(|rest| iova.checked_add(rest)) {
            broken.rule(EINVAL, !is_within(IovaRange { start: iova, last }, ranges));
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

/// Whether a range lies within one of others.
fn is_within(range: IovaRange, others: &[IovaRange]) -> bool {
    others.iter().any(|other| other.start <= range.start && range.last <= other.last)
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
            let call = ToCopy { from: from * PAGE, iova: iova * PAGE, size: pages * PAGE, access, pins: true };
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

    #[test]
    fn what_cannot_be_pinned_is_noticed_where_a_device_comes() {
        let model = model(BackendName::Iommufd);
        let mut mappings = two();
        mappings.unsound(8 * PAGE);
        let copy = |page: u64, pins| {
            let call = ToCopy { from: page * PAGE, iova: 40 * PAGE, size: PAGE, access: Access::READ, pins };
            model.copy((&mappings, &two()), &RANGES, &call)
        };
        assert_eq!((copy(0, true), copy(9, false)), (Ok(PAGE), Ok(PAGE)));
        assert_eq!(copy(9, true), Err(vec![EFAULT]));
        fn whole(mappings: &Mappings) -> Whole<'_> {
            Whole { mappings, allowed: &[] }
        }
        assert_eq!(model.join(whole(&mappings), &RANGES), Err(vec![EFAULT]));
        assert_eq!(model.join(whole(&two()), &RANGES), Ok(0));
        mappings.insert_pieces(40 * PAGE, mappings.pieces(9 * PAGE, PAGE, Access::READ));
        mappings.take_overlapping(8 * PAGE, PAGE);
        assert_eq!(model.join(whole(&mappings), &RANGES), Err(vec![EFAULT]), "nor can its copy");
    }

    #[test]
    fn a_device_comes_only_where_nothing_is_mapped_that_it_cannot_have() {
        let model = model(BackendName::Iommufd);
        let join = |page: u64, allowed: &[IovaRange]| {
            let mut mappings = two();
            mappings.insert(page * PAGE, 2 * PAGE, Access::READ);
            model.join(Whole { mappings: &mappings, allowed }, &RANGES)
        };
        assert_eq!((join(20, &[]), join(20, &RANGES)), (Ok(0), Ok(0)));
        for page in [0xfedff, 0xfee00, 0xfeeff, 0x1_0000_0000_0000 / PAGE - 1] {
            assert_eq!(join(page, &[]), Err(vec![EADDRINUSE]), "{page:#x}");
        }
        let wide = [IovaRange { start: 0, last: 0xffff_ffff }];
        assert_eq!(join(20, &wide), Err(vec![EADDRINUSE]));
        let mut half = Mappings::new();
        half.insert(PAGE / 2, PAGE, Access::READ);
        assert_eq!(model.join(Whole { mappings: &half, allowed: &[] }, &RANGES), Err(vec![EADDRINUSE]));
        assert_eq!(model.small_pages(&half, false, 0, false), Err(vec![EADDRINUSE]));
        assert_eq!((model.destroy(false), model.destroy(true)), (Ok(0), Err(vec![EBUSY])));
    }

    #[test]
    fn the_kernel_chooses_where_it_is_allowed_to() {
        let model = model(BackendName::Iommufd);
        let range = |start: u64, last: u64| IovaRange { start, last };
        for (allowed, answer) in [
            (vec![], Ok(0)),
            (vec![range(0x1000, 0x1fff), range(0x2000, 0x2fff)], Ok(0)),
            (vec![range(0x2000, 0x2000)], Err(EINVAL)),
            (vec![range(0x2000, 0x1000)], Err(EINVAL)),
            (vec![range(0x1000, 0x2000), range(0x2000, 0x2fff)], Err(EINVAL)),
            (vec![range(0xfedf_0000, 0xfee0_0000)], Err(EADDRINUSE)),
        ] {
            assert_eq!(model.allow(&RANGES, &allowed), answer.map_err(|errno| vec![errno]), "{allowed:x?}");
        }
        let far = 16 << 20;
        let allowed = [range(0, far), range(0xfed0_0000, 0xffff_ffff)];
        let ends = [range(0, far), range(0xfed0_0000, 0xfedf_ffff), range(0xfef0_0000, 0xffff_ffff)];
        assert_eq!(model.choices(&RANGES, &allowed), ends);
        assert_eq!(model.choices(&RANGES, &[]), RANGES);
        let beside = [range(2 * PAGE, 3 * PAGE - 1), range(PAGE, 2 * PAGE - 1), range(0xfedf_f000, 0xfedf_ffff)];
        assert_eq!(model.choices(&RANGES, &beside), [range(PAGE, 3 * PAGE - 1), range(0xfedf_f000, 0xfedf_ffff)]);
        let anywhere = |allowed: &[IovaRange], call: ToMap| {
            model.map_anywhere(Whole { mappings: &two(), allowed }, &RANGES, &call)
        };
        assert_eq!(anywhere(&allowed, to_map(0, 4)), Some(Ok(4 * PAGE)));
        assert_eq!(anywhere(&[], to_map(0, 4)), Some(Ok(4 * PAGE)));
        assert_eq!(anywhere(&[range(0, 12 * PAGE - 1)], to_map(0, 5)), Some(Err(vec![ENOSPC])), "four pages are free");
        assert_eq!(anywhere(&[range(0, 12 * PAGE - 1)], to_map(0, 4)), None, "they may be in a wrong place");
        assert_eq!(anywhere(&[range(0, 12 * PAGE - 1)], to_map(0, 1)), Some(Ok(PAGE)), "a page fits anywhere");
        let (taken, half) = (range(8 * PAGE, 9 * PAGE), range(PAGE / 2, PAGE + PAGE / 2));
        for none in [taken, half, range(0, PAGE - 1)] {
            assert_eq!(anywhere(&[none], to_map(0, 1)), Some(Err(vec![ENOSPC])), "{none:x?}");
        }
        for (pages, answer) in [(2, Ok(PAGE)), (1, Err(vec![ENOSPC]))] {
            let (mappings, end) = (Mappings::new(), [range((pages * PAGE).wrapping_neg(), u64::MAX)]);
            let space = Whole { mappings: &mappings, allowed: &end };
            assert_eq!(
                model.map_anywhere(space, &[range(0, u64::MAX)], &to_map(0, 1)),
                Some(answer),
                "{pages} at the end"
            );
        }
        assert_eq!(anywhere(&allowed, ToMap { vaddr: 1, ..to_map(0, 4) }), Some(Err(vec![EINVAL])));
        assert_eq!(anywhere(&[range(0, PAGE)], ToMap { vaddr: 1, ..to_map(0, 1) }), Some(Err(vec![EINVAL, ENOSPC])));
    }

    #[test]
    fn small_pages_can_be_asked_for_while_nothing_is_pinned() {
        let model = model(BackendName::Iommufd);
        let (some, none) = (two(), Mappings::new());
        for (mappings, is_reached, value, is_small, answer) in [
            (&some, true, 0, false, Err(EINVAL)),
            (&some, true, 0, true, Ok(0)),
            (&some, false, 0, false, Ok(0)),
            (&none, true, 0, false, Ok(0)),
            (&some, true, 1, true, Ok(1)),
            (&none, false, 2, false, Err(EINVAL)),
        ] {
            let got = model.small_pages(mappings, is_reached, value, is_small);
            assert_eq!(got, answer.map_err(|errno| vec![errno]), "{is_reached} {value} {is_small}");
        }
    }

    #[test]
    fn type1_takes_all_that_is_mapped_for_dirty() {
        let dirty = |backend, page: u64, pages: u64, is_tracked| {
            model(backend).dirty(&two(), page * PAGE, pages * PAGE, is_tracked)
        };
        let v2 = BackendName::VfioType1v2;
        assert_eq!((dirty(v2, 0, 12, true), dirty(v2, 4, 20, true), dirty(v2, 4, 4, true)), (Ok(8), Ok(4), Ok(0)));
        for (page, pages, is_tracked) in [(0, 12, false), (0, 9, true), (1, 3, true), (0, 0, true)] {
            assert_eq!(dirty(v2, page, pages, is_tracked), Err(vec![EINVAL]), "{page} {pages}");
        }
        let beyond = model(v2).dirty(&two(), 2 * PAGE, 0u64.wrapping_sub(PAGE), true);
        assert_eq!(beyond, Err(vec![EOVERFLOW, EINVAL]), "it begins within a mapping, too");
        assert_eq!(dirty(BackendName::VfioType1, 0, 12, true), Err(vec![Errno(libc::EACCES)]));
        for backend in [BackendName::CompatType1, BackendName::CompatType1v2] {
            assert_eq!(model(backend).track(), Err(vec![Errno(libc::ENOTTY)]), "{backend}");
        }
    }
}
