// SPDX-License-Identifier: MIT OR Apache-2.0
//! The formats of page tables, and the walk through one in memory (`drivers/iommu/generic_pt/fmt/`, `drivers/iommu/io-pgtable-arm.c`).

use std::io;

use super::{Leaf, memory::Memory};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Second-stage tables of VT-d (`vtdss.h`).
    VtdSecondStage,
    /// Those of the processor: VT-d's first stage, and AMD's for guests (`x86_64.h`).
    X86,
    /// AMD's for the host (`amdv1.h`).
    AmdV1,
    /// Arm's with 64 bits (`io-pgtable-arm.c`).
    Lpae(Lpae),
}

/// What Arm's tables differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lpae {
    /// How many bytes the smallest page maps and a table has, as a power of two: 12, 14 or 16.
    pub granule: u8,
    /// How many bits of an IOVA it translates: its topmost table may be smaller or larger than the others.
    pub bits: u8,
    pub stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    First,
    Second,
}

/// A page table in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pub format: Format,
    /// The physical address of its topmost page.
    pub root: u64,
    /// How many levels it has; entries of level 1 map the smallest pages.
    pub levels: u8,
    /// What the device may do at most.
    pub read: bool,
    pub write: bool,
}

enum Entry {
    Empty,
    /// The next table and its level.
    Table(u64, u8),
    /// How many bytes it maps, as a power of two.
    Leaf(u32),
    /// This format has no such entry at this level.
    Unknown,
}

/// Where tables are, and where the address of a leaf's memory is.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Format {
    fn entry(self, entry: u64, level: u8) -> Entry {
        const LARGE: u64 = 1 << 7;
        let own = self.shift(level);
        match self {
            Format::VtdSecondStage if entry & 3 == 0 => Entry::Empty,
            Format::X86 | Format::AmdV1 if entry & 1 == 0 => Entry::Empty,
            Format::VtdSecondStage | Format::X86 if level == 1 || level <= 3 && entry & LARGE != 0 => Entry::Leaf(own),
            Format::VtdSecondStage | Format::X86 => Entry::Table(entry & ADDRESS, level - 1),
            // The size of such a page is in the number of ones at the end of its address.
            Format::AmdV1 => match (entry >> 9 & 7) as u8 {
                7 => Entry::Leaf(13 + ((entry & ADDRESS) >> 12).trailing_ones()),
                next if next == 0 || level == 1 => Entry::Leaf(own),
                next => Entry::Table(entry & ADDRESS, next),
            },
            Format::Lpae(lpae) => lpae.entry(entry, level, own),
        }
    }

    /// Whether an entry lets read and write.
    fn access(self, entry: u64, is_table: bool) -> (bool, bool) {
        let bit = |number: u32| entry >> number & 1 == 1;
        match self {
            Format::VtdSecondStage => (bit(0), bit(1)),
            Format::X86 => (true, bit(1)),
            Format::AmdV1 => (bit(61), bit(62)),
            Format::Lpae(Lpae { stage: Stage::Second, .. }) => {
                if is_table {
                    (true, true)
                } else {
                    (bit(6), bit(7))
                }
            }
            // What the entry of a table forbids, no entry below allows (APTable).
            Format::Lpae(Lpae { stage: Stage::First, .. }) if is_table => (!bit(61), !bit(61) && !bit(62)),
            // AP[1] lets unprivileged requests pass, as those of devices are. AP[2] forbids writing, unless DBM says that the SMMU clears
            // it with the first write.
            Format::Lpae(Lpae { stage: Stage::First, .. }) => (bit(6), bit(6) && (!bit(7) || bit(51))),
        }
    }

    /// An entry of a level maps as many bytes as 1 shifted by this.
    fn shift(self, level: u8) -> u32 {
        let granule = match self {
            Format::VtdSecondStage | Format::X86 | Format::AmdV1 => 12,
            Format::Lpae(lpae) => u32::from(lpae.granule),
        };
        granule + (granule - ENTRY) * u32::from(level - 1)
    }

    /// How many entries a table has.
    fn entries(self) -> usize {
        match self {
            Format::VtdSecondStage | Format::X86 | Format::AmdV1 => 512,
            Format::Lpae(lpae) => 1 << (u32::from(lpae.granule) - ENTRY),
        }
    }

    /// The same of its topmost one; `None` if no table has that many levels.
    fn topmost(self, levels: u8) -> Option<usize> {
        match self {
            Format::VtdSecondStage | Format::X86 | Format::AmdV1 => (1..=6).contains(&levels).then_some(512),
            Format::Lpae(lpae) => {
                // The second stage may begin with up to 16 tables beside each other.
                const MOST_TABLES: usize = 16;
                let known = [12, 14, 16].contains(&lpae.granule) && (1..=4).contains(&levels);
                let bits = u32::from(lpae.bits).checked_sub(known.then(|| self.shift(levels))?)?;
                1_usize.checked_shl(bits).filter(|entries| *entries <= MOST_TABLES * self.entries())
            }
        }
    }

    /// Where the memory of an entry of a level is, which belongs to a page of this size, as a power of two.
    fn phys(self, entry: u64, index: usize, level: u8, size: u32) -> u64 {
        let own = self.shift(level);
        match self {
            Format::VtdSecondStage | Format::X86 | Format::AmdV1 => {
                // The page's address is the same in all of its entries. The bits below it say other things.
                let page = entry & ADDRESS & !((1 << size) - 1);
                page + (((index as u64) << own) & ((1 << size) - 1))
            }
            Format::Lpae(lpae) => lpae.address(entry),
        }
    }

    /// How much further the memory of an entry begins than that of the one before, if both belong to one page.
    fn step(self, level: u8) -> u64 {
        match self {
            Format::VtdSecondStage | Format::X86 | Format::AmdV1 => 0,
            Format::Lpae(_) => 1 << self.shift(level),
        }
    }
}

