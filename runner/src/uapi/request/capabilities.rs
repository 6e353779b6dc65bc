// SPDX-License-Identifier: MIT OR Apache-2.0
//! The capabilities that the kernel adds to what it says of a device, a region and an IOMMU (`vfio.h`, `vfio_zdev.h`).

use super::Direction::Out;
use super::{Array, Capability, Chain, Count, Field, Means, Place, table::field, words};
use vfio_bindings::bindings::vfio;

/// The capabilities of `VFIO_DEVICE_GET_INFO`.
pub(super) const DEVICE: Chain = Chain {
    flag: vfio::VFIO_DEVICE_FLAGS_CAPS,
    first: 16,
    known: &[
        Capability {
            id: vfio::VFIO_DEVICE_INFO_CAP_ZPCI_BASE as u16,
            name: "zpci_base",
            fields: &[
                out("start_dma", 8, 8),
                out("end_dma", 16, 8),
                out("pchid", 24, 2),
                out("vfn", 26, 2),
                out("fmb_length", 28, 2),
                out("pft", 30, 1),
                out("gid", 31, 1),
                out("fh", 32, 4),
                out("ccdf_err_length", 36, 4),
            ],
            array: None,
        },
        Capability {
            id: vfio::VFIO_DEVICE_INFO_CAP_ZPCI_GROUP as u16,
            name: "zpci_group",
            fields: &[
                out("dasm", 8, 8),
                out("msi_addr", 16, 8),
                out("flags", 24, 8).means(Means::flags(words::ZPCI_GROUP)),
                out("mui", 32, 2),
                out("noi", 34, 2),
                out("maxstbl", 36, 2),
                out("version", 38, 1),
                out("imaxstbl", 40, 2),
            ],
            array: None,
        },
        Capability {
            id: vfio::VFIO_DEVICE_INFO_CAP_ZPCI_UTIL as u16,
            name: "zpci_util",
            fields: &[out("size", 8, 4)],
            array: Some(bytes("util_str")),
        },
        Capability {
            id: vfio::VFIO_DEVICE_INFO_CAP_ZPCI_PFIP as u16,
            name: "zpci_pfip",
            fields: &[out("size", 8, 4)],
            array: Some(bytes("pfip")),
        },
        Capability {
            id: vfio::VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP as u16,
            name: "pci_atomic_comp",
            fields: &[out("flags", 8, 4).means(Means::flags(words::ATOMIC_COMP))],
            array: None,
        },
    ],
};

/// The capabilities of `VFIO_DEVICE_GET_REGION_INFO`.
pub(super) const REGION: Chain = Chain {
    flag: vfio::VFIO_REGION_INFO_FLAG_CAPS,
    first: 12,
    known: &[
        Capability {
            id: vfio::VFIO_REGION_INFO_CAP_SPARSE_MMAP as u16,
            name: "sparse_mmap",
            fields: &[out("nr_areas", 8, 4)],
            array: Some(pairs("areas", &[out("offset", 0, 8), out("size", 8, 8)])),
        },
        Capability {
            id: vfio::VFIO_REGION_INFO_CAP_TYPE as u16,
            name: "type",
            fields: &[out("type", 8, 4), out("subtype", 12, 4)],
            array: None,
        },
        Capability {
            id: vfio::VFIO_REGION_INFO_CAP_MSIX_MAPPABLE as u16,
            name: "msix_mappable",
            fields: &[],
            array: None,
        },
        Capability {
            id: vfio::VFIO_REGION_INFO_CAP_NVLINK2_SSATGT as u16,
            name: "nvlink2_ssatgt",
            fields: &[out("tgt", 8, 8)],
            array: None,
        },
        Capability {
            id: vfio::VFIO_REGION_INFO_CAP_NVLINK2_LNKSPD as u16,
            name: "nvlink2_lnkspd",
            fields: &[out("link_speed", 8, 4)],
            array: None,
        },
    ],
};

/// The capabilities of `VFIO_IOMMU_GET_INFO`.
pub(in crate::uapi) const IOMMU: Chain = Chain {
    flag: vfio::VFIO_IOMMU_INFO_CAPS,
    first: 16,
    known: &[
        Capability {
            id: vfio::VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE as u16,
            name: "iova_range",
            fields: &[out("nr_iovas", 8, 4)],
            array: Some(pairs("iova_ranges", &[out("start", 0, 8), out("end", 8, 8)])),
        },
        Capability {
            id: vfio::VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION as u16,
            name: "migration",
            fields: &[out("flags", 8, 4), out("pgsize_bitmap", 16, 8), out("max_dirty_bitmap_size", 24, 8)],
            array: None,
        },
        Capability {
            id: vfio::VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL as u16,
            name: "dma_avail",
            fields: &[out("avail", 8, 4)],
            array: None,
        },
    ],
};

const fn out(name: &'static str, offset: usize, width: usize) -> Field {
    field(name, offset, width, Out)
}

/// Two numbers of 64 bits each, behind the header, their number and padding.
const fn pairs(name: &'static str, element: &'static [Field]) -> Array {
    Array { name, place: Place::Behind(16), count: Count::Field(8), element, stride: 16, direction: Out }
}

const BYTE: &[Field] = &[field("", 0, 1, Out)];

const fn bytes(name: &'static str) -> Array {
    Array { name, place: Place::Behind(12), count: Count::Field(8), element: BYTE, stride: 1, direction: Out }
}
