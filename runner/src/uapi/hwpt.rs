//! IOMMUFD: page tables of the hardware (HWPT), the pages that devices dirtied, and what the hardware can do.

use std::os::fd::BorrowedFd;

use iommufd_bindings as sys;

use super::ioctl::{io, with_struct};
use super::{Errno, Tracer};

/// The page table can be the parent of nested ones.
pub const NEST_PARENT: u32 = sys::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_NEST_PARENT;
/// The page table can tell which pages devices dirtied.
pub const DIRTY_TRACKING: u32 = sys::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
/// The page table can be attached for a PASID.
pub const PASID: u32 = sys::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_PASID;

/// `IOMMU_HWPT_ALLOC`: a page table in the hardware's format for a bound device, of an IOAS or, nested, of a parent HWPT
/// (`pt_id`), with flags such as [`DIRTY_TRACKING`]; gives its id. `EOPNOTSUPP` for what the IOMMU cannot do.
pub fn hwpt_alloc(iommufd: BorrowedFd, dev_id: u32, pt_id: u32, flags: u32, tracer: &Tracer) -> Result<u32, Errno> {
    let size = size_of::<sys::iommu_hwpt_alloc>() as u32;
    let mut arg = sys::iommu_hwpt_alloc { size, flags, dev_id, pt_id, ..Default::default() };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes; data_len 0 says that there is nothing at data_uptr.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_HWPT_ALLOC), &mut arg) }?;
        Ok(arg.out_hwpt_id)
    };
    let fields = format!("size={size}, flags={flags:#x}, dev_id={dev_id}, pt_id={pt_id}, data_type=NONE");
    tracer.call("IOMMU_HWPT_ALLOC", fields, run, |id| format!("0 {{out_hwpt_id={id}}}"))
}

/// `IOMMU_HWPT_SET_DIRTY_TRACKING`: begins or ends to note the pages that devices dirty; needs [`DIRTY_TRACKING`].
pub fn set_dirty_tracking(iommufd: BorrowedFd, hwpt: u32, enable: bool, tracer: &Tracer) -> Result<(), Errno> {
    let size = size_of::<sys::iommu_hwpt_set_dirty_tracking>() as u32;
    let on = sys::iommufd_hwpt_set_dirty_tracking_flags_IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
    let flags = if enable { on } else { 0 };
    let mut arg = sys::iommu_hwpt_set_dirty_tracking { size, flags, hwpt_id: hwpt, __reserved: 0 };
    // SAFETY: the request takes this struct of `size` bytes.
    let run = || unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING), &mut arg) };
    let shown = if enable { "ENABLE" } else { "0" };
    let fields = format!("size={size}, flags={shown}, hwpt_id={hwpt}");
    tracer.call("IOMMU_HWPT_SET_DIRTY_TRACKING", fields, run, |_| "0".into()).map(drop)
}

/// The pages that devices dirtied, from an iova on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtyBitmap {
    /// A bit for each page, the lowest one first.
    words: Vec<u64>,
    pages: u64,
}

impl DirtyBitmap {
    /// How many pages it tells of.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The numbers of the dirty pages, in order.
    pub fn dirty(&self) -> impl Iterator<Item = u64> {
        (0..self.pages).filter(|page| self.words[(page / 64) as usize] & (1 << (page % 64)) != 0)
    }

    /// How many pages are dirty.
    pub fn count(&self) -> u64 {
        self.dirty().count() as u64
    }
}

/// More pages than this in one bitmap are refused with `ENOMEM`: 1 TiB in pages of 4 KiB.
const MOST_PAGES: u64 = 1 << 28;