impl Lpae {
    fn entry(self, entry: u64, level: u8, own: u32) -> Entry {
        const CONTIGUOUS: u64 = 1 << 52;
        // How many entries one page takes that they say so of, as a power of two.
        let together = match (self.granule, level) {
            (12, _) => 4,
            (14, 1) => 7,
            _ => 5,
        };
        // With 4 KiB, blocks are of 2 MiB and 1 GiB, with 16 KiB of 32 MiB, with 64 KiB of 512 MiB and 4 TiB.
        let largest = if self.granule == 14 { 2 } else { 3 };
        match (entry & 3, level) {
            (0 | 2, _) => Entry::Empty,
            (3, 1) => Entry::Leaf(own + if entry & CONTIGUOUS == 0 { 0 } else { together }),
            (1, 2..) if level <= largest => Entry::Leaf(own + if entry & CONTIGUOUS == 0 { 0 } else { together }),
            (3, _) => Entry::Table(self.address(entry), level - 1),
            _ => Entry::Unknown,
        }
    }

    /// Where the table below is. With 64 KiB the bits above 47 are in the place of those that are always zero (`iopte_to_paddr`).
    fn address(self, entry: u64) -> u64 {
        let low = entry & 0x0000_ffff_ffff_f000 & !((1 << self.granule) - 1);
        let high = if self.granule == 16 { (entry >> 12 & 0xf) << 48 } else { 0 };
        low | high
    }
}

/// The bytes of an entry, as a power of two.
const ENTRY: u32 = 3;

impl Table {
    /// The leaves that map any of the bytes from `first` to `last`, in order.
    ///
    /// # Errors
    /// The table cannot be read, or it does not have this format.
    pub fn leaves(&self, memory: &Memory, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let mut walk = Walk { format: self.format, memory, first, last, leaves: Vec::new() };
        let Some(entries) = self.format.topmost(self.levels) else {
            return Err(io::Error::other(format!("a page table cannot have {} levels", self.levels)));
        };
        walk.table((self.root, entries), self.levels, 0, (self.read, self.write))?;
        Ok(walk.leaves)
    }
}

