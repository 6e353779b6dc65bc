// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lists of requests: behind their struct, or at an address in it.

use super::Direction::{In, Out};
use super::{Array, Count, Means, Place, table::field};

/// `vfio_pci_dependent_device`: the group's number, or the device's id on the IOMMUFD that it is opened with.
pub(super) const DEVICES: Array = Array {
    name: "devices",
    place: Place::Behind(12),
    count: Count::Field(8),
    element: &[
        field("group_id", 0, 4, Out),
        field("devid", 0, 4, Out).means(Means::Signed),
        field("segment", 4, 2, Out),
        field("bus", 6, 1, Out),
        field("devfn", 7, 1, Out),
    ],
    stride: 8,
    direction: Out,
};

pub(super) const GROUP_FDS: Array = Array {
    name: "group_fds",
    place: Place::Behind(12),
    count: Count::Field(8),
    element: &[field("", 0, 4, In).means(Means::Signed)],
    stride: 4,
    direction: In,
};

pub(super) const IOVA_RANGES: Array = Array {
    name: "allowed_iovas",
    place: Place::At(16),
    count: Count::Field(8),
    element: &[field("start", 0, 8, Out), field("last", 8, 8, Out)],
    stride: 16,
    direction: Out,
};

/// `vfio_region_dma_range`
pub(super) const DMA_RANGES: Array = Array {
    name: "dma_ranges",
    place: Place::Behind(24),
    count: Count::Field(20),
    element: &[field("offset", 0, 8, In), field("length", 8, 8, In)],
    stride: 16,
    direction: In,
};

pub(super) const UUID: Array = Array {
    name: "uuid",
    place: Place::Behind(8),
    count: Count::Always(16),
    element: &[field("", 0, 1, In)],
    stride: 1,
    direction: In,
};
