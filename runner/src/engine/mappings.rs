// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a case has mapped, as the calls that succeeded tell it, held against what the IOMMU's page table shows.
//!
//! After every call that maps or unmaps, each mapping has to be there whole, with the access that was asked for, and nothing else may
//! be: what was unmapped is gone, its neighbours are left alone, and a call that failed left nothing behind.

use std::collections::BTreeMap;

use crate::{
    backend::{Access, IovaRange, Rules, Unmap},
    host::page_table::Leaf,
    language::Size,
    model::{BackendName, Errno},
    uapi::request::{Effect, Request},
};

/// Beyond so many bytes the page table is not looked at: in pages of 4 KiB its dump has a line of 120 bytes for each, which the
/// kernel writes in one go. A case that maps more has `pagesize` and `gone`.
const MOST_BYTES: u64 = 64 << 20;
/// So many entries a case are looked at in all; then only at its end.
const MOST_ENTRIES: usize = 4_000;

/// The mappings of a case.
#[derive(Debug, Default)]
pub struct Mappings {
    /// By iova.
    live: BTreeMap<u64, (u64, Access)>,
    /// Why they are no longer known.
    lost: Option<String>,
    /// How many entries have been looked at.
    entries: usize,
    /// Whether the page table has been looked at since the last change.
    seen: bool,
    /// Whether anything was ever mapped or unmapped.
    touched: bool,
}

impl Mappings {
    /// A call has mapped this.
    pub fn mapped(&mut self, iova: u64, size: u64, access: Access) {
        self.touched();
        self.live.insert(iova, (size, access));
    }

    /// What is mapped at `from` has been mapped at `iova` once more: a mapping for each that it was made of.
    pub fn copied(&mut self, from: u64, iova: u64, size: u64, access: Access) {
        self.touched();
        let last = from.saturating_add(size - 1);
        let pieces: Vec<(u64, u64)> = self
            .live
            .iter()
            .map(|(&start, &(size, _))| (start.max(from), (start + (size - 1)).min(last)))
            .filter(|(start, end)| start <= end)
            .collect();
        for (start, end) in pieces {
            self.live.insert(iova + (start - from), (end - start + 1, access));
        }
    }

    /// A call that failed changed nothing, and that is to be seen.
    pub fn touched(&mut self) {
        (self.touched, self.seen) = (true, false);
    }

    /// A call has unmapped of this range what the backend unmaps, and reported so many bytes. Fails where these are not as many.
    pub fn unmapped(&mut self, backend: BackendName, iova: u64, size: u64, reported: u64) -> Result<(), String> {
        self.touched();
        if self.lost.is_some() || size == 0 {
            return Ok(());
        }
        let last = iova.saturating_add(size - 1);
        let overlapping: Vec<(u64, u64, Access)> = self
            .live
            .iter()
            .map(|(&start, &(size, access))| (start, size, access))
            .filter(|&(start, size, _)| start <= last && start + (size - 1) >= iova)
            .collect();
        let rule = Rules::of(backend).unmap;
        let nothing = rule == Unmap::WholeFromStart && overlapping.first().is_some_and(|&(start, ..)| start < iova);
        let mut gone = 0;
        for (start, size, access) in overlapping.into_iter().filter(|_| !nothing) {
            self.live.remove(&start);
            let end = start + (size - 1);
            gone += size;
            // A backend that does not cut has failed when it was given a part of a mapping, and the case has said so.
            if rule == Unmap::Cuts {
                if start < iova {
                    self.live.insert(start, (iova - start, access));
                    gone -= iova - start;
                }
                if end > last {
                    self.live.insert(last + 1, (end - last, access));
                    gone -= end - last;
                }
            }
        }
        reports(gone, reported)
    }

    /// A call failed to unmap this range. Where the backend goes from mapping to mapping, those before the first that is not whole in it
    /// are gone.
    pub fn not_unmapped(&mut self, backend: BackendName, iova: u64, size: u64, errno: Errno) {
        self.touched();
        if Rules::of(backend).unmap != Unmap::InTurn || errno != Errno(libc::ENOENT) || size == 0 {
            return;
        }
        let last = iova.saturating_add(size - 1);
        let overlapping = self.live.range(..=last).filter(|&(start, (size, _))| start + (size - 1) >= iova);
        let whole = |&(start, (size, _)): &(&u64, &(u64, Access))| *start >= iova && start + (size - 1) <= last;
        let gone: Vec<u64> = overlapping.take_while(whole).map(|(start, _)| *start).collect();
        for start in gone {
            self.live.remove(&start);
        }
    }