struct Walk<'m> {
    format: Format,
    memory: &'m Memory,
    first: u64,
    last: u64,
    leaves: Vec<Leaf>,
}

impl Walk<'_> {
    fn table(
        &mut self,
        (phys, entries): (u64, usize),
        level: u8,
        start: u64,
        (read, write): (bool, bool),
    ) -> io::Result<()> {
        let shift = self.format.shift(level);
        let index_of = |iova: u64| usize::try_from(iova.saturating_sub(start) >> shift).unwrap_or(usize::MAX);
        let (mut index, end) = (index_of(self.first), index_of(self.last).saturating_add(1).min(entries));
        if index >= end {
            return Ok(());
        }
        // No more than what is asked for, which is little where a table is read after each call.
        let mut from = index;
        let mut page = self.memory.table(phys + ((from as u64) << ENTRY), end - from)?;
        while index < end {
            let (at, entry) = (index as u64, page[index - from]);
            index += 1;
            if entry == 0 {
                continue;
            }
            // The topmost level of six has entries beyond the last address.
            if at > (u64::MAX - start) >> shift {
                break;
            }
            let iova = start + (at << shift);
            let kind = self.format.entry(entry, level);
            let allowed = self.format.access(entry, matches!(kind, Entry::Table(..)));
            let allowed = (read && allowed.0, write && allowed.1);
            match kind {
                Entry::Empty => {}
                Entry::Table(next, below) if below < level => {
                    self.table((next, self.format.entries()), below, iova, allowed)?;
                }
                Entry::Table(..) | Entry::Unknown => return Err(unknown(entry, iova)),
                Entry::Leaf(size) => {
                    // The page may have entries beside what was read.
                    if size > shift && page.len() < entries {
                        (from, page) = (0, self.memory.table(phys, entries)?);
                    }
                    let (within, page_size) =
                        self.leaf(&page, index - 1 - from, level, size).ok_or_else(|| unknown(entry, iova))?;
                    let first = start + (((from + within) as u64) << shift);
                    let phys = self.format.phys(page[within], from + within, level, size);
                    let (read, write) = allowed;
                    let always_readable = match self.format {
                        Format::VtdSecondStage | Format::AmdV1 | Format::Lpae(Lpae { stage: Stage::Second, .. }) => {
                            false
                        }
                        Format::X86 | Format::Lpae(Lpae { stage: Stage::First, .. }) => true,
                    };
                    self.leaves.push(Leaf {
                        iova: first,
                        phys,
                        page_size,
                        entry_size: Some(1 << shift),
                        read,
                        write,
                        always_readable,
                    });
                    index = from + within + (page_size >> shift) as usize;
                }
            }
        }
        Ok(())
    }

    /// The first entry of the leaf that this one belongs to, and how many bytes it maps. A page that is larger than an entry of its level
    /// takes several, which differ in nothing but where their part of it is; where they differ, each of them is one of its own.
    fn leaf(&self, page: &[u64], index: usize, level: u8, size: u32) -> Option<(usize, u64)> {
        let (own, step) = (self.format.shift(level), self.format.step(level));
        let count = 1_usize.checked_shl(size.checked_sub(own)?).filter(|count| *count <= page.len())?;
        let first = index - index % count;
        let mut parts = page[first..].iter().zip(0..count as u64);
        let whole = parts.all(|(entry, part)| *entry == page[first].wrapping_add(part * step));
        Some(if whole { (first, 1 << size) } else { (index, 1 << own) })
    }
}

fn unknown(entry: u64, iova: u64) -> io::Error {
    io::Error::other(format!("failed to read the entry {entry:#018x} of the page table at iova {iova:#x}"))
}

#[cfg(test)]
mod tests {
    use super::super::memory::{
        Page,
        tests::{memory, page},
    };
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const EMPTY: Page = [0; 512];

    fn table(format: Format, levels: u8) -> Table {
        Table { format, root: 0, levels, read: true, write: true }
    }

