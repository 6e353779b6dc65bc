// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kind of a device and its capabilities, as sysfs and its configuration space show them.

use super::Root;
use super::pci::{PciDevice, attribute, resources};
use crate::model::{Bdf, Capability, DeviceKind};

/// The kind of a device, as sysfs shows it; the default for a device that is not there.
pub fn kind(bdf: Bdf) -> DeviceKind {
    kind_in(&Root::default(), bdf)
}

fn kind_in(root: &Root, bdf: Bdf) -> DeviceKind {
    let Some(device) = PciDevice::read_in(root, bdf) else { return DeviceKind::default() };
    let config = std::fs::read(root.join(attribute(bdf, "config"))).unwrap_or_default();
    kind_with(root, &device, &config)
}

/// The kind of a device whose configuration space is this one: sysfs shows only root more than its first 64 bytes.
pub fn kind_of(bdf: Bdf, config: &[u8]) -> DeviceKind {
    let root = Root::default();
    PciDevice::read_in(&root, bdf).map(|device| kind_with(&root, &device, config)).unwrap_or_default()
}

fn kind_with(root: &Root, device: &PciDevice, config: &[u8]) -> DeviceKind {
    let bdf = device.bdf;
    let mut capabilities = capabilities(config);
    // VFIO hides it from the configuration space that it shows.
    if super::sriov::number(root, bdf, "sriov_totalvfs") > 0 && !capabilities.contains(&Capability::Sriov) {
        capabilities.push(Capability::Sriov);
        capabilities.sort_unstable();
    }
    let resources = root.text(attribute(bdf, "resource")).unwrap_or_default();
    DeviceKind { ids: device.ids(), class: device.class, capabilities, largest_bar: largest_bar(&resources) }
}

/// A structure in a configuration space, by its id (`include/uapi/linux/pci_regs.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Structure {
    /// In the list that begins at the register 0x34.
    Standard(u8),
    /// In the list that begins at 0x100.
    Extended(u16),
}
use Structure::{Extended, Standard};

/// Which structure each capability is; the others are bits elsewhere.
const STRUCTURES: [(Structure, Capability); 12] = [
    (Standard(0x01), Capability::Pm),
    (Standard(0x05), Capability::Msi),
    (Standard(0x10), Capability::Pcie),
    (Standard(0x11), Capability::Msix),
    (Extended(0x01), Capability::Aer),
    (Extended(0x0d), Capability::Acs),
    (Extended(0x0e), Capability::Ari),
    (Extended(0x0f), Capability::Ats),
    (Extended(0x10), Capability::Sriov),
    (Extended(0x13), Capability::Pri),
    (Extended(0x15), Capability::Rebar),
    (Extended(0x1b), Capability::Pasid),
];

fn byte(config: &[u8], at: usize) -> u8 {
    config.get(at).copied().unwrap_or(0)
}

fn double(config: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([0, 1, 2, 3].map(|next| byte(config, at + next)))
}

/// The structures that a configuration space lists, each with where it begins; those who are not root see 64 bytes of it.
fn structures(config: &[u8]) -> Vec<(Structure, usize)> {
    let mut found = Vec::new();
    // The lists have at most as many entries as there is room for, so that a broken one ends.
    let mut next = if byte(config, 0x6) & 0x10 != 0 { byte(config, 0x34) } else { 0 };
    for _ in 0..48 {
        let at = usize::from(next & !3);
        if at < 0x40 {
            break;
        }
        found.push((Standard(byte(config, at)), at));
        next = byte(config, at + 1);
    }
    let mut at = 0x100;
    for _ in 0..480 {
        let header = double(config, at);
        found.push((Extended((header & 0xffff) as u16), at));
        at = (header >> 20) as usize & !3;
        if at < 0x100 {
            break;
        }
    }
    found
}

/// Where the structure of a capability begins in a configuration space, in bytes; `None` if that does not list it.
pub fn offset(config: &[u8], wanted: Capability) -> Option<u64> {
    let (wanted, _) = STRUCTURES.iter().find(|(_, capability)| *capability == wanted)?;
    structures(config).into_iter().find(|(structure, _)| structure == wanted).map(|(_, at)| at as u64)
}

