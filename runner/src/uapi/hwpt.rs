// SPDX-License-Identifier: MIT OR Apache-2.0
//! IOMMUFD: page tables of the hardware (HWPT), and what the hardware can do.

use std::os::fd::BorrowedFd;

use iommufd_bindings as sys;

use super::Tracer;
use super::ioctl::{io, with_struct};
use super::request::shown;
use crate::model::Errno;

pub const NEST_PARENT: u32 = sys::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_NEST_PARENT;
pub const DIRTY_TRACKING: u32 = sys::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
pub const PASID: u32 = sys::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_PASID;

/// `IOMMU_HWPT_ALLOC`: a page table in the hardware's format for a bound device, of an IOAS or, nested, of a parent HWPT
/// (`pt_id`), with flags such as [`DIRTY_TRACKING`]; returns its id. `EOPNOTSUPP` for what the IOMMU cannot do.
pub fn hwpt_alloc(iommufd: BorrowedFd, dev_id: u32, pt_id: u32, flags: u32, tracer: &Tracer) -> Result<u32, Errno> {
    let size = size_of::<sys::iommu_hwpt_alloc>() as u32;
    let mut arg = sys::iommu_hwpt_alloc { size, flags, dev_id, pt_id, ..Default::default() };
    let run = || {
        // SAFETY: the request takes this struct of `size` bytes; data_len 0 says that there is nothing at data_uptr.
        unsafe { with_struct(iommufd, io(sys::IOMMUFD_CMD_HWPT_ALLOC), &mut arg) }?;
        Ok(arg.out_hwpt_id)
    };
    let flags = shown("IOMMU_HWPT_ALLOC", "flags", flags.into());
    let fields = format!("size={size}, flags={flags}, dev_id={dev_id}, pt_id={pt_id}, data_type=NONE");
    tracer.on_file(iommufd, "IOMMU_HWPT_ALLOC", fields, run, |id| format!("0 {{out_hwpt_id={id}}}"))
}

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
    /// Whether page tables can be nested, as far as the registers of VT-d (`nested_supported` in the kernel's drivers/iommu/intel) and SMMUv3
    /// tell.
    pub fn nesting(&self) -> bool {
        let register = |at: usize| {
            self.data.get(at..at + 8).map_or(0, |bytes| u64::from_ne_bytes(bytes.try_into().expect("eight bytes")))
        };
        match self.data_type {
            // ecap_reg: NEST and SMTS
            sys::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_INTEL_VTD => {
                [26, 43].iter().all(|bit| register(16) & (1 << bit) != 0)
            }
            // idr[0]: S1P and S2P
            sys::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_ARM_SMMUV3 => register(8) & 3 == 3,
            _ => false,
        }
    }

    pub fn dirty_tracking(&self) -> bool {
        self.capabilities & u64::from(sys::iommufd_hw_capabilities_IOMMU_HW_CAP_DIRTY_TRACKING) != 0
    }
}

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
    let result = |info: &HwInfo| {
        let kind = shown("IOMMU_GET_HW_INFO", "out_data_type", info.data_type.into());
        let capabilities = shown("IOMMU_GET_HW_INFO", "out_capabilities", info.capabilities);
        format!("0 {{out_data_type={kind}, out_capabilities={capabilities}, data={:02x?}}}", info.data)
    };
    let fields = format!("size={size}, flags=0, dev_id={dev_id}, data_len={data_len}");
    tracer.on_file(iommufd, "IOMMU_GET_HW_INFO", fields, run, result)
}
