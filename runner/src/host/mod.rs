// SPDX-License-Identifier: MIT OR Apache-2.0
//! This machine: PCI devices and their drivers, the kernel's log, what the IOMMU's page tables hold.
//!
//! Everything is read from sysfs, procfs, debugfs and `/dev/kmsg`, below a [`Root`] that tests replace with a folder. Nothing here knows of
//! cases. [`pci`] and [`facts`] describe a device; [`bind`] gives it to vfio-pci and back, [`hotplug`] takes it away while it is open; [`sriov`] makes virtual functions;
//! [`kmsg`] and [`pstore`] read what the kernel said; [`page_table`] reads what the IOMMU maps, with a reader for each kind of IOMMU,
//! and [`pagemap`] where a process has its memory.

pub mod bind;
pub mod capability;
pub mod facts;
mod gauge;
pub mod hotplug;
pub mod kmsg;
pub mod page_table;
pub mod pagemap;
pub mod pci;
pub mod pstore;
pub mod reset_method;
mod root;
pub mod sriov;
mod use_of;

pub use capability::kind;
pub use root::Root;