    fn seen(leaves: io::Result<Vec<Leaf>>) -> Vec<(u64, u64, bool, bool)> {
        leaves.unwrap().into_iter().map(|leaf| (leaf.iova, leaf.page_size, leaf.read, leaf.write)).collect()
    }

    #[test]
    fn a_second_stage_table_has_leaves_of_three_sizes() {
        let pages = [
            page(&[(0, 0x1003), (1, 0x1_0000_0081)]),
            page(&[(0, 0x2003), (1, 0x1_7b40_0083)]),
            page(&[(16, 0x1_40b8_f003), (17, 0x1_491e_5001), (18, 0x1_491e_2002)]),
        ];
        let memory = memory("second-stage", &pages);
        let leaves = |first, last| seen(table(Format::VtdSecondStage, 3).leaves(&memory, first, last));
        let small =
            [(64 * KIB, 4 * KIB, true, true), (68 * KIB, 4 * KIB, true, false), (72 * KIB, 4 * KIB, false, true)];
        assert_eq!(leaves(0, MIB), small);
        assert_eq!(leaves(69 * KIB, 69 * KIB), small[1..2]);
        assert_eq!(leaves(4 * MIB - 1, GIB), [(2 * MIB, 2 * MIB, true, true), (GIB, GIB, true, false)]);
        assert_eq!(leaves(0, u64::MAX).len(), 5);
        assert_eq!(leaves(4 * MIB, GIB - 1), []);
    }

    #[test]
    fn a_first_stage_table_lets_read_what_is_present() {
        let memory = memory("first-stage", &[page(&[(0, 0x1067)]), page(&[(1, 0x17b4_00e7), (2, 0x17b6_00a5)])]);
        let leaves = table(Format::X86, 3).leaves(&memory, 0, u64::MAX).unwrap();
        assert!(leaves.iter().all(|leaf| leaf.read && leaf.always_readable));
        let found: Vec<_> = leaves.iter().map(|leaf| (leaf.iova, leaf.page_size, leaf.write)).collect();
        assert_eq!(found, [(2 * MIB, 2 * MIB, true), (4 * MIB, 2 * MIB, false)]);
    }

    #[test]
    fn amds_pages_have_every_size() {
        const ALL: u64 = 3 << 61 | 1;
        // As amdv1pt_install_leaf_entry writes them: 16 KiB are four entries of the first level that all say so.
        let of_16k = 3 << 61 | 7 << 9 | 0x4_1000 | 1;
        let read = 1 << 61 | 0x5000 | 1;
        let pages = [
            page(&[(0, ALL | 2 << 9 | 0x1000), (3, ALL | 1 << 9 | 0x2000)]),
            page(&[(0, ALL | 1 << 9 | 0x2000), (2, ALL | 0x20_0000), (4, ALL | 7 << 9 | 0x1f_f000), (5, 0)]),
            page(&[(0, of_16k), (1, of_16k), (2, of_16k), (3, of_16k), (4, of_16k), (6, of_16k), (9, read)]),
        ];
        let memory = memory("amdv1", &pages);
        let leaves = |first, last| seen(table(Format::AmdV1, 3).leaves(&memory, first, last));
        let all = leaves(0, GIB - 1);
        assert_eq!(all[0], (0, 16 * KIB, true, true));
        assert_eq!(all[1..3], [(16 * KIB, 4 * KIB, true, true), (24 * KIB, 4 * KIB, true, true)], "half of it is gone");
        assert_eq!(all[3..5], [(36 * KIB, 4 * KIB, true, false), (4 * MIB, 2 * MIB, true, true)]);
        // It says 4 MiB, and the other half of it is gone.
        assert_eq!(all[5..], [(8 * MIB, 2 * MIB, true, true)]);
        // A table may be some levels below.
        assert_eq!(leaves(3 * GIB, u64::MAX)[0], (3 * GIB, 16 * KIB, true, true));
        // Within a page.
        assert_eq!(leaves(5 * KIB, 6 * KIB), [(0, 16 * KIB, true, true)]);
        let barred = Table { write: false, ..table(Format::AmdV1, 3) };
        assert_eq!(seen(barred.leaves(&memory, 0, 0)), [(0, 16 * KIB, true, false)]);
    }

