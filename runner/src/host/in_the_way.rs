// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps a device from being tested before anybody takes it: its kind, its group, the rights of the user, the IOMMU.

use std::path::{Path, PathBuf};

use super::Root;
use super::bind::BindError;
use super::facts::{self, Interrupts};
use super::pci::{attribute, driver_in};
use crate::model::Bdf;

/// What would keep every case from one of these devices, whoever has it.
///
/// # Errors
/// It is in the way of the first.
pub fn check(devices: &[Bdf]) -> Result<(), BindError> {
    check_in(&Root::default(), devices)
}

fn check_in(root: &Root, devices: &[Bdf]) -> Result<(), BindError> {
    let has_iommu = |bdf: &&Bdf| root.join(attribute(**bdf, "iommu_group")).exists();
    match devices.iter().find(has_iommu) {
        Some(bdf) if facts::interrupts(root) == Interrupts::Refused => Err(BindError::UnsafeInterrupts(*bdf)),
        _ => Ok(()),
    }
}

/// The devices of its group that keep it from being used, with their drivers, unless they are `named`, too.
///
/// A driver that manages no DMA of its own does not get in the way (`driver_managed_dma`): those of VFIO, of ports and pci-stub.
pub fn in_the_way(bdf: Bdf, named: &[Bdf]) -> Vec<(Bdf, String)> {
    in_the_way_in(&Root::default(), bdf, named)
}

pub(super) fn in_the_way_in(root: &Root, bdf: Bdf, named: &[Bdf]) -> Vec<(Bdf, String)> {
    let members = root.names(attribute(bdf, "iommu_group/devices"));
    let others =
        members.iter().filter_map(|name| name.parse().ok()).filter(|other| *other != bdf && !named.contains(other));
    let bound = others.filter_map(|other| driver_in(root, other).map(|driver| (other, driver)));
    let is_harmless = |driver: &str| driver.contains("vfio") || driver == "pcieport" || driver == "pci-stub";
    bound.filter(|(_, driver)| !is_harmless(driver)).collect()
}

/// The file of a device on vfio-pci that this user may not open, if there is one.
pub fn no_access(bdf: Bdf) -> Option<BindError> {
    let group = super::pci::group(bdf).map(|group| PathBuf::from(format!("/dev/vfio/{group}")));
    let files: Vec<PathBuf> =
        [group, super::pci::cdev(bdf)].into_iter().flatten().filter(|file| file.exists()).collect();
    match files.iter().any(|file| may_write(file)) {
        true => None,
        false => files.into_iter().next().map(|file| BindError::NoAccess(bdf, file)),
    }
}

pub(super) fn may_write(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK) != Err(nix::errno::Errno::EACCES)
}

/// What no case can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridge {
    /// `vfio_pci_probe` refuses what has no header of an ordinary device.
    Pci,
    /// The root of a PCI tree: the processor's way to all other devices.
    Host,
    /// What the firmware's and the board's old devices are behind.
    Isa,
}

impl std::fmt::Display for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Bridge::Pci => "a PCI bridge, and vfio-pci takes none",
            Bridge::Host => "the host bridge, which all others are behind",
            Bridge::Isa => "the ISA bridge of this machine",
        })
    }
}

/// What kind of bridge it is, by the header of its configuration space (`PCI_HEADER_TYPE` in `include/uapi/linux/pci_regs.h`) and its class
/// (`include/linux/pci_ids.h`).
pub(super) fn bridge(root: &Root, bdf: Bdf) -> Option<Bridge> {
    let config = std::fs::read(root.join(attribute(bdf, "config"))).unwrap_or_default();
    let class = root.text(attribute(bdf, "class")).unwrap_or_default();
    match class.get(..6) {
        _ if config.get(0x0e).is_some_and(|kind| kind & 0x7f == 1) => Some(Bridge::Pci),
        Some("0x0600") => Some(Bridge::Host),
        Some("0x0601") => Some(Bridge::Isa),
        _ => None,
    }
}

pub(super) fn listed(others: &[(Bdf, String)]) -> String {
    others.iter().map(|(other, driver)| format!("{other} ({driver})")).collect::<Vec<_>>().join(", ")
}

/// The options that name these devices, too.
pub(super) fn named(others: &[(Bdf, String)]) -> String {
    others.iter().map(|(other, driver)| format!("--device {driver}={other}")).collect::<Vec<_>>().join(" ")
}

/// The command by which an administrator hands a device over to this user.
pub(super) fn grant_command(bdf: Bdf) -> String {
    format!("vfiospec grant {} --device {bdf}", crate::uapi::system::user())
}

/// What to do where no IOMMU is in front of a device.
pub fn no_iommu_help(root: &Root) -> String {
    let line = root.text("proc/cmdline").unwrap_or_default();
    let off = line.split_whitespace().find(|word| ["iommu=off", "intel_iommu=off", "amd_iommu=off"].contains(word));
    let has = |table: &str| root.join(format!("sys/firmware/acpi/tables/{table}")).exists();
    match off {
        Some(word) => format!("boot without {word}, which is on the kernel's command line"),
        None if !root.names("sys/class/iommu").is_empty() => {
            "the machine has an IOMMU, and this device is not behind it".to_owned()
        }
        None if has("DMAR") => "boot with intel_iommu=on".to_owned(),
        None if has("IVRS") => "boot with amd_iommu=on, and a kernel with CONFIG_AMD_IOMMU".to_owned(),
        None => {
            "switch it on in the firmware (VT-d, AMD-Vi or SMMU), and on an Intel processor boot with intel_iommu=on"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn what_vfio_refuses_in_each_case_is_said_before_the_first() {
        let tree = Tree::new("unsafe");
        tree.put("proc/interrupts", "  24:  0  0  PCI-MSI-0000:03:00.0  0-edge  eth0\n");
        let refused = Err(BindError::UnsafeInterrupts(tree.bdf()));
        assert_eq!(check_in(&tree.root(), &[tree.bdf()]), if cfg!(target_arch = "x86_64") { refused } else { Ok(()) });
        tree.put("sys/module/iommufd/parameters/allow_unsafe_interrupts", "Y\n");
        assert_eq!(check_in(&tree.root(), &[tree.bdf()]), Ok(()));
        let tree = tree.without("sys/module/iommufd").without("sys/kernel/iommu_groups");
        assert_eq!(check_in(&tree.root(), &[tree.bdf()]), Ok(()), "there is no IOMMU, which is said then");
    }

    #[test]
    fn what_is_missing_of_an_iommu_is_said_as_the_machine_is() {
        let tree = Tree::new("iommu-help");
        assert!(no_iommu_help(&tree.root()).contains("in the firmware"));
        tree.put("sys/firmware/acpi/tables/IVRS", "");
        assert!(no_iommu_help(&tree.root()).contains("amd_iommu=on"));
        tree.put("proc/cmdline", "quiet intel_iommu=on iommu=off\n");
        assert!(no_iommu_help(&tree.root()).contains("boot without iommu=off"));
    }
}
