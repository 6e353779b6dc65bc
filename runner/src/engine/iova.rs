//! Which IOVAs a case gets when it does not ask for one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::uapi::IovaRange;

/// The largest alignment that helps: no IOMMU page is larger on any architecture.
const MOST_ALIGNMENT: u64 = 1 << 30;

/// Hands out free IOVAs from the ranges that the device may use, from the lowest up; a case begins with all of them free.
#[derive(Debug, Clone)]
pub struct IovaAllocator {
    ranges: Vec<IovaRange>,
    /// The first address that may be free; `None` once the top of the address space is taken. Clones share it: steps that run at the
    /// same time get different ones.
    next: Arc<Mutex<Option<u64>>>,
}

impl IovaAllocator {
    /// Everything is free.
    pub fn new(ranges: Vec<IovaRange>) -> IovaAllocator {
        IovaAllocator { ranges, next: Arc::new(Mutex::new(Some(0))) }
    }

    /// An IOVA with `size` bytes free, aligned to the next power of two of the size (at most 1 GiB) so that pages as large as
    /// the memory's can be used; `None` when there is no such room.
    pub fn allocate(&self, size: u64, page_size: u64) -> Option<u64> {
        let alignment = size.checked_next_power_of_two().unwrap_or(MOST_ALIGNMENT).clamp(page_size, MOST_ALIGNMENT);
        let mut free = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*free)?;
        for range in &self.ranges {
            let Some(start) = next.max(range.start).checked_next_multiple_of(alignment) else { continue };
            let Some(last) = start.checked_add(size.max(1) - 1) else { continue };
            if start >= range.start && last <= range.last {
                *free = last.checked_add(1);
                return Some(start);
            }
        }
        None
    }

    /// Keeps a range that a case chose itself from being handed out.
    pub fn reserve(&self, iova: u64, size: u64) {
        let mut free = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = *free
            && iova.saturating_add(size) > next
            && iova <= next
        {
            *free = iova.checked_add(size);
        }
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
    fn the_end_of_the_address_space_is_no_overflow() {
        let iovas = IovaAllocator::new(vec![IovaRange { start: 0, last: u64::MAX }]);
        iovas.reserve(0, u64::MAX - 4095);
        assert_eq!(iovas.allocate(4096, 4096), Some(u64::MAX - 4095));
        assert_eq!(iovas.allocate(4096, 4096), None);
        assert_eq!(IovaAllocator::new(vec![]).allocate(4096, 4096), None);
    }
}