    #[test]
    fn the_last_of_six_levels_ends_with_the_last_address() {
        let top = |index: usize| page(&[(index, 3 << 61 | 1 << 9 | 0x1000 | 1)]);
        let second = page(&[(511, 3 << 61 | 0x7000 | 1)]);
        for (index, found) in [(127, 1), (128, 0)] {
            let memory = memory("six-levels", &[top(index), second]);
            assert_eq!(table(Format::AmdV1, 6).leaves(&memory, 0, u64::MAX).unwrap().len(), found);
        }
    }

    fn lpae(granule: u8, bits: u8, stage: Stage, levels: u8) -> Table {
        table(Format::Lpae(Lpae { granule, bits, stage }), levels)
    }

    #[test]
    fn arms_first_stage_has_leaves_of_three_sizes() {
        // As arm_lpae_prot_to_pte has them: nG, AF, inner shareable, cached, for unprivileged requests.
        const ALL: u64 = 1 << 11 | 1 << 10 | 3 << 8 | 1 << 6 | 1 << 2;
        const READ: u64 = ALL | 1 << 7;
        const CLEAN: u64 = READ | 1 << 51;
        let pages = [
            page(&[(0, 0x1003), (511, 0x1003)]),
            page(&[(0, 0x2003), (1, 0x1_0000_0000 | READ | 1), (2, 0x2003 | 1 << 62)]),
            page(&[(0, 0x3003), (1, 0x1_7b40_0000 | CLEAN | 1)]),
            page(&[(16, 0x1_40b8_f000 | ALL | 3), (17, 0x1_491e_5000 | READ | 3), (18, 0x8000 | ALL & !(1 << 6) | 3)]),
        ];
        let memory = memory("lpae", &pages);
        let table = lpae(12, 48, Stage::First, 4);
        let leaves = |first, last| seen(table.leaves(&memory, first, last));
        let small =
            [(64 * KIB, 4 * KIB, true, true), (68 * KIB, 4 * KIB, true, false), (72 * KIB, 4 * KIB, false, false)];
        assert_eq!(leaves(0, MIB), small);
        assert_eq!(leaves(2 * MIB, 2 * GIB - 1), [(2 * MIB, 2 * MIB, true, true), (GIB, GIB, true, false)]);
        assert!(leaves(2 * GIB, 3 * GIB - 1).iter().all(|leaf| !leaf.3), "the table above forbids writing");
        assert!(table.leaves(&memory, 0, MIB).unwrap().iter().all(|leaf| leaf.always_readable));
        // 39 bits begin one level below, and the last of 48 bits ends the table.
        let short = Table { root: 0x1000, ..lpae(12, 39, Stage::First, 3) };
        assert_eq!(seen(short.leaves(&memory, 0, GIB - 1)), leaves(0, GIB - 1));
        assert_eq!(leaves(511 << 39, u64::MAX).len(), 2 * 4 + 1);
        // Of 32 bits the topmost table has four entries; what is behind them is something else.
        let tiny = Table { root: 0x1000, ..lpae(12, 32, Stage::First, 3) };
        assert_eq!(seen(tiny.leaves(&memory, 0, u64::MAX)).len(), 2 * 4 + 1);
    }

    #[test]
    fn arms_second_stage_says_what_is_allowed_each_by_a_bit() {
        let block = |phys: u64, access: u64| phys | 1 << 10 | access << 6 | 0xf << 2 | 1;
        let mut pages = [EMPTY; 4];
        // Two topmost tables of 1 GiB entries beside each other: 40 bits.
        pages[1][0] = 0x3003;
        pages[3] = page(&[(0, block(0x7000_0000, 1)), (1, block(0x7020_0000, 2))]);
        let memory = memory("lpae-2", &pages);
        let leaves = lpae(12, 40, Stage::Second, 3).leaves(&memory, 0, u64::MAX).unwrap();
        assert!(leaves.iter().all(|leaf| !leaf.always_readable));
        let at = 512 * GIB;
        assert_eq!(seen(Ok(leaves)), [(at, 2 * MIB, true, false), (at + 2 * MIB, 2 * MIB, false, true)]);
    }

