// SPDX-License-Identifier: MIT OR Apache-2.0
//! The observer `leaves`: compares the IOMMU's page table with the ledger.
//!
//! After every call that maps or unmaps, each mapping has to be there whole, with the access that was asked for, and nothing else may
//! be: what was unmapped is gone, its neighbours are untouched, and a call that failed left nothing behind. Where the pages of a mapping
//! are known, because the process just mapped its own memory, its entries have to lead there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::failure::{End, Problem};
use super::fixture::Open;
use super::ledger::{Ledger, Space};
use super::observers::{broken, held, unchecked};
use crate::host::page_table::{Leaf, Observer};
use crate::language::{Path, Size};
use crate::uapi::{Call, Tracer};
use crate::{
    backend::{IovaRange, Mapped, Mappings},
    event::Observation,
    host::{Root, pagemap},
    model::code::Code,
    uapi::system::page_size,
};

/// With more bytes mapped, the page table is not read: in pages of 4 KiB its dump has a line of 120 bytes for each, which the kernel
/// writes in one go. A case that maps more has `pagesize` and `gone`.
const MOST_BYTES: u64 = 64 << 20;
/// After this many entries in a case, the page table is read only at its end.
const MOST_ENTRIES: usize = 4_000;
/// How many bytes before and behind a range are near it.
const NEAR: u64 = 1 << 16;
/// The number of entries that a line shows.
const MOST_SHOWN: usize = 16;

/// How far the page table has been compared, and what was wrong.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Leaves {
    entries: usize,
    /// The changes of the ledger that have been compared.
    compared: u64,
    wrong: Option<String>,
    /// Whether this is a process that another one waits for, which compares what it left.
    #[serde(skip)]
    pub paused: bool,
}

impl Leaves {
    /// Nothing is compared yet, and nothing will be while it is `paused`.
    pub fn new(paused: bool) -> Leaves {
        Leaves { paused, ..Leaves::default() }
    }

    /// Compares the IOMMU's page table with the ledger, if anything has changed since the last time.
    pub fn compare(
        &mut self,
        ledger: &Ledger,
        open: &Open,
        at: &Path,
        at_end: bool,
        tracer: &Tracer,
    ) -> Result<(), End> {
        let Ok(observer) = &open.observer else { return Ok(()) };
        let mappings = ledger.seen(own(open));
        if self.paused || !self.is_due(ledger, at_end) || blind(ledger, mappings.bytes()).is_some() {
            return Ok(());
        }
        // From 0 to the top: what was not asked for counts too.
        let leaves = read(observer, 0, u64::MAX, at, tracer)?;
        self.entries += leaves.len();
        self.compared = ledger.changes();
        compare((ledger, own(open)), mappings, &leaves, &open.iova_ranges, (0, u64::MAX))
            .map_err(|wrong| self.is_wrong(wrong, at))
    }

    /// Compares the part of the IOMMU's page table around a range with the mappings there. The rest stays to be compared.
    pub fn compare_near(
        &mut self,
        ledger: &Ledger,
        open: &Open,
        (iova, size): (u64, u64),
        at: &Path,
        tracer: &Tracer,
    ) -> Result<(), End> {
        let Ok(observer) = &open.observer else { return Ok(()) };
        let (first, last) = (iova.saturating_sub(NEAR), iova.saturating_add(size).saturating_add(NEAR));
        let near: Mappings = ledger.seen(own(open)).overlapping(first, last).collect();
        if blind(ledger, near.bytes_within(first, last)).is_some() {
            return Ok(());
        }
        let leaves = read(&observer.quickest(), first, (last - first).saturating_add(1), at, tracer)?;
        compare((ledger, own(open)), &near, &leaves, &open.iova_ranges, (first, last))
            .map_err(|wrong| self.is_wrong(wrong, at))
    }

    /// Notes where the memory is that was just mapped, while it is pinned. So long as the page table is compared after each call.
    pub fn pinned(&self, ledger: &mut Ledger, open: &Open, space: Space, (iova, vaddr, size): (u64, u64, u64)) {
        let own = own(open);
        let is_compared = ledger.is_in(own, space)
            && open.observer.is_ok()
            && self.entries < MOST_ENTRIES
            && blind(ledger, size).is_none();
        if is_compared && let Some(pages) = pagemap::pages(&Root::default(), vaddr, size, page_size()) {
            ledger.pinned(space, iova, pages);
        }
    }

    fn is_wrong(&mut self, wrong: String, at: &Path) -> End {
        self.wrong = Some(wrong.clone());
        let problem = Problem::new(Code::Leaves, at.clone(), wrong).label("after this");
        End::Failed(
            problem.help("after every map and unmap the page table has to show what is mapped, and nothing else"),
        )
    }

