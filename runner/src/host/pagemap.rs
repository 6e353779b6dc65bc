// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the pages of this process are in the machine's memory (`Documentation/admin-guide/mm/pagemap.rst`).

use std::{fs::File, os::unix::fs::FileExt};

use super::Root;

const ENTRY: u64 = 8;
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The physical addresses of the pages that hold `size` bytes at `vaddr`, in order; 0 for each that is not there or not told. `None` if the
/// kernel does not say: it does so to root.
pub fn pages(root: &Root, vaddr: u64, size: u64, page: u64) -> Option<Vec<u64>> {
    let (first, last) = (vaddr / page, vaddr.checked_add(size.checked_sub(1)?)? / page);
    let mut entries = vec![0; usize::try_from((last - first + 1) * ENTRY).ok()?];
    // Not a file that stays open: it would go on speaking of this process in a child.
    let map = File::open(root.join("proc/self/pagemap")).ok()?;
    map.read_exact_at(&mut entries, first * ENTRY).ok()?;
    let (entries, _) = entries.as_chunks();
    let entries = entries.iter().map(|entry| u64::from_ne_bytes(*entry));
    let pages: Vec<u64> =
        entries.map(|entry| if entry & PRESENT == 0 { 0 } else { (entry & FRAME).saturating_mul(page) }).collect();
    pages.iter().any(|page| *page > 0).then_some(pages)
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn pages_are_found_by_their_virtual_addresses() {
        let tree = Tree::new("pagemap");
        let entries = [0, PRESENT | 1 << 55 | 0x1234, 7, PRESENT | 0x99];
        tree.put_bytes("proc/self/pagemap", &entries.map(u64::to_le_bytes).concat());
        let found = |vaddr, size| pages(&tree.root(), vaddr, size, 4096);
        assert_eq!(
            found(0x1000, 0x3000),
            Some(vec![0x123_4000, 0, 0x9_9000]),
            "a page that was swapped out is nowhere"
        );
        assert_eq!(found(0x1800, 0x1000), Some(vec![0x123_4000, 0]));
        assert_eq!(found(0, 0x1000), None);
        assert_eq!((found(0x3000, 0x2000), found(0x1000, 0), found(u64::MAX, 2)), (None, None, None));
    }
}
