// SPDX-License-Identifier: MIT OR Apache-2.0
//! IOVAs for mappings that do not name one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::uapi::IovaRange;

/// The largest alignment that helps: no IOMMU page is larger on any architecture.
const MOST_ALIGNMENT: u64 = 1 << 30;

/// Hands out free IOVAs from the ranges that the device may use, in ascending order; all are free when a case begins.
///
/// Clones share the state: steps that run at the same time get different IOVAs.
#[derive(Debug, Clone)]
pub struct IovaAllocator {
    ranges: Vec<IovaRange>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the last IOVA that was handed out ends; `None` at the top of the address space.
    next: Option<u64>,
    /// The ranges that the case or the kernel chose, first to last address. They neither overlap nor touch.
    taken: BTreeMap<u64, u64>,
}

/// The addresses that are in both.
pub fn common(one: &[IovaRange], other: &[IovaRange]) -> Vec<IovaRange> {
    let both = |a: &IovaRange, b: &IovaRange| IovaRange { start: a.start.max(b.start), last: a.last.min(b.last) };
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| both(a, b)));
    pairs.filter(|range| range.start <= range.last).collect()
}

impl State {
    /// Where `size` bytes (at least one) are free in `range`, at `next` or above; the first and the last address.
    fn find(&self, range: &IovaRange, next: u64, size: u64, alignment: u64) -> Option<(u64, u64)> {
        let mut start = next.max(range.start);
        loop {
            start = start.checked_next_multiple_of(alignment)?;
            let last = start.checked_add(size - 1).filter(|last| *last <= range.last)?;
            match self.taken.range(..=last).next_back() {
                Some((_, &taken)) if taken >= start => start = taken.checked_add(1)?,
                _ => return Some((start, last)),
            }
        }
    }
}

impl IovaAllocator {
    /// An allocator with every address of `ranges` free.
    pub fn new(ranges: Vec<IovaRange>) -> IovaAllocator {
        let state = State { next: Some(0), taken: BTreeMap::new() };
        IovaAllocator { ranges, state: Arc::new(Mutex::new(state)) }
    }

    /// Leaves only addresses that are also in these ranges; all that are, if there were none before.
    pub fn confine(&mut self, ranges: &[IovaRange]) {
        self.ranges = match self.ranges.is_empty() {
            true => ranges.to_vec(),
            false => common(&self.ranges, ranges),
        };
    }

    /// An IOVA with `size` bytes free, aligned to the next power of two of the size (at most 1 GiB), so that the IOMMU can use pages
    /// as large as those of the memory; `None` if there is no room.
    pub fn allocate(&self, size: u64, page_size: u64) -> Option<u64> {
        let alignment = size.checked_next_power_of_two().unwrap_or(MOST_ALIGNMENT).clamp(page_size, MOST_ALIGNMENT);
        let mut state = self.state();
        let next = state.next?;
        let found = self.ranges.iter().find_map(|range| state.find(range, next, size.max(1), alignment));
        let (start, last) = found?;
        state.next = last.checked_add(1);
        Some(start)
    }

    /// Keeps a range that the case or the kernel chose from being handed out.
    pub fn reserve(&self, iova: u64, size: u64) {
        let Some(more) = size.checked_sub(1) else { return };
        let mut state = self.state();
        let (mut start, mut last) = (iova, iova.saturating_add(more));
        while let Some((&other, &end)) = state.taken.range(..=last.saturating_add(1)).next_back()
            && end.saturating_add(1) >= start
        {
            state.taken.remove(&other);
            (start, last) = (start.min(other), last.max(end));
        }
        state.taken.insert(start, last);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VTD: [IovaRange; 2] =
        [IovaRange { start: 0, last: 0xfedf_ffff }, IovaRange { start: 0xfef0_0000, last: 0xffff_ffff_ffff }];

    #[test]
    fn iovas_are_aligned_to_what_is_mapped() {
        let iovas = IovaAllocator::new(VTD.to_vec());
        assert_eq!(iovas.allocate(4096, 4096), Some(0));
        assert_eq!(iovas.allocate(2 << 20, 4096), Some(2 << 20));
        assert_eq!(iovas.allocate(3 << 20, 4096), Some(4 << 20));
        assert_eq!(iovas.allocate(1 << 30, 4096), Some(1 << 30));
        assert_eq!(iovas.allocate(4096, 4096), Some(2 << 30));
    }

    #[test]
    fn reserved_ranges_are_stepped_over() {
        let iovas = IovaAllocator::new(VTD.to_vec());
        assert_eq!(iovas.allocate(4 << 30, 4096), Some(4 << 30), "it does not fit below the interrupt range");
    }

    #[test]
    fn ranges_that_the_case_or_the_kernel_chose_are_avoided_wherever_they_are() {
        let iovas = IovaAllocator::new(VTD.to_vec());
        // Given out of order, overlapping, side by side, and beyond what was handed out so far.
        for (page, pages) in [(5, 1), (1, 1), (2, 2), (3, 1), (40, 0)] {
            iovas.reserve(page << 12, pages << 12);
        }
        let next = || iovas.allocate(4096, 4096).map(|iova| iova >> 12);
        assert_eq!([next(), next(), next()], [Some(0), Some(4), Some(6)]);
        iovas.reserve(0, 8 << 12);
        assert_eq!(next(), Some(8));
        assert_eq!(iovas.state().taken, BTreeMap::from([(0, (8 << 12) - 1)]), "they are kept as one range");
        iovas.reserve(10 << 12, 1);
        assert_eq!(iovas.allocate(2 << 12, 4096), Some(12 << 12), "a part of a page is taken, too");
    }

    #[test]
    fn the_end_of_the_address_space_is_no_overflow() {
        let iovas = IovaAllocator::new(vec![IovaRange { start: 0, last: u64::MAX }]);
        iovas.reserve(0, u64::MAX - 4095);
        assert_eq!(iovas.allocate(4096, 4096), Some(u64::MAX - 4095));
        assert_eq!(iovas.allocate(4096, 4096), None);
        assert_eq!(IovaAllocator::new(vec![]).allocate(4096, 4096), None);
    }
}