    /// A call has unmapped everything, and reported so many bytes.
    pub fn unmapped_all(&mut self, reported: u64) -> Result<(), String> {
        self.touched();
        let gone = std::mem::take(&mut self.live).values().map(|(size, _)| size).sum();
        if self.lost.is_some() { Ok(()) } else { reports(gone, reported) }
    }

    /// Follows a request that was made by its name, on an address space of this `ioas` where it is IOMMUFD's own: `given` and `written`
    /// are its fields, before and after. Says whether it is known what the request did.
    pub fn request(
        &mut self,
        backend: BackendName,
        ioas: Option<u32>,
        request: &Request,
        got: Result<i32, Errno>,
        given: &dyn Fn(&str) -> u64,
        written: &dyn Fn(&str) -> u64,
    ) -> Result<bool, String> {
        let ours = || ioas.is_some_and(|id| u64::from(id) == given("ioas_id"));
        self.touched();
        let (name, flags) = (request.name, given("flags"));
        match name {
            "VFIO_IOMMU_MAP_DMA" | "IOMMU_IOAS_MAP" if got.is_err() => {}
            "VFIO_IOMMU_UNMAP_DMA" | "IOMMU_IOAS_UNMAP" if got.is_err() => {
                let size = given(if name == "IOMMU_IOAS_UNMAP" { "length" } else { "size" });
                self.not_unmapped(backend, given("iova"), size, got.err().unwrap_or(Errno(0)));
            }
            // On IOMMUFD itself they mean the address space of IOMMU_VFIO_IOAS, whichever that is.
            "VFIO_IOMMU_MAP_DMA" | "VFIO_IOMMU_UNMAP_DMA" if ioas.is_some() => {
                self.lose(format!("what {name} did is not followed"));
                return Ok(false);
            }
            "VFIO_IOMMU_MAP_DMA" if flags & !3 == 0 => {
                let access = Access { read: flags & 1 != 0, write: flags & 2 != 0 };
                self.mapped(given("iova"), given("size"), access);
            }
            "IOMMU_IOAS_MAP" if ours() => {
                let access = Access { read: flags & 4 != 0, write: flags & 2 != 0 };
                self.mapped(written("iova"), given("length"), access);
            }
            "VFIO_IOMMU_UNMAP_DMA" if flags & !1 == 0 => {
                self.unmapped(backend, given("iova"), given("size"), written("size"))?;
            }
            "VFIO_IOMMU_UNMAP_DMA" if flags == 2 => self.unmapped_all(written("size"))?,
            "IOMMU_IOAS_UNMAP" if ours() && (given("iova"), given("length")) == (0, u64::MAX) => {
                self.unmapped_all(written("length"))?;
            }
            "IOMMU_IOAS_UNMAP" if ours() => {
                self.unmapped(backend, given("iova"), given("length"), written("length"))?;
            }
            // It is bound as it was.
            "VFIO_DEVICE_BIND_IOMMUFD" if got.is_err() => {}
            "IOMMU_IOAS_COPY" if got.is_ok() && ioas.is_some_and(|id| u64::from(id) == given("dst_ioas_id")) => {
                let access = Access { read: flags & 4 != 0, write: flags & 2 != 0 };
                match given("src_ioas_id") == given("dst_ioas_id") {
                    true => self.copied(given("src_iova"), written("dst_iova"), given("length"), access),
                    false => self.lose("what is copied from another address space is not followed".into()),
                }
            }
            // On another address space they change nothing that is mapped for the device.
            "IOMMU_IOAS_COPY" | "IOMMU_IOAS_MAP" | "IOMMU_IOAS_UNMAP" => return Ok(false),
            // A mapping loses its address or gets another, and stays.
            "VFIO_IOMMU_UNMAP_DMA" | "VFIO_IOMMU_MAP_DMA" if flags == 4 => return Ok(false),
            _ if request.effect() == Effect::Nothing => {}
            _ if request.effect() == Effect::Device || got.is_err() => return Ok(false),
            // Something that changes what the device sees.
            _ => {
                self.lose(format!("what {name} did is not followed"));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Something was done that is not followed, for this reason.
    pub fn lose(&mut self, reason: String) {
        self.lost.get_or_insert(reason);
    }

    /// Why nothing is looked at now; `None` where it is to be.
    pub fn blind(&self) -> Option<String> {
        let bytes = self.live.values().fold(0u64, |sum, (size, _)| sum.saturating_add(*size));
        match &self.lost {
            Some(reason) => Some(reason.clone()),
            None if bytes > MOST_BYTES => {
                Some(format!("with {} mapped the dump of the page table may be too long", Size(bytes)))
            }
            None => None,
        }
    }

    /// Whether the page table is to be looked at after this step, or else at the end of the case.
    pub fn due(&self, end: bool) -> bool {
        self.touched && !self.seen && (end || self.entries < MOST_ENTRIES)
    }

    /// Whether there was anything to look at.
    pub fn any(&self) -> bool {
        self.touched
    }

    /// Holds the entries of the page table against the mappings; entries outside of `ranges` are the kernel's own.
    pub fn hold(&mut self, leaves: &[Leaf], ranges: &[IovaRange]) -> Result<(), String> {
        self.seen = true;
        self.entries += leaves.len();
        let mut covered: BTreeMap<u64, u64> = BTreeMap::new();
        for leaf in leaves.iter().filter(|leaf| ranges.iter().any(|r| r.start <= leaf.iova && leaf.iova <= r.last)) {
            let within = self.live.range(..=leaf.iova).next_back();
            let found = within.filter(|(start, (size, _))| leaf.iova + (leaf.page_size - 1) <= **start + (size - 1));
            let Some((&start, &(_, access))) = found else {
                return Err(format!(
                    "the IOMMU's page table has an entry of {} at iova {:#x}, where nothing is mapped",
                    Size(leaf.page_size),
                    leaf.iova
                ));
            };
            let read = access.read || leaf.always_readable;
            if (leaf.read, leaf.write) != (read, access.write) {
                return Err(format!(
                    "the IOMMU's page table lets the device {} at iova {:#x}, and the mapping is for it to {}",
                    ways(leaf.read, leaf.write),
                    leaf.iova,
                    ways(access.read, access.write)
                ));
            }
            *covered.entry(start).or_default() += leaf.page_size;
        }
        for (start, (size, _)) in &self.live {
            let covered = covered.get(start).copied().unwrap_or(0);
            if covered != *size {
                return Err(format!(
                    "the IOMMU's page table has entries for {} of the {} that are mapped at iova {start:#x}",
                    Size(covered),
                    Size(*size)
                ));
            }
        }
        Ok(())
    }
}

fn reports(gone: u64, reported: u64) -> Result<(), String> {
    match gone == reported {
        true => Ok(()),
        false => {
            Err(format!("the call reports {} unmapped, and the mappings there had {}", Size(reported), Size(gone)))
        }
    }
}

fn ways(read: bool, write: bool) -> &'static str {
    match (read, write) {
        (true, true) => "read and write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "do nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uapi::request::find;

    const PAGE: u64 = 4096;
    const RANGES: [IovaRange; 1] = [IovaRange { start: 0, last: 0xffff_ffff }];

    fn leaf(page: u64) -> Leaf {
        Leaf { iova: page * PAGE, page_size: PAGE, read: true, write: true, always_readable: false }
    }

    /// Two mappings of four pages, at the pages 0 and 8.
    fn two() -> Mappings {
        let mut mappings = Mappings::default();
        mappings.mapped(0, 4 * PAGE, Access::READ_WRITE);
        mappings.mapped(8 * PAGE, 4 * PAGE, Access::READ_WRITE);
        mappings
    }

    fn pages(mappings: &Mappings) -> Vec<(u64, u64)> {
        mappings.live.iter().map(|(iova, (size, _))| (iova / PAGE, size / PAGE)).collect()
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
            let mut mappings = two();
            mappings.unmapped(backend, first * PAGE, count * PAGE, reported * PAGE).unwrap();
            assert_eq!(pages(&mappings), left, "{backend} {first} {count}");
        }
        for (backend, first, count, left) in [
            (BackendName::Iommufd, 0, 10, vec![(8, 4)]),
            (BackendName::CompatType1v2, 1, 20, vec![(0, 4), (8, 4)]),
            (BackendName::VfioType1v2, 0, 10, vec![(0, 4), (8, 4)]),
        ] {
            let mut mappings = two();
            mappings.not_unmapped(backend, first * PAGE, count * PAGE, Errno(libc::ENOENT));
            assert_eq!(pages(&mappings), left, "{backend} {first} {count}");
        }
        let error = two().unmapped(BackendName::Iommufd, 0, 4 * PAGE, 8 * PAGE).unwrap_err();
        assert_eq!(error, "the call reports 32KiB unmapped, and the mappings there had 16KiB");
        assert!(two().unmapped_all(7 * PAGE).is_err() && two().unmapped_all(8 * PAGE).is_ok());
    }

    #[test]
    fn a_copy_is_made_of_the_mappings_that_it_was_made_from() {
        let mut mappings = two();
        mappings.mapped(4 * PAGE, 4 * PAGE, Access::READ);
        mappings.copied(2 * PAGE, 100 * PAGE, 8 * PAGE, Access::READ_WRITE);
        assert_eq!(pages(&mappings), [(0, 4), (4, 4), (8, 4), (100, 2), (102, 4), (106, 2)]);
    }

    #[test]
    fn the_page_table_has_what_is_mapped_and_nothing_else() {
        let told = |leaves: &[Leaf]| two().hold(leaves, &RANGES).unwrap_err();
        let all: Vec<Leaf> = [0, 1, 2, 3, 8, 9, 10, 11].map(leaf).to_vec();
        two().hold(&all, &RANGES).unwrap();
        assert_eq!(
            told(&all[1..]),
            "the IOMMU's page table has entries for 12KiB of the 16KiB that are mapped at iova 0x0"
        );
        let more = [&all[..], &[leaf(12)]].concat();
        assert_eq!(told(&more), "the IOMMU's page table has an entry of 4KiB at iova 0xc000, where nothing is mapped");
        let mut wide = all.clone();
        wide[5].write = false;
        assert_eq!(
            told(&wide),
            "the IOMMU's page table lets the device read at iova 0x9000, and the mapping is for it to read and write"
        );
        let kernels_own = [&all[..], &[Leaf { iova: 0xfee0_0000 << 8, ..leaf(0) }]].concat();
        two().hold(&kernels_own, &RANGES).unwrap();
        let huge = Leaf { page_size: 2 << 20, ..leaf(0) };
        assert!(told(&[huge]).contains("an entry of 2MiB at iova 0x0"), "it maps more than was asked for");
    }

    #[test]
    fn a_first_stage_table_lets_read_whoever_may_write() {
        let mut mappings = Mappings::default();
        mappings.mapped(0, PAGE, Access::WRITE);
        assert!(mappings.hold(&[leaf(0)], &RANGES).is_err());
        mappings.hold(&[Leaf { always_readable: true, ..leaf(0) }], &RANGES).unwrap();
    }

    #[test]
    fn a_request_that_maps_nothing_blinds_nobody() {
        let done = |name: &str| {
            let (mut mappings, request) = (two(), find(name).unwrap());
            let known = mappings.request(BackendName::Iommufd, Some(1), request, Ok(0), &|_| 0, &|_| 0).unwrap();
            (known, mappings.blind().is_none())
        };
        assert_eq!(done("VFIO_DEVICE_GET_REGION_INFO"), (true, true));
        for name in ["VFIO_DEVICE_SET_IRQS", "VFIO_DEVICE_RESET", "IOMMU_FAULT_QUEUE_ALLOC"] {
            assert_eq!(done(name), (false, true), "{name} changes the device, and what is mapped stays");
        }
        assert_eq!(done("VFIO_DEVICE_ATTACH_IOMMUFD_PT"), (false, false));
    }

    #[test]
    fn what_is_not_followed_is_not_judged() {
        let mut mappings = two();
        assert!(mappings.due(false) && mappings.blind().is_none());
        mappings.lose("`copy` is not followed".into());
        assert_eq!(mappings.blind().unwrap(), "`copy` is not followed");
        mappings.unmapped(BackendName::Iommufd, 0, PAGE, 77).unwrap();
        let mut large = Mappings::default();
        large.mapped(0, 1 << 30, Access::READ);
        assert_eq!(large.blind().unwrap(), "with 1GiB mapped the dump of the page table may be too long");
    }
}
