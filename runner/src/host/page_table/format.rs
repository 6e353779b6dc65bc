// SPDX-License-Identifier: MIT OR Apache-2.0
//! The formats of page tables, and the walk through one in memory (`drivers/iommu/generic_pt/fmt/`).

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
}

/// A page table in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pub format: Format,
    /// The physical address of its topmost page.
    pub root: u64,
    /// How many levels it has; entries of level 1 map 4 KiB.
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
}

/// Where tables are, and where the address of a leaf's memory is.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Format {
    fn entry(self, entry: u64, level: u8) -> Entry {
        const LARGE: u64 = 1 << 7;
        let own = shift(level);
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
        }
    }

    /// Whether an entry lets read and write.
    fn access(self, entry: u64) -> (bool, bool) {
        let bit = |number: u32| entry >> number & 1 == 1;
        match self {
            Format::VtdSecondStage => (bit(0), bit(1)),
            Format::X86 => (true, bit(1)),
            Format::AmdV1 => (bit(61), bit(62)),
        }
    }
}

/// An entry of a level maps as many bytes as 1 shifted by this.
fn shift(level: u8) -> u32 {
    3 + 9 * u32::from(level)
}

impl Table {
    /// The leaves that map any of the bytes from `first` to `last`, in order.
    ///
    /// # Errors
    /// The table cannot be read, or it does not have this format.
    pub fn leaves(&self, memory: &Memory, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let mut walk = Walk { format: self.format, memory, first, last, leaves: Vec::new() };
        if !(1..=6).contains(&self.levels) {
            return Err(io::Error::other(format!("a page table cannot have {} levels", self.levels)));
        }
        walk.page(self.root, self.levels, 0, (self.read, self.write))?;
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
    fn page(&mut self, phys: u64, level: u8, start: u64, (read, write): (bool, bool)) -> io::Result<()> {
        let page = self.memory.page(phys)?;
        let shift = shift(level);
        let mut index = 0;
        while index < page.len() {
            let (at, entry) = (index as u64, page[index]);
            index += 1;
            // The topmost level of six has entries beyond the last address.
            if at > (u64::MAX - start) >> shift {
                break;
            }
            let iova = start + (at << shift);
            if iova > self.last {
                break;
            }
            if iova + ((1 << shift) - 1) < self.first {
                continue;
            }
            let allowed = self.format.access(entry);
            let allowed = (read && allowed.0, write && allowed.1);
            match self.format.entry(entry, level) {
                Entry::Empty => {}
                Entry::Table(next, below) if below < level => self.page(next, below, iova, allowed)?,
                Entry::Table(..) => return Err(unknown(entry, iova)),
                Entry::Leaf(size) => {
                    let leaf = self.leaf(&page[..], index - 1, level, size).ok_or_else(|| unknown(entry, iova))?;
                    let first = start + ((leaf.0 as u64) << shift);
                    let (read, write) = allowed;
                    let always_readable = self.format == Format::X86;
                    self.leaves.push(Leaf {
                        iova: first,
                        page_size: leaf.1,
                        entry_size: Some(1 << shift),
                        read,
                        write,
                        always_readable,
                    });
                    index = leaf.0 + (leaf.1 >> shift) as usize;
                }
            }
        }
        Ok(())
    }

    /// The first entry of the leaf that this one belongs to, and how many bytes it maps. A page that is larger than an entry of its level
    /// takes several, all the same; where they differ, each of them is one of its own.
    fn leaf(&self, page: &[u64], index: usize, level: u8, size: u32) -> Option<(usize, u64)> {
        let own = shift(level);
        let count = 1_usize.checked_shl(size.checked_sub(own)?).filter(|count| *count <= page.len())?;
        let first = index - index % count;
        let whole = page[first..first + count].iter().all(|entry| *entry == page[index]);
        Some(if whole { (first, 1 << size) } else { (index, 1 << own) })
    }
}

fn unknown(entry: u64, iova: u64) -> io::Error {
    io::Error::other(format!("failed to read the entry {entry:#018x} of the page table at iova {iova:#x}"))
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Page, tests::memory};
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const EMPTY: Page = [0; 512];

    fn page(entries: &[(usize, u64)]) -> Page {
        let mut page = EMPTY;
        entries.iter().for_each(|(index, entry)| page[*index] = *entry);
        page
    }

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

    #[test]
    fn what_is_no_table_is_an_error() {
        let memory = memory("no-table", &[page(&[(0, 0xf000_0003), (1, 3 << 61 | 3 << 9 | 1)])]);
        assert!(table(Format::VtdSecondStage, 3).leaves(&memory, 0, 0).is_err(), "there is no memory");
        assert!(table(Format::VtdSecondStage, 7).leaves(&memory, 0, 0).is_err());
        let error = table(Format::AmdV1, 3).leaves(&memory, GIB, GIB).unwrap_err().to_string();
        assert!(error.contains("at iova 0x40000000"), "its level is not below: {error}");
    }
}