    fn is_due(&self, ledger: &Ledger, at_end: bool) -> bool {
        ledger.changes() > self.compared && (at_end || self.entries < MOST_ENTRIES)
    }

    /// Takes it for wrong if a call, whose outcome is written at `at`, reported something else than the ledger has.
    pub fn reported(&mut self, reported: Result<(), String>, at: &Path) -> Result<(), End> {
        reported.map_err(|wrong| {
            self.wrong = Some(wrong.clone());
            End::Failed(Problem::new(Code::Reported, at.clone(), wrong).label("of this call"))
        })
    }

    /// What the observer saw.
    pub fn observation(self, ledger: &Ledger, open: &Open) -> Observation {
        let by = open.observer.as_ref().map(Observer::names);
        match (self.wrong, by, blind(ledger, ledger.seen(own(open)).bytes())) {
            (Some(wrong), by, _) => Observation { by: by.unwrap_or_default(), ..broken("leaves", wrong) },
            (None, Err(reason), _) => unchecked("leaves", reason.clone()),
            (None, Ok(_), Some(reason)) if ledger.changes() > 0 => unchecked("leaves", reason),
            (None, Ok(by), _) => Observation { by, ..held("leaves") },
        }
    }
}

/// Reads the leaves behind a range.
pub fn read(observer: &Observer, iova: u64, size: u64, at: &Path, tracer: &Tracer) -> Result<Vec<Leaf>, End> {
    let leaves = observer.leaves(iova, size);
    let leaves = leaves.map_err(|error| {
        let title = format!("failed to read the page table: {error}");
        End::Error(Problem::new(Code::Observer, at.clone(), title))
    })?;
    tracer.show(|| Call {
        name: "page_table".into(),
        fields: format!("iova={iova:#x}, size={size:#x}"),
        result: entries(&leaves),
        failed: false,
    });
    Ok(leaves)
}

/// The entries of the page table of the address space that a device was opened on, one per line, for people. Nothing where nothing shows it.
pub fn shown(ledger: &Ledger, open: &Open) -> Vec<String> {
    let Ok(observer) = &open.observer else { return Vec::new() };
    if let Some(reason) = blind(ledger, ledger.seen(own(open)).bytes()) {
        return vec![reason];
    }
    let leaves = match observer.leaves(0, u64::MAX) {
        Ok(leaves) => leaves,
        Err(error) => return vec![format!("failed to read the page table: {error}")],
    };
    let line = |leaf: &Leaf| {
        let Leaf { iova, phys, page_size, read, write, .. } = *leaf;
        let access = [(read, 'r'), (write, 'w')].map(|(may, letter)| if may { letter } else { '-' });
        format!("iova {iova:#x}: {} at {phys:#x} {}{}", Size(page_size), access[0], access[1])
    };
    let left = leaves.len().saturating_sub(MOST_ENTRIES);
    let more = (left > 0).then(|| format!("and {left} more"));
    leaves.iter().take(MOST_ENTRIES).map(line).chain(more).collect()
}

/// The address space that a device was opened on.
pub fn own(open: &Open) -> Space {
    open.session.ioas().map(|ioas| ioas.id())
}

/// Why the page table is not compared now where so much is mapped, in bytes.
fn blind(ledger: &Ledger, bytes: u64) -> Option<String> {
    let too_long = || format!("with {} mapped the dump of the page table may be too long", Size(bytes));
    ledger.lost().map(str::to_owned).or_else(|| (bytes > MOST_BYTES).then(too_long))
}

