// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps a device from being tested before anybody takes it: its kind, its group, the rights of the user, the IOMMU.

use std::path::{Path, PathBuf};

use super::Root;
use super::bind::BindError;
use super::facts::{self, Interrupts};
use super::pci::{attribute, driver_in};
use crate::{model::Bdf, sanitize::word};

/// What would keep every case from one of these devices, whoever has it.
///
/// # Errors
/// It is in the way of the first.
pub fn check(devices: &[Bdf]) -> Result<(), BindError> {
    check_in(&Root::default(), devices)
}

fn check_in(root: &Root, devices: &[Bdf]) -> Result<(), BindError> {
    let has_iommu = |bdf: &&Bdf| root.join(attribute(**bdf, "iommu_group")).exists();
    if let Some(bdf) = devices.iter().find(has_iommu)
        && facts::interrupts(root) == Interrupts::Refused
    {
        return Err(BindError::UnsafeInterrupts(*bdf));
    }
    let failed_to_wake = |bdf: &&Bdf| root.text(attribute(**bdf, "power/runtime_status")).as_deref() == Some("error");
    if let Some(bdf) = devices.iter().find(failed_to_wake) {
        return Err(BindError::Asleep(*bdf));
    }
    let reserved = devices.iter().map(|bdf| (*bdf, Reserved::of(root, *bdf).kept)).find(|(_, kept)| *kept > 0);
    reserved.map_or(Ok(()), |(bdf, kept)| Err(BindError::Reserved(bdf, kept)))
}

/// How many ranges the firmware reserves for the devices of a group (`iommu_group_show_resv_regions` in drivers/iommu/iommu.c).
pub(super) struct Reserved {
    /// The kernel attaches these devices to no domain that lacks the ranges (`require_direct` in drivers/iommu/iommu.c; before Linux 6.6, its
    /// commit a48ce36e2786, only VT-d did so).
    pub kept: usize,
    /// Only its own driver needs these.
    pub released: usize,
}

impl Reserved {
    pub fn of(root: &Root, bdf: Bdf) -> Reserved {
        let regions = root.text(attribute(bdf, "iommu_group/reserved_regions")).unwrap_or_default();
        let count = |kind: &str| regions.lines().filter(|line| line.ends_with(&format!(" {kind}"))).count();
        let release = crate::uapi::system::release();
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        let is_new = (numbers.next(), numbers.next()) >= (Some(6), Some(6));
        let is_vtd = root.link_name(attribute(bdf, "iommu")).is_some_and(|name| name.starts_with("dmar"));
        let (direct, relaxable) = (count("direct"), count("direct-relaxable"));
        match is_new || is_vtd {
            true => Reserved { kept: direct, released: relaxable },
            false => Reserved { kept: 0, released: direct + relaxable },
        }
    }
}

/// The commands by which the kernel takes a device for a new one.
pub(super) fn find_anew(bdf: Bdf) -> String {
    let folder = "/sys/bus/pci";
    format!("echo 1 > {folder}/devices/{bdf}/remove; echo 1 > {folder}/rescan")
}

/// What frees a device from what firmware reserves for it.
pub(super) const FREE_IT: &str =
    "switch off in the firmware what uses them, such as USB legacy support or the graphics of the processor";

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
    let files = [super::pci::group_file(bdf), super::pci::cdev(bdf)];
    let files: Vec<PathBuf> = files.into_iter().flatten().filter(|file| file.exists()).collect();
    if files.iter().any(|file| may_write(file)) {
        return None;
    }
    let file = files.into_iter().next()?;
    Some(match refused(&file)? {
        Refused::Group => BindError::Forbidden(file),
        Refused::User | Refused::ReadOnly => BindError::NoAccess(bdf, file),
    })
}

/// Why this process may not write to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The file is another user's.
    User,
    /// The devices of its control group do not have this one (`devcgroup_inode_permission` in include/linux/device_cgroup.h).
    Group,
    /// The file system is mounted without a right to write, as /sys is in a container.
    ReadOnly,
}

pub(super) fn refused(path: &Path) -> Option<Refused> {
    match nix::unistd::access(path, nix::unistd::AccessFlags::W_OK) {
        Err(nix::errno::Errno::EACCES) => Some(Refused::User),
        Err(nix::errno::Errno::EPERM) => Some(Refused::Group),
        Err(nix::errno::Errno::EROFS) => Some(Refused::ReadOnly),
        _ => None,
    }
}

pub(super) fn may_write(path: &Path) -> bool {
    refused(path).is_none()
}

/// What lets a process have the files of VFIO that its control group keeps from it.
pub(super) const LET_IN: &str = "start the container with --device /dev/vfio, or the unit of systemd with DeviceAllow=char-vfio and DeviceAllow=/dev/vfio/vfio";

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
    format!("vfiospec grant {} --device {bdf}", word(&crate::uapi::system::user()))
}

/// Whether this is a domain of Xen.
pub(super) fn is_xen(root: &Root) -> bool {
    root.text("sys/hypervisor/type").as_deref() == Some("xen")
}

/// What to do where no IOMMU is in front of a device.
pub fn no_iommu_help(root: &Root) -> String {
    let line = root.text("proc/cmdline").unwrap_or_default();
    let off = line.split_whitespace().find(|word| ["iommu=off", "intel_iommu=off", "amd_iommu=off"].contains(word));
    let has = |table: &str| root.join(format!("sys/firmware/acpi/tables/{table}")).exists();
    match off {
        _ if is_xen(root) => "boot Linux without Xen, which keeps the IOMMU for itself".to_owned(),
        Some(word) => format!("boot without {word}, which is on the kernel's command line"),
        None if !root.names("sys/class/iommu").is_empty() => {
            "the machine has an IOMMU, and this device is not behind it; test another one: vfiospec devices".to_owned()
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
