// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pages devices wrote: page tables of IOMMUFD note it where the hardware can, VFIO's own TYPE1 takes every pinned page for
//! written (`drivers/iommu/iommufd/hw_pagetable.c`, `drivers/vfio/vfio_iommu_type1.c`).

use std::os::fd::BorrowedFd;

use iommufd_bindings as sys;
use vfio_bindings::bindings::vfio;

use super::ioctl::{io, with_struct};
use super::{Tracer, trace::zero, vfio::request};
use crate::model::Errno;

/// `IOMMU_HWPT_SET_DIRTY_TRACKING`: begins or ends to note the pages that devices dirty; needs a page table
/// made with [`DIRTY_TRACKING`](super::hwpt::DIRTY_TRACKING).
pub fn hwpt_set_dirty_tracking(iommufd: BorrowedFd, hwpt: u32, enable: bool, tracer: &Tracer) -> Result<(), Errno> {
    let size = size_of::<sys::iommu_hwpt_set_dirty_tracking>() as u32;
    let on = sys::iommufd_hwpt_set_dirty_tracking_flags_IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
    let flags = if enable { on } else { 0 };
    let mut arg = sys::iommu_hwpt_set_dirty_tracking { size, flags, hwpt_id: hwpt, __reserved: 0 };
    // SAFETY: the request takes this struct of `size` bytes.
    let run = || unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING), &mut arg) };
    let shown = if enable { "ENABLE" } else { "0" };
    let fields = format!("size={size}, flags={shown}, hwpt_id={hwpt}");
    tracer.on_file(iommufd, "IOMMU_HWPT_SET_DIRTY_TRACKING", fields, run, zero).map(drop)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtyBitmap {
    /// A bit for each page, the lowest one first.
    words: Vec<u64>,
    pages: u64,
}

impl DirtyBitmap {
    pub fn pages(&self) -> u64 {
        self.pages
    }

    pub fn dirty(&self) -> impl Iterator<Item = u64> {
        (0..self.pages).filter(|page| self.words[(page / 64) as usize] & (1 << (page % 64)) != 0)
    }

    pub fn count(&self) -> u64 {
        self.dirty().count() as u64
    }
}

/// More pages than this in one bitmap are refused with `ENOMEM`: 1 TiB in pages of 4 KiB.
const MOST_PAGES: u64 = 1 << 28;

/// `IOMMU_HWPT_GET_DIRTY_BITMAP`: the pages of `page_size` bytes that devices dirtied in a range, in bytes; all are taken
/// for clean again, unless `no_clear`.
pub fn hwpt_dirty_bitmap(
    iommufd: BorrowedFd,
    hwpt: u32,
    iova: u64,
    length: u64,
    page_size: u64,
    no_clear: bool,
    tracer: &Tracer,
) -> Result<DirtyBitmap, Errno> {
    let (mut words, pages) = room(length, page_size)?;
    let size = size_of::<sys::iommu_hwpt_get_dirty_bitmap>() as u32;
    let keep = sys::iommufd_hwpt_get_dirty_bitmap_flags_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;
    let mut arg = sys::iommu_hwpt_get_dirty_bitmap {
        size,
        hwpt_id: hwpt,
        flags: if no_clear { keep } else { 0 },
        __reserved: 0,
        iova,
        length,
        page_size,
        data: words.as_mut_ptr() as u64,
    };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes, and sets bits in whole 64-bit words at data: a bit for
        // each page of the range, which is the vector's length; it outlives the call.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP), &mut arg) }?;
        Ok(DirtyBitmap { words, pages })
    };
    let kept = if no_clear { "NO_CLEAR" } else { "0" };
    let fields = format!(
        "size={size}, hwpt_id={hwpt}, flags={kept}, iova={iova:#x}, length={length:#x}, page_size={page_size:#x}"
    );
    tracer.on_file(iommufd, "IOMMU_HWPT_GET_DIRTY_BITMAP", fields, run, shown)
}