/// Compares the entries of the page table with mappings of the ledger, as far as both lie within a window, of which the first and the last
/// byte are given. Entries outside of `ranges` are the kernel's own; `own` is the address space that the device was opened on.
fn compare(
    (ledger, own): (&Ledger, Space),
    mappings: &Mappings,
    leaves: &[Leaf],
    ranges: &[IovaRange],
    (from, to): (u64, u64),
) -> Result<(), String> {
    let in_window = |first: u64, last: u64| last.min(to) - first.max(from) + 1;
    let is_small = ledger.has_small_pages(own);
    let mut covered: BTreeMap<u64, u64> = BTreeMap::new();
    for leaf in leaves.iter().filter(|leaf| ranges.iter().any(|r| r.start <= leaf.iova && leaf.iova <= r.last)) {
        let within = mappings.overlapping(leaf.iova, leaf.iova).next();
        let found = within.filter(|(_, mapped)| leaf.iova + (leaf.page_size - 1) <= mapped.last);
        let Some((first, mapped @ Mapped { access, .. })) = found else {
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
        // An IOMMU that is told ranges has no entries.
        if is_small && leaf.page_size > page_size() && leaf.entry_size.is_some() {
            return Err(format!(
                "the IOMMU's page table has an entry of {} at iova {:#x}, and the address space has to do with the smallest pages",
                Size(leaf.page_size),
                leaf.iova
            ));
        }
        leads_there(ledger, leaf, first, mapped)?;
        *covered.entry(first).or_default() += in_window(leaf.iova, leaf.iova + (leaf.page_size - 1));
    }
    for (first, Mapped { last, may_go, .. }) in mappings.iter() {
        let (covered, size) = (covered.get(&first).copied().unwrap_or(0), in_window(first, last));
        let is_taken_back = may_go && covered == 0;
        if covered != size && !is_taken_back {
            return Err(format!(
                "the IOMMU's page table has entries for {} of the {} that are mapped at iova {:#x}",
                Size(covered),
                Size(size),
                first.max(from)
            ));
        }
    }
    Ok(())
}

/// Fails if a leaf of a mapping, which begins at the IOVA `first`, leads to other memory than what was mapped.
fn leads_there(ledger: &Ledger, leaf: &Leaf, first: u64, mapped: Mapped) -> Result<(), String> {
    /// Above them, entries may have the marks of encrypted memory.
    const ADDRESS: u64 = (1 << 47) - 1;
    let Some(pages) = mapped.pages else { return Ok(()) };
    let size = page_size();
    // An entry may be smaller than a page of the process.
    let begin = leaf.iova - first;
    let pages = ledger.pages(pages, size).iter().skip((begin / size) as usize);
    let parts = (0..leaf.page_size.div_ceil(size)).zip(pages).filter(|(_, page)| **page > 0);
    for (part, page) in parts {
        let (within, expected) = (part * size, page + begin % size);
        let got = leaf.phys + within;
        if (got ^ expected) & ADDRESS != 0 {
            return Err(format!(
                "the IOMMU's page table leads from iova {:#x} to the physical address {got:#x}, and the memory that was mapped there is at \
                 {expected:#x}",
                leaf.iova + within
            ));
        }
    }
    Ok(())
}

fn ways(read: bool, write: bool) -> &'static str {
    match (read, write) {
        (true, true) => "read and write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "do nothing",
    }
}