/// The serial number of a device of PCI Express (`PCI_EXT_CAP_ID_DSN`), as lspci shows it: `00-1b-21-ff-ff-aa-bb-cc`.
pub(super) fn serial_number(config: &[u8]) -> Option<String> {
    let (_, at) = structures(config).into_iter().find(|(structure, _)| *structure == Extended(0x03))?;
    let bytes = (0..8).rev().map(|next| format!("{:02x}", byte(config, at + 4 + next)));
    Some(bytes.collect::<Vec<_>>().join("-"))
}

fn capabilities(config: &[u8]) -> Vec<Capability> {
    let mut found = Vec::new();
    found.extend((byte(config, 0x3d) != 0).then_some(Capability::Intx));
    for (structure, at) in structures(config) {
        found.extend(STRUCTURES.iter().find(|(known, _)| *known == structure).map(|(_, capability)| *capability));
        let resets = match structure {
            Standard(0x10) => double(config, at + 4) & (1 << 28) != 0,
            Standard(0x13) => byte(config, at + 3) & 2 != 0, // of Advanced Features
            Standard(_) | Extended(_) => false,
        };
        found.extend(resets.then_some(Capability::Flr));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The size of the largest BAR of memory that `resource` lists, in bytes.
fn largest_bar(text: &str) -> u64 {
    resources(text).take(6).filter(|bar| bar.is_memory()).map(|bar| bar.size).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration space with these bytes in it.
    fn config(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut config = vec![0; 4096];
        parts.iter().for_each(|(at, bytes)| config[*at..*at + bytes.len()].copy_from_slice(bytes));
        config
    }

    #[test]
    fn capabilities_are_found_along_both_lists() {
        let parts: &[(usize, &[u8])] = &[
            (0x06, &[0x10]),
            (0x34, &[0x40]),
            (0x3d, &[1]),
            (0x40, &[0x01, 0x50]),
            (0x50, &[0x11, 0xa0]),
            (0xa0, &[0x10, 0x00, 0x02, 0x00, 0, 0, 0, 0x10]),
            (0x100, &[0x01, 0x00, 0x01, 0x15]),
            (0x150, &[0x10, 0x00, 0x01, 0x00]),
        ];
        let all = capabilities(&config(parts));
        let names: Vec<_> = all.iter().map(|capability| capability.as_str()).collect();
        assert_eq!(names, ["intx", "pm", "msix", "pcie", "flr", "aer", "sriov"]);
        assert_eq!(offset(&config(parts), Capability::Msix), Some(0x50));
        assert_eq!(offset(&config(parts), Capability::Sriov), Some(0x150));
        assert_eq!(offset(&config(parts), Capability::Msi), None);
        assert_eq!(offset(&config(parts), Capability::Flr), None, "a bit of another one");
        // Those who are not root see less, and nobody more than there is.
        assert_eq!(capabilities(&config(parts)[..0x40]), [Capability::Intx]);
        assert_eq!(capabilities(&[]), []);
    }

    #[test]
    fn a_list_that_never_ends_is_left() {
        let circle: &[(usize, &[u8])] =
            &[(0x06, &[0x10]), (0x34, &[0x40]), (0x40, &[0x05, 0x40]), (0x100, &[0x0f, 0, 0x01, 0x10])];
        assert_eq!(capabilities(&config(circle)), [Capability::Msi, Capability::Ats]);
    }

    #[test]
    fn only_bars_of_memory_count() {
        let igb = "0x00000000febc0000 0x00000000febdffff 0x0000000000040200\n\
            0x00000000feba0000 0x00000000febbffff 0x0000000000040200\n\
            0x000000000000c000 0x00000000fc000000 0x0000000000040101\n\
            0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
            0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
            0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
            0x00000000fe000000 0x00000000feffffff 0x0000000000046200";
        assert_eq!(largest_bar(igb), 128 << 10);
        assert_eq!(largest_bar(""), 0);
    }
}
