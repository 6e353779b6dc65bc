//! The host: PCI devices and their drivers, the kernel's log, what the IOMMU's page tables hold.

pub mod bind;
mod capability;
pub mod facts;
pub mod kmsg;
pub mod page_table;
pub mod pci;
pub mod pstore;
mod root;
pub mod sriov;
mod use_of;

pub use capability::kind;
pub use root::Root;
pub use use_of::Use;
