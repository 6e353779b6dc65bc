// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI devices as sysfs shows them (`Documentation/ABI/testing/sysfs-bus-pci`).

use std::path::{Path, PathBuf};

use super::Root;
use crate::model::{Bdf, Errno};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciDevice {
    pub bdf: Bdf,
    pub vendor: u16,
    pub device: u16,
    /// Class, subclass and programming interface, such as 0x010802 for NVMe.
    pub class: u32,
    pub driver: Option<String>,
    /// Its IOMMU group; `None` without an IOMMU.
    pub group: Option<u32>,
}

impl PciDevice {
    pub(super) fn read_in(root: &Root, bdf: Bdf) -> Option<PciDevice> {
        let number = |name: &str| {
            let text = root.text(attribute(bdf, name))?;
            u32::from_str_radix(text.strip_prefix("0x").unwrap_or(&text), 16).ok()
        };
        Some(PciDevice {
            bdf,
            vendor: number("vendor")?.try_into().ok()?,
            device: number("device")?.try_into().ok()?,
            class: number("class")?,
            driver: driver_in(root, bdf),
            group: root.link_name(attribute(bdf, "iommu_group")).and_then(|name| name.parse().ok()),
        })
    }

    /// Vendor and device as `8086:10c9`.
    pub fn ids(&self) -> String {
        format!("{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// `sys/bus/pci/devices/<bdf>/<name>`
pub(super) fn attribute(bdf: Bdf, name: &str) -> PathBuf {
    format!("sys/bus/pci/devices/{bdf}/{name}").into()
}

pub fn driver(bdf: Bdf) -> Option<String> {
    driver_in(&Root::default(), bdf)
}

pub(super) fn driver_in(root: &Root, bdf: Bdf) -> Option<String> {
    root.link_name(attribute(bdf, "driver"))
}

/// The driver that a device has; `None` if it has none. `ENOENT` if it is not there.
pub fn driver_or_none(bdf: Bdf) -> Result<Option<String>, Errno> {
    match driver(bdf) {
        None => text(bdf, "vendor").map(|_| None),
        some => Ok(some),
    }
}

/// The text of a file of a device, without the newline at its end.
pub fn text(bdf: Bdf, name: &str) -> Result<String, Errno> {
    let text = std::fs::read_to_string(Root::default().join(attribute(bdf, name)));
    text.map(|text| text.trim_end().to_owned()).map_err(|error| Errno::of(&error))
}

/// The number of a device's IOMMU group: `/dev/vfio/<number>` once it is bound to vfio-pci.
pub fn group(bdf: Bdf) -> Option<u32> {
    Root::default().link_name(attribute(bdf, "iommu_group"))?.parse().ok()
}

/// The devices of the IOMMU group of a device, itself among them; none if it is in no group.
pub fn members(bdf: Bdf) -> Vec<Bdf> {
    let names = Root::default().names(attribute(bdf, "iommu_group/devices"));
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// How the name of a VFIO file of a device without an IOMMU begins.
const WITHOUT_IOMMU: &str = "noiommu-";

/// The name of the file of a device's group in `/dev/vfio`: its number, with `noiommu-` before it if VFIO itself made the group
/// (`vfio_create_group` in drivers/vfio/group.c).
pub(super) fn group_file_name(root: &Root, bdf: Bdf) -> Option<String> {
    group_file_name_in(root, &attribute(bdf, ""))
}

fn group_file_name_in(root: &Root, device: &Path) -> Option<String> {
    let group = root.link_name(device.join("iommu_group"))?;
    let without = format!("{WITHOUT_IOMMU}{group}");
    Some(if root.join("sys/class/vfio").join(&without).exists() { without } else { group })
}

/// The file of a device's group, such as `/dev/vfio/12`.
pub fn group_file(bdf: Bdf) -> Option<PathBuf> {
    group_file_in(&attribute(bdf, ""))
}

fn group_file_in(device: &Path) -> Option<PathBuf> {
    group_file_name_in(&Root::default(), device).map(|name| Path::new("/dev/vfio").join(name))
}

/// Whether a VFIO file is that of a device without an IOMMU.
pub fn is_without_iommu(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(WITHOUT_IOMMU.as_bytes()))
}

/// The IOMMU in front of a device by the kernel's name, such as `dmar0`, `ivhd0` or `smmu3.0x000000000c000000`.
pub fn iommu(bdf: Bdf) -> Option<String> {
    Root::default().link_name(attribute(bdf, "iommu"))
}

/// What a device reaches that a driver of the kernel's own has: `dma` is what the driver maps for it, `identity` all memory.
pub fn default_domain(bdf: Bdf) -> Option<String> {
    let kind = Root::default().text(attribute(bdf, "iommu_group/type"))?.to_ascii_lowercase();
    Some(if kind == "dma-fq" { "dma".to_owned() } else { kind })
}

/// The size of a device's expansion ROM, in bytes; 0 if it has none.
pub fn rom_size(bdf: Bdf) -> u64 {
    const ROM: usize = 6;
    let text = Root::default().text(attribute(bdf, "resource")).unwrap_or_default();
    resources(&text).nth(ROM).map_or(0, |rom| rom.size)
}

/// A BAR, or the expansion ROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resource {
    pub start: u64,
    /// In bytes; 0 if the device does not have it.
    pub size: u64,
    flags: u64,
}

impl Resource {
    /// Of `include/linux/ioport.h`, which the kernel shows as they are.
    fn has(self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    pub fn is_memory(self) -> bool {
        self.has(0x200)
    }

    pub fn has_address(self) -> bool {
        !self.has(0x2000_0000)
    }
}

/// What a device's file `resource` lists: the six BARs and the expansion ROM, a line each with first address, last address and flags.
pub(super) fn resources(text: &str) -> impl Iterator<Item = Resource> {
    text.lines().map(|line| {
        let mut numbers =
            line.split(' ').map(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        let (start, last, flags) = (next(), next(), next());
        Resource { start, size: if last > start { (last - start).saturating_add(1) } else { 0 }, flags }
    })
}

/// The device's own VFIO file, such as `/dev/vfio/devices/vfio0`; `None` before Linux 6.6 or without vfio-pci. That of a device without an IOMMU
/// says so in its name (`vfio_device_set_noiommu_and_name` in drivers/vfio/vfio_main.c).
pub fn cdev(bdf: Bdf) -> Option<PathBuf> {
    cdev_in(&attribute(bdf, ""))
}

fn cdev_in(device: &Path) -> Option<PathBuf> {
    let names = Root::default().names(device.join("vfio-dev"));
    let name = names.iter().find(|name| name.trim_start_matches(WITHOUT_IOMMU).starts_with("vfio"))?;
    // The folder is there in any case; its `dev` file only if the kernel makes device files.
    Root::default().text(device.join(format!("vfio-dev/{name}/dev")))?;
    Some(PathBuf::from("/dev/vfio/devices").join(name))
}

/// The VFIO device without hardware of the lab's kernels (`vfio_mock.c`), which is no PCI device.
const MOCK: &str = "sys/devices/vfio_mock";

/// The mock device's own VFIO file.
pub fn mock_cdev() -> Option<PathBuf> {
    cdev_in(Path::new(MOCK))
}

/// The file of the mock device's group.
pub fn mock_group_file() -> Option<PathBuf> {
    group_file_in(Path::new(MOCK))
}
