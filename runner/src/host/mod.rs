// SPDX-License-Identifier: MIT OR Apache-2.0
//! This machine: PCI devices and their drivers, the kernel's log, what the IOMMU's page tables hold.
//!
//! Everything is read from sysfs, procfs, debugfs and `/dev/kmsg`, below a [`Root`] that tests replace with a folder. Nothing here knows of
//! cases. [`pci`] and [`facts`] describe a device, and [`find()`] finds one; [`doctor`] says what is in the way; [`bind`] gives it to vfio-pci and back; [`taken`] knows
//! who has it; [`hotplug`] takes it away while it is open; [`sriov`] makes virtual functions; [`kmsg`] and [`pstore`] read what the kernel said;
//! [`page_table`] reads what the IOMMU maps, with a reader for each kind of IOMMU, and [`pagemap`] where a process has its memory.

pub mod bind;
pub mod capability;
pub mod doctor;
pub mod facts;
mod find;
mod gauge;
pub mod grant;
pub mod hotplug;
pub mod in_the_way;
pub mod kmsg;
mod link;
pub mod modules;
pub mod page_table;
pub mod pagemap;
pub mod pci;
pub mod pstore;
pub mod reset_method;
mod root;
pub mod sriov;
pub mod taken;
mod use_of;

pub use capability::{kind, kind_of};
pub use find::find;
pub use root::Root;

/// What ends an obstacle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// A command for a shell of this user.
    Run(String),
    /// The same for root's.
    AsRoot(String),
    /// What no command does.
    Do(String),
}

/// In one line, so that it can be copied.
impl std::fmt::Display for Mend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mend::Run(text) | Mend::Do(text) => f.write_str(text),
            Mend::AsRoot(text) => write!(f, "as root: {text}"),
        }
    }
}

/// Whether a device was taken out of the machine.
pub fn is_gone(bdf: crate::model::Bdf) -> bool {
    is_gone_in(&Root::default(), bdf)
}

fn is_gone_in(root: &Root, bdf: crate::model::Bdf) -> bool {
    !root.join(pci::attribute(bdf, "vendor")).exists()
}