    #[test]
    fn arms_pages_of_64_kib_have_larger_tables() {
        const ALL: u64 = 1 << 10 | 1 << 6;
        // 42 bits: the topmost table has 8192 entries, as the one below: 16 pages each.
        let mut pages = vec![EMPTY; 48];
        pages[0][0] = 0x2_0000 | 3;
        pages[0][1] = 0x2_2000_0000 | ALL | 1;
        pages[15][511] = 0x4_2000_0000 | ALL | 1;
        pages[32][3] = 0x7_0000 | ALL | 3;
        let memory = memory("lpae-64k", &pages);
        let found = seen(lpae(16, 42, Stage::First, 2).leaves(&memory, 0, u64::MAX));
        let large = 512 * MIB;
        assert_eq!(
            found,
            [(192 * KIB, 64 * KIB, true, true), (large, large, true, true), (8191 * large, large, true, true)]
        );
        let lpae = Lpae { granule: 16, bits: 52, stage: Stage::First };
        assert_eq!(lpae.address(0x1234_5678_0000 | 0xa000 | 3), 0xa_1234_5678_0000);
        assert_eq!(Lpae { granule: 14, ..lpae }.address(0x1234_5678_4003), 0x1234_5678_4000);
    }

    #[test]
    fn entries_that_say_so_are_one_page_of_arms() {
        const ALL: u64 = 1 << 52 | 1 << 10 | 1 << 6 | 3;
        let run = |count: u64| -> Vec<(usize, u64)> {
            (0..count).map(|part| (16 + part as usize, (0x9_0000 + (part << 12)) | ALL)).collect()
        };
        for (what, entries, sizes) in [("whole", run(16), vec![64 * KIB]), ("half", run(8), vec![4 * KIB; 8])] {
            let memory = memory(&format!("lpae-{what}"), &[page(&[(0, 0x1003)]), page(&entries)]);
            let leaves = seen(lpae(12, 30, Stage::First, 2).leaves(&memory, 0, u64::MAX));
            assert_eq!(leaves.iter().map(|leaf| leaf.1).collect::<Vec<_>>(), sizes, "{what}");
        }
    }

    #[test]
    fn what_arm_has_at_no_level_is_an_error() {
        let block = |level: usize| {
            let mut pages = [EMPTY; 4];
            (0..3).for_each(|table| pages[table][0] = (table as u64 + 1) << 12 | 3);
            pages[level][0] = 0x4000_0001;
            memory("lpae-unknown", &pages)
        };
        let leaves = |memory: Memory| lpae(12, 48, Stage::First, 4).leaves(&memory, 0, 0);
        assert!(leaves(block(0)).is_err() && leaves(block(3)).is_err());
        assert!(leaves(block(1)).is_ok() && leaves(block(2)).is_ok());
        for (granule, bits, levels) in [(13, 48, 4), (12, 48, 5), (12, 48, 2), (12, 30, 4), (12, 48, 0)] {
            let memory = memory("lpae-levels", &[EMPTY]);
            assert!(
                lpae(granule, bits, Stage::First, levels).leaves(&memory, 0, 0).is_err(),
                "{granule} {bits} {levels}"
            );
        }
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        let memory = memory("no-table", &[page(&[(0, 0xf000_0003), (1, 3 << 61 | 3 << 9 | 1)])]);
        assert!(table(Format::VtdSecondStage, 3).leaves(&memory, 0, 0).is_err(), "there is no memory");
        assert!(table(Format::VtdSecondStage, 7).leaves(&memory, 0, 0).is_err());
        let error = table(Format::AmdV1, 3).leaves(&memory, GIB, GIB).unwrap_err().to_string();
        assert!(error.contains("at iova 0x40000000"), "its level is not below: {error}");
    }
}