/// `IOMMU_HWPT_GET_DIRTY_BITMAP`: the pages of `page_size` bytes that devices dirtied in a range, in bytes; all are taken
/// for clean again, unless `no_clear`.
pub fn dirty_bitmap(
    iommufd: BorrowedFd,
    hwpt: u32,
    iova: u64,
    length: u64,
    page_size: u64,
    no_clear: bool,
    tracer: &Tracer,
) -> Result<DirtyBitmap, Errno> {
    // The kernel counts in the lowest bit that is set, and refuses 0 by itself.
    let page = 1u64.checked_shl(page_size.trailing_zeros()).unwrap_or(u64::MAX);
    let pages = length.div_ceil(page);
    if pages > MOST_PAGES {
        return Err(Errno(libc::ENOMEM));
    }
    let mut words = vec![0u64; pages.div_ceil(64).max(1) as usize];
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
    let shown = if no_clear { "NO_CLEAR" } else { "0" };
    let fields = format!(
        "size={size}, hwpt_id={hwpt}, flags={shown}, iova={iova:#x}, length={length:#x}, page_size={page_size:#x}"
    );
    let dirty = |bitmap: &DirtyBitmap| format!("0 {{dirty={} of {}}}", bitmap.count(), bitmap.pages());
    tracer.call("IOMMU_HWPT_GET_DIRTY_BITMAP", fields, run, dirty)
}

/// What `IOMMU_GET_HW_INFO` says of the IOMMU in front of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HwInfo {
    /// Whose data it is: 0 nobody's, 1 VT-d, 2 SMMUv3, 4 AMD (`enum iommu_hw_info_type`).
    pub data_type: u32,
    /// `IOMMU_HW_CAP_*`: 1 is dirty tracking.
    pub capabilities: u64,
    /// How many bits a PASID has; 0 if it has none.
    pub max_pasid_log2: u8,
    /// The vendor's registers; for VT-d flags, then the capability and the extended capability register.
    pub data: Vec<u8>,
}

impl HwInfo {
    /// Whether page tables can be made that tell which pages devices dirtied.
    pub fn dirty_tracking(&self) -> bool {
        self.capabilities & u64::from(sys::iommufd_hw_capabilities_IOMMU_HW_CAP_DIRTY_TRACKING) != 0
    }
}

/// `IOMMU_GET_HW_INFO` of a bound device.
pub fn hw_info(iommufd: BorrowedFd, dev_id: u32, tracer: &Tracer) -> Result<HwInfo, Errno> {
    let size = size_of::<sys::iommu_hw_info>() as u32;
    // Several times what the largest vendor's has.
    let mut data = vec![0u8; 256];
    let data_len = data.len() as u32;
    let mut arg =
        sys::iommu_hw_info { size, dev_id, data_len, data_uptr: data.as_mut_ptr() as u64, ..Default::default() };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes, and writes data_len bytes to data_uptr: a vector of just
        // that length, which outlives the call.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_GET_HW_INFO), &mut arg) }?;
        data.truncate(arg.data_len as usize);
        // SAFETY: both members of the union are the same u32.
        let data_type = unsafe { arg.__bindgen_anon_1.out_data_type };
        Ok(HwInfo { data_type, capabilities: arg.out_capabilities, max_pasid_log2: arg.out_max_pasid_log2, data })
    };
    let shown = |info: &HwInfo| {
        let (kind, capabilities, data) = (info.data_type, info.capabilities, &info.data);
        format!("0 {{out_data_type={kind}, out_capabilities={capabilities:#x}, data={data:02x?}}}")
    };
    let fields = format!("size={size}, flags=0, dev_id={dev_id}, data_len={data_len}");
    tracer.call("IOMMU_GET_HW_INFO", fields, run, shown)
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
        let ask = |length, page_size| dirty_bitmap(file.as_fd(), 1, 0, length, page_size, false, &tracer);
        assert_eq!(ask(u64::MAX, 4096), Err(Errno(libc::ENOMEM)));
        for (length, page_size) in [(0, 4096), (4096, 0), (u64::MAX, 1 << 63), (65 << 12, 3 << 12)] {
            assert_eq!(ask(length, page_size), Err(Errno(libc::ENOTTY)));
        }
    }
}