/// `VFIO_IOMMU_DIRTY_PAGES` on a container: begins or ends to note the pages that devices dirty; `ENOTTY` where IOMMUFD plays it.
pub fn type1_set_dirty_tracking(container: BorrowedFd, enable: bool, tracer: &Tracer) -> Result<(), Errno> {
    let argsz = size_of::<vfio::vfio_iommu_type1_dirty_bitmap>() as u32;
    let start = (vfio::VFIO_IOMMU_DIRTY_PAGES_FLAG_START, "START");
    let (flags, shown) = if enable { start } else { (vfio::VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, "STOP") };
    let mut words = [argsz, flags];
    // SAFETY: the request takes a struct of these two words, and with these flags nothing behind it.
    let run = || unsafe { with_struct(container, request(17), &mut words) };
    tracer.on_file(container, "VFIO_IOMMU_DIRTY_PAGES", format!("argsz={argsz}, flags={shown}"), run, zero).map(drop)
}

/// `VFIO_IOMMU_DIRTY_PAGES` with `GET_BITMAP`: the pages of `page_size` bytes that devices dirtied in a range of whole mappings;
/// those that are not pinned are clean afterwards.
pub fn type1_dirty_bitmap(
    container: BorrowedFd,
    iova: u64,
    size: u64,
    page_size: u64,
    tracer: &Tracer,
) -> Result<DirtyBitmap, Errno> {
    let (mut words, pages) = room(size, page_size)?;
    let bytes = words.len() as u64 * 8;
    // A vfio_iommu_type1_dirty_bitmap, and a vfio_iommu_type1_dirty_bitmap_get behind it.
    let argsz = size_of::<vfio::vfio_iommu_type1_dirty_bitmap>() + size_of::<vfio::vfio_iommu_type1_dirty_bitmap_get>();
    let head = u64::from(vfio::VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) << 32 | argsz as u64;
    let head = if cfg!(target_endian = "big") { head.rotate_left(32) } else { head };
    let mut arg = [head, iova, size, page_size, bytes, words.as_mut_ptr() as u64];
    let run = || {
        // SAFETY: the request takes these structs of argsz bytes, and sets bits in the bitmap of that many bytes at its
        // address: a vector of just that length, which outlives the call.
        unsafe { with_struct(container, request(17), &mut arg) }?;
        Ok(DirtyBitmap { words, pages })
    };
    let fields =
        format!("argsz={argsz}, flags=GET_BITMAP, iova={iova:#x}, size={size:#x}, pgsize={page_size:#x}, size={bytes}");
    tracer.on_file(container, "VFIO_IOMMU_DIRTY_PAGES", fields, run, shown)
}

/// Words for the bitmap of a range, and the number of its pages.
fn room(length: u64, page_size: u64) -> Result<(Vec<u64>, u64), Errno> {
    // The kernel counts in the lowest bit that is set, and refuses 0 by itself.
    let page = 1u64.checked_shl(page_size.trailing_zeros()).unwrap_or(u64::MAX);
    let pages = length.div_ceil(page);
    if pages > MOST_PAGES {
        return Err(Errno(libc::ENOMEM));
    }
    Ok((vec![0; pages.div_ceil(64).max(1) as usize], pages))
}

fn shown(bitmap: &DirtyBitmap) -> String {
    format!("0 {{dirty={} of {}}}", bitmap.count(), bitmap.pages())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::uapi::memfd;

    #[test]
    fn a_bitmap_names_the_dirty_pages() {
        let bitmap = DirtyBitmap { words: vec![0b101, 1 << 63 | 1], pages: 66 };
        assert_eq!(bitmap.dirty().collect::<Vec<_>>(), [0, 2, 64]);
        assert_eq!((bitmap.count(), bitmap.pages()), (3, 66));
    }

    #[test]
    fn a_bitmap_of_any_size_finds_room_or_is_refused() {
        let tracer = Tracer::new();
        let file = memfd("no iommufd", 0, None, &tracer).unwrap();
        let ask = |length, page_size| hwpt_dirty_bitmap(file.as_fd(), 1, 0, length, page_size, false, &tracer);
        assert_eq!(ask(u64::MAX, 4096), Err(Errno(libc::ENOMEM)));
        for (length, page_size) in [(0, 4096), (4096, 0), (u64::MAX, 1 << 63), (65 << 12, 3 << 12)] {
            assert_eq!(ask(length, page_size), Err(Errno(libc::ENOTTY)));
        }
    }
}
