// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of flags and values, as `include/uapi/linux/vfio.h` and `iommufd.h` have them, without the prefix that those of one field
//! share.

use iommufd_bindings as iommufd;
use vfio_bindings::bindings::vfio;

use super::Words;

/// Names with the constants that they stand for.
macro_rules! words {
    ($($NAME:ident: $($word:literal = $value:expr),*;)*) => {
        $(pub(super) const $NAME: Words = &[$(($word, $value as u64)),*];)*
    };
}
words! {
    EXTENSION: "TYPE1" = vfio::VFIO_TYPE1_IOMMU, "SPAPR_TCE" = vfio::VFIO_SPAPR_TCE_IOMMU, "TYPE1v2" = vfio::VFIO_TYPE1v2_IOMMU,
        "DMA_CC" = vfio::VFIO_DMA_CC_IOMMU, "EEH" = vfio::VFIO_EEH, "TYPE1_NESTING" = 6,
        "SPAPR_TCE_v2" = vfio::VFIO_SPAPR_TCE_v2_IOMMU, "NOIOMMU" = vfio::VFIO_NOIOMMU_IOMMU, "UNMAP_ALL" = vfio::VFIO_UNMAP_ALL,
        "UPDATE_VADDR" = vfio::VFIO_UPDATE_VADDR;
    GROUP: "VIABLE" = vfio::VFIO_GROUP_FLAGS_VIABLE, "CONTAINER_SET" = vfio::VFIO_GROUP_FLAGS_CONTAINER_SET;
    DEVICE: "RESET" = vfio::VFIO_DEVICE_FLAGS_RESET, "PCI" = vfio::VFIO_DEVICE_FLAGS_PCI,
        "PLATFORM" = vfio::VFIO_DEVICE_FLAGS_PLATFORM, "AMBA" = vfio::VFIO_DEVICE_FLAGS_AMBA,
        "CCW" = vfio::VFIO_DEVICE_FLAGS_CCW, "AP" = vfio::VFIO_DEVICE_FLAGS_AP, "FSL_MC" = vfio::VFIO_DEVICE_FLAGS_FSL_MC,
        "CAPS" = vfio::VFIO_DEVICE_FLAGS_CAPS, "CDX" = vfio::VFIO_DEVICE_FLAGS_CDX;
    REGION: "READ" = vfio::VFIO_REGION_INFO_FLAG_READ, "WRITE" = vfio::VFIO_REGION_INFO_FLAG_WRITE,
        "MMAP" = vfio::VFIO_REGION_INFO_FLAG_MMAP, "CAPS" = vfio::VFIO_REGION_INFO_FLAG_CAPS;
    REGION_INDEX: "BAR0" = vfio::VFIO_PCI_BAR0_REGION_INDEX, "BAR1" = vfio::VFIO_PCI_BAR1_REGION_INDEX,
        "BAR2" = vfio::VFIO_PCI_BAR2_REGION_INDEX, "BAR3" = vfio::VFIO_PCI_BAR3_REGION_INDEX,
        "BAR4" = vfio::VFIO_PCI_BAR4_REGION_INDEX, "BAR5" = vfio::VFIO_PCI_BAR5_REGION_INDEX,
        "ROM" = vfio::VFIO_PCI_ROM_REGION_INDEX, "CONFIG" = vfio::VFIO_PCI_CONFIG_REGION_INDEX,
        "VGA" = vfio::VFIO_PCI_VGA_REGION_INDEX;
    IRQ_INFO: "EVENTFD" = vfio::VFIO_IRQ_INFO_EVENTFD, "MASKABLE" = vfio::VFIO_IRQ_INFO_MASKABLE,
        "AUTOMASKED" = vfio::VFIO_IRQ_INFO_AUTOMASKED, "NORESIZE" = vfio::VFIO_IRQ_INFO_NORESIZE;
    IRQ_INDEX: "INTX" = vfio::VFIO_PCI_INTX_IRQ_INDEX, "MSI" = vfio::VFIO_PCI_MSI_IRQ_INDEX,
        "MSIX" = vfio::VFIO_PCI_MSIX_IRQ_INDEX, "ERR" = vfio::VFIO_PCI_ERR_IRQ_INDEX, "REQ" = vfio::VFIO_PCI_REQ_IRQ_INDEX;
    IRQ_SET: "DATA_NONE" = vfio::VFIO_IRQ_SET_DATA_NONE, "DATA_BOOL" = vfio::VFIO_IRQ_SET_DATA_BOOL,
        "DATA_EVENTFD" = vfio::VFIO_IRQ_SET_DATA_EVENTFD, "ACTION_MASK" = vfio::VFIO_IRQ_SET_ACTION_MASK,
        "ACTION_UNMASK" = vfio::VFIO_IRQ_SET_ACTION_UNMASK, "ACTION_TRIGGER" = vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    HOT_RESET: "DEV_ID" = vfio::VFIO_PCI_HOT_RESET_FLAG_DEV_ID, "DEV_ID_OWNED" = vfio::VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
    IOMMU: "PGSIZES" = vfio::VFIO_IOMMU_INFO_PGSIZES, "CAPS" = vfio::VFIO_IOMMU_INFO_CAPS;
    DMA_MAP: "READ" = vfio::VFIO_DMA_MAP_FLAG_READ, "WRITE" = vfio::VFIO_DMA_MAP_FLAG_WRITE,
        "VADDR" = vfio::VFIO_DMA_MAP_FLAG_VADDR;
    DMA_UNMAP: "GET_DIRTY_BITMAP" = vfio::VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, "ALL" = vfio::VFIO_DMA_UNMAP_FLAG_ALL,
        "VADDR" = vfio::VFIO_DMA_UNMAP_FLAG_VADDR;
    DIRTY_PAGES: "START" = vfio::VFIO_IOMMU_DIRTY_PAGES_FLAG_START, "STOP" = vfio::VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
        "GET_BITMAP" = vfio::VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
    GFX_PLANE: "PROBE" = vfio::VFIO_GFX_PLANE_TYPE_PROBE, "DMABUF" = vfio::VFIO_GFX_PLANE_TYPE_DMABUF,
        "REGION" = vfio::VFIO_GFX_PLANE_TYPE_REGION;
    // A name of digits alone would be a number in a scenario.
    IOEVENTFD: "IOEVENTFD_8" = vfio::VFIO_DEVICE_IOEVENTFD_8, "IOEVENTFD_16" = vfio::VFIO_DEVICE_IOEVENTFD_16,
        "IOEVENTFD_32" = vfio::VFIO_DEVICE_IOEVENTFD_32, "IOEVENTFD_64" = vfio::VFIO_DEVICE_IOEVENTFD_64;
    FEATURE_FLAGS: "GET" = vfio::VFIO_DEVICE_FEATURE_GET, "SET" = vfio::VFIO_DEVICE_FEATURE_SET,
        "PROBE" = vfio::VFIO_DEVICE_FEATURE_PROBE;
    FEATURE: "PCI_VF_TOKEN" = vfio::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, "MIGRATION" = vfio::VFIO_DEVICE_FEATURE_MIGRATION,
        "MIG_DEVICE_STATE" = vfio::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
        "LOW_POWER_ENTRY" = vfio::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
        "LOW_POWER_ENTRY_WITH_WAKEUP" = vfio::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
        "LOW_POWER_EXIT" = vfio::VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
        "DMA_LOGGING_START" = vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
        "DMA_LOGGING_STOP" = vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
        "DMA_LOGGING_REPORT" = vfio::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
        "MIG_DATA_SIZE" = vfio::VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, "BUS_MASTER" = vfio::VFIO_DEVICE_FEATURE_BUS_MASTER,
        "DMA_BUF" = vfio::VFIO_DEVICE_FEATURE_DMA_BUF, "MIG_PRECOPY_INFOv2" = vfio::VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2,
        "ZPCI_ERROR" = ZPCI_ERROR;
    BIND: "TOKEN" = vfio::VFIO_DEVICE_BIND_FLAG_TOKEN;
    ATTACH: "PASID" = vfio::VFIO_DEVICE_ATTACH_PASID;
    DETACH: "PASID" = vfio::VFIO_DEVICE_DETACH_PASID;
    PRECOPY: "REINIT" = vfio::VFIO_PRECOPY_INFO_REINIT;
    MIGRATION: "STOP_COPY" = vfio::VFIO_MIGRATION_STOP_COPY, "P2P" = vfio::VFIO_MIGRATION_P2P,
        "PRE_COPY" = vfio::VFIO_MIGRATION_PRE_COPY;
    DEVICE_STATE: "ERROR" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_ERROR,
        "STOP" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP,
        "RUNNING" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING,
        "STOP_COPY" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_STOP_COPY,
        "RESUMING" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_RESUMING,
        "RUNNING_P2P" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_RUNNING_P2P,
        "PRE_COPY" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY,
        "PRE_COPY_P2P" = vfio::vfio_device_mig_state_VFIO_DEVICE_STATE_PRE_COPY_P2P;
    BUS_MASTER: "CLEAR_MASTER" = vfio::VFIO_DEVICE_FEATURE_CLEAR_MASTER, "SET_MASTER" = vfio::VFIO_DEVICE_FEATURE_SET_MASTER;
    // O_RDONLY is 0: no flag.
    OPEN: "O_WRONLY" = libc::O_WRONLY, "O_RDWR" = libc::O_RDWR, "O_CLOEXEC" = libc::O_CLOEXEC;
    ATOMIC_COMP: "COMP32" = vfio::VFIO_PCI_ATOMIC_COMP32, "COMP64" = vfio::VFIO_PCI_ATOMIC_COMP64,
        "COMP128" = vfio::VFIO_PCI_ATOMIC_COMP128;
    // VFIO_DEVICE_INFO_ZPCI_FLAG_REFRESH of vfio_zdev.h.
    ZPCI_GROUP: "REFRESH" = 1;
    IOAS_MAP: "FIXED_IOVA" = iommufd::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA,
        "WRITEABLE" = iommufd::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE,
        "READABLE" = iommufd::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE;
    OPTION: "RLIMIT_MODE" = iommufd::iommufd_option_IOMMU_OPTION_RLIMIT_MODE,
        "HUGE_PAGES" = iommufd::iommufd_option_IOMMU_OPTION_HUGE_PAGES;
    OPTION_OP: "SET" = iommufd::iommufd_option_ops_IOMMU_OPTION_OP_SET, "GET" = iommufd::iommufd_option_ops_IOMMU_OPTION_OP_GET;
    VFIO_IOAS_OP: "GET" = iommufd::iommufd_vfio_ioas_op_IOMMU_VFIO_IOAS_GET,
        "SET" = iommufd::iommufd_vfio_ioas_op_IOMMU_VFIO_IOAS_SET,
        "CLEAR" = iommufd::iommufd_vfio_ioas_op_IOMMU_VFIO_IOAS_CLEAR;
    HWPT: "NEST_PARENT" = iommufd::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_NEST_PARENT,
        "DIRTY_TRACKING" = iommufd::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
        "FAULT_ID_VALID" = iommufd::iommufd_hwpt_alloc_flags_IOMMU_HWPT_FAULT_ID_VALID,
        "PASID" = iommufd::iommufd_hwpt_alloc_flags_IOMMU_HWPT_ALLOC_PASID;
    HWPT_DATA: "NONE" = iommufd::iommu_hwpt_data_type_IOMMU_HWPT_DATA_NONE,
        "VTD_S1" = iommufd::iommu_hwpt_data_type_IOMMU_HWPT_DATA_VTD_S1,
        "ARM_SMMUV3" = iommufd::iommu_hwpt_data_type_IOMMU_HWPT_DATA_ARM_SMMUV3,
        "AMD_GUEST" = iommufd::iommu_hwpt_data_type_IOMMU_HWPT_DATA_AMD_GUEST, "SELFTEST" = 0xdead;
    HW_INFO: "INPUT_TYPE" = iommufd::iommufd_hw_info_flags_IOMMU_HW_INFO_FLAG_INPUT_TYPE;
    HW_INFO_TYPE: "NONE" = iommufd::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_NONE,
        "INTEL_VTD" = iommufd::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_INTEL_VTD,
        "ARM_SMMUV3" = iommufd::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_ARM_SMMUV3,
        "TEGRA241_CMDQV" = iommufd::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV,
        "AMD" = iommufd::iommu_hw_info_type_IOMMU_HW_INFO_TYPE_AMD, "SELFTEST" = 0xfeed_beef_u32;
    HW_CAPABILITIES: "DIRTY_TRACKING" = iommufd::iommufd_hw_capabilities_IOMMU_HW_CAP_DIRTY_TRACKING,
        "PCI_PASID_EXEC" = iommufd::iommufd_hw_capabilities_IOMMU_HW_CAP_PCI_PASID_EXEC,
        "PCI_PASID_PRIV" = iommufd::iommufd_hw_capabilities_IOMMU_HW_CAP_PCI_PASID_PRIV,
        "PCI_ATS_NOT_SUPPORTED" = iommufd::iommufd_hw_capabilities_IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
    SET_DIRTY_TRACKING: "ENABLE" = iommufd::iommufd_hwpt_set_dirty_tracking_flags_IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
    GET_DIRTY_BITMAP: "NO_CLEAR" = iommufd::iommufd_hwpt_get_dirty_bitmap_flags_IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;
    INVALIDATE_DATA: "VTD_S1" = iommufd::iommu_hwpt_invalidate_data_type_IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
        "ARM_SMMUV3" = iommufd::iommu_hwpt_invalidate_data_type_IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
        "SELFTEST" = 0xdead_beef_u32;
    VIOMMU: "DEFAULT" = iommufd::iommu_viommu_type_IOMMU_VIOMMU_TYPE_DEFAULT,
        "ARM_SMMUV3" = iommufd::iommu_viommu_type_IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
        "TEGRA241_CMDQV" = iommufd::iommu_viommu_type_IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV, "SELFTEST" = 0xdead_beef_u32;
    VEVENTQ: "DEFAULT" = iommufd::iommu_veventq_type_IOMMU_VEVENTQ_TYPE_DEFAULT,
        "ARM_SMMUV3" = iommufd::iommu_veventq_type_IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
        "TEGRA241_CMDQV" = iommufd::iommu_veventq_type_IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV, "SELFTEST" = 0xbeef_beef_u32;
    HW_QUEUE: "DEFAULT" = iommufd::iommu_hw_queue_type_IOMMU_HW_QUEUE_TYPE_DEFAULT,
        "TEGRA241_CMDQV" = iommufd::iommu_hw_queue_type_IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV, "SELFTEST" = 0xdead_beef_u32;
    // Of the mock device: drivers/iommu/iommufd/iommufd_test.h, and IOMMU_FAULT_PERM of include/linux/iommu.h.
    MOCK_DEVICE: "NO_DIRTY" = 1, "PASID" = 4;
    MOCK_ACCESS: "WRITE" = 1, "SYZ" = 0x1_0000;
    MOCK_ACCESS_RW: "WRITE" = 1, "SLOW_PATH" = 4;
    MOCK_CREATE_ACCESS: "NEEDS_PIN_PAGES" = 1;
    MOCK_IOPF: "READ" = 1, "WRITE" = 2, "EXEC" = 4, "PRIV" = 8;
}

/// `VFIO_DEVICE_FEATURE_ZPCI_ERROR`, which is not in the bindings yet.
pub(super) const ZPCI_ERROR: u32 = 13;