/// Entries of a page table in one line.
fn entries(leaves: &[Leaf]) -> String {
    let shown = leaves.iter().take(MOST_SHOWN).map(|leaf| format!("{:#x}: {}", leaf.iova, Size(leaf.page_size)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match leaves.len() {
        0 => "no entry".to_owned(),
        1 => format!("1 entry {{{shown}}}"),
        count if count <= MOST_SHOWN => format!("{count} entries {{{shown}}}"),
        count => format!("{count} entries {{{shown}, …}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::Access,
        engine::ledger::tests::{OWN, PAGE, two},
        model::BackendName,
    };

    fn leaf(page: u64) -> Leaf {
        Leaf {
            iova: page * PAGE,
            phys: (100 + page) * PAGE,
            page_size: PAGE,
            entry_size: Some(PAGE),
            read: true,
            write: true,
            always_readable: false,
        }
    }

    fn against(ledger: &Ledger, leaves: &[Leaf]) -> Result<(), String> {
        compare(
            (ledger, OWN),
            ledger.mappings(OWN),
            leaves,
            &[IovaRange { start: 0, last: 0xffff_ffff }],
            (0, u64::MAX),
        )
    }

    #[test]
    fn an_entry_leads_to_the_memory_that_was_mapped() {
        let mut ledger = two(BackendName::Iommufd);
        ledger.pinned(OWN, 8 * PAGE, vec![108 * PAGE, 109 * PAGE, 0, 111 * PAGE]);
        let mut all: Vec<Leaf> = [0, 1, 2, 3, 8, 9, 10, 11].map(leaf).to_vec();
        all[6].phys = 7 * PAGE; // where that page is, is not known
        all[7].phys |= 1 << 47; // it is encrypted
        against(&ledger, &all).unwrap();
        all[5].phys = 99 * PAGE;
        let told = "the IOMMU's page table leads from iova 0x9000 to the physical address 0x63000, and the memory that was mapped there is at \
                    0x6d000";
        assert_eq!(against(&ledger, &all).unwrap_err(), told);
        let large = [&all[..4], &[Leaf { page_size: 4 * PAGE, ..leaf(8) }]].concat();
        against(&ledger, &large).unwrap();
        ledger.pinned(OWN, 8 * PAGE, vec![108 * PAGE, 109 * PAGE, 110 * PAGE, 115 * PAGE]);
        assert!(
            against(&ledger, &large).unwrap_err().contains("leads from iova 0xb000 to the physical address 0x6f000")
        );
    }

    #[test]
    fn the_page_table_has_what_is_mapped_and_nothing_else() {
        let ledger = two(BackendName::Iommufd);
        let wrong = |leaves: &[Leaf]| against(&ledger, leaves).unwrap_err();
        let all: Vec<Leaf> = [0, 1, 2, 3, 8, 9, 10, 11].map(leaf).to_vec();
        against(&ledger, &all).unwrap();
        assert_eq!(
            wrong(&all[1..]),
            "the IOMMU's page table has entries for 12KiB of the 16KiB that are mapped at iova 0x0"
        );
        let more = [&all[..], &[leaf(12)]].concat();
        assert_eq!(wrong(&more), "the IOMMU's page table has an entry of 4KiB at iova 0xc000, where nothing is mapped");
        let mut wide = all.clone();
        wide[5].write = false;
        assert_eq!(
            wrong(&wide),
            "the IOMMU's page table lets the device read at iova 0x9000, and the mapping is for it to read and write"
        );
        let kernels_own = [&all[..], &[Leaf { iova: 0xfee0_0000 << 8, ..leaf(0) }]].concat();
        against(&ledger, &kernels_own).unwrap();
        let huge = Leaf { page_size: 2 << 20, ..leaf(0) };
        assert!(wrong(&[huge]).contains("an entry of 2MiB at iova 0x0"), "it maps more than was asked for");
    }

    #[test]
    fn where_the_smallest_pages_have_to_do_no_entry_is_larger() {
        let large = [Leaf { page_size: 4 * PAGE, ..leaf(0) }, Leaf { page_size: 4 * PAGE, ..leaf(8) }];
        let mut ledger = two(BackendName::Iommufd);
        against(&ledger, &large).unwrap();
        ledger.told_small(1, true);
        let wrong = "has an entry of 16KiB at iova 0x0, and the address space has to do with the smallest pages";
        assert!(against(&ledger, &large).unwrap_err().ends_with(wrong));
        ledger.told_small(1, false);
        against(&ledger, &large).unwrap();
        assert!(against(&two(BackendName::CompatType1), &large).is_err(), "it may unmap any part of them");
        against(&two(BackendName::CompatType1v2), &large).unwrap();
        let ranges = large.map(|leaf| Leaf { entry_size: None, ..leaf });
        against(&two(BackendName::CompatType1), &ranges).unwrap();
    }

    #[test]
    fn of_a_mapping_that_reaches_out_of_a_window_what_lies_within_is_compared() {
        let mut ledger = Ledger::new(BackendName::Iommufd);
        ledger.mapped(OWN, 0, 1 << 30, Access::READ_WRITE);
        let ranges = [IovaRange { start: 0, last: 0xffff_ffff }];
        let window = (4 * PAGE, 8 * PAGE - 1);
        let near = |leaves: &[Leaf]| compare((&ledger, OWN), ledger.mappings(OWN), leaves, &ranges, window);
        near(&[4, 5, 6, 7].map(leaf)).unwrap();
        near(&[Leaf { page_size: 1 << 30, ..leaf(0) }]).unwrap();
        let hole = near(&[4, 5, 7].map(leaf)).unwrap_err();
        assert_eq!(hole, "the IOMMU's page table has entries for 12KiB of the 16KiB that are mapped at iova 0x4000");
    }

    #[test]
    fn a_first_stage_table_lets_read_whoever_may_write() {
        let mut ledger = Ledger::new(BackendName::Iommufd);
        ledger.mapped(OWN, 0, PAGE, Access::WRITE);
        assert!(against(&ledger, &[leaf(0)]).is_err());
        against(&ledger, &[Leaf { always_readable: true, ..leaf(0) }]).unwrap();
    }

    #[test]
    fn a_page_table_is_compared_after_a_change_unless_it_is_too_long() {
        let (mut ledger, leaves) = (two(BackendName::Iommufd), Leaves::default());
        assert!(leaves.is_due(&ledger, false) && blind(&ledger, ledger.mappings(OWN).bytes()).is_none());
        let compared = Leaves { entries: MOST_ENTRIES, compared: ledger.changes(), ..Leaves::default() };
        assert!(!compared.is_due(&ledger, true));
        ledger.mapped(OWN, 1 << 30, 1 << 30, Access::READ);
        assert!(compared.is_due(&ledger, true) && !compared.is_due(&ledger, false));
        let mut large = Ledger::new(BackendName::Iommufd);
        large.mapped(OWN, 0, 1 << 30, Access::READ);
        assert_eq!(
            blind(&large, large.mappings(OWN).bytes()).unwrap(),
            "with 1GiB mapped the dump of the page table may be too long"
        );
    }
}
