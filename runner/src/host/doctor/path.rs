// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way from a device to memory: what keeps it apart from other devices, and how high the addresses are that the IOMMU takes.

use super::{Fact, Root};
use crate::host::capability::offset;
use crate::host::in_the_way::bridge;
use crate::host::pci::attribute;
use crate::model::{Bdf, Capability};

/// What a bridge or a device with several functions does about transactions from one device to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apart {
    Yes,
    No(&'static str),
    /// Only root sees more than the first 64 bytes of a configuration space.
    Unseen,
}

/// By the rules of `pci_acs_enabled` in drivers/pci/pci.c. What it knows of single models besides (`pci_dev_specific_acs_enabled`) is not here.
fn keeps_apart(config: &[u8], has_functions: bool) -> Apart {
    const SV_RR_CR_UF: u16 = 0x1d;
    let word = |at: usize| u16::from_le_bytes([0, 1].map(|next| config.get(at + next).copied().unwrap_or(0)));
    if config.len() <= 64 {
        return Apart::Unseen;
    }
    let Some(express) = offset(config, Capability::Pcie) else { return Apart::No("conventional PCI") };
    // The kinds of `PCI_EXP_TYPE_…` in include/uapi/linux/pci_regs.h.
    match (word(express as usize + 2) >> 4) & 0xf {
        7 | 8 | 0xa => return Apart::No("conventional PCI"),
        4 | 6 => {}
        _ if has_functions => {}
        _ => return Apart::Yes,
    }
    match offset(config, Capability::Acs).map(|at| at as usize) {
        None => Apart::No("no ACS"),
        // What it cannot switch needs no switching.
        Some(at) if word(at + 6) & word(at + 4) & SV_RR_CR_UF == word(at + 4) & SV_RR_CR_UF => Apart::Yes,
        Some(_) => Apart::No("its ACS is off"),
    }
}

/// Why the group of a device has other devices; `None` if it has none, apart from bridges.
pub fn acs(root: &Root, bdf: Bdf) -> Option<Fact> {
    let group = root.link_name(attribute(bdf, "iommu_group"))?;
    let members: Vec<Bdf> =
        root.names(attribute(bdf, "iommu_group/devices")).iter().filter_map(|name| name.parse().ok()).collect();
    if members.iter().all(|member| *member == bdf || bridge(root, *member).is_some()) {
        return None;
    }
    let slot = |bdf: Bdf| bdf.to_string().rsplit_once('.').map(|(slot, _)| slot.to_owned());
    let has_functions = members.iter().any(|member| *member != bdf && slot(*member) == slot(bdf));
    // The folder of a device is in that of the bridge that it is behind. A bridge that joins what is behind it is in the group itself
    // (`pci_device_group` in drivers/iommu/iommu.c).
    let folder = std::fs::canonicalize(root.join(attribute(bdf, ""))).unwrap_or_default();
    let way = folder.components().rev().filter_map(|part| part.as_os_str().to_str()?.parse().ok());
    let way: Vec<Bdf> = way.filter(|one| members.contains(one)).collect();
    let apart = |one: &Bdf| {
        let config = std::fs::read(root.join(attribute(*one, "config"))).unwrap_or_default();
        match *one == bdf {
            true if !has_functions => Apart::Yes,
            is_device => keeps_apart(&config, is_device),
        }
    };
    let all: Vec<(Bdf, Apart)> = way.iter().map(|one| (*one, apart(one))).collect();
    let reasons = all.iter().filter_map(|(one, apart)| match apart {
        Apart::No(why) if *one == bdf => Some(format!("its own functions ({why})")),
        Apart::No(why) => Some(format!("what is behind {one} ({why})")),
        Apart::Yes | Apart::Unseen => None,
    });
    let reasons: Vec<String> = reasons.collect();
    let count = members.len();
    let fact = |says: String| Fact::will_do("acs", says);
    let unseen = all.iter().any(|(_, apart)| *apart == Apart::Unseen);
    let by_bridge = all.iter().any(|(one, apart)| *one != bdf && matches!(apart, Apart::No(_)));
    Some(match (reasons.is_empty(), unseen, by_bridge) {
        (true, true, _) => fact(format!("only root sees why group {group} has {count} devices"))
            .by_root(format!("vfiospec doctor --device {bdf}")),
        (true, false, _) => fact(format!("group {group} has {count} devices, and no bridge is the reason")),
        (false, _, by_bridge) => {
            let fact = fact(format!("group {group} has {count} devices: nothing keeps apart {}", reasons.join(", ")));
            match by_bridge {
                true => fact
                    .by_hand("for a group of its own: another slot, or ACS in the firmware if that can switch it on"),
                false => fact,
            }
        }
    })
}

/// How many bits of an IOVA the IOMMU translates; `None` where sysfs does not show it, as of SMMU and virtio-iommu.
pub fn width(root: &Root, bdf: Bdf) -> Option<Fact> {
    let shown = |file: &str| root.text(attribute(bdf, &format!("iommu/{file}")));
    let bits = match (shown("intel-iommu/cap"), shown("amd-iommu/features")) {
        (Some(cap), _) => vtd_bits(&cap)?,
        (None, Some(features)) => amd_bits(&features)?,
        (None, None) => return None,
    };
    Some(match bits {
        48.. => Fact::good("address-width", format!("the IOMMU takes IOVAs of {bits} bits")),
        _ => Fact::will_do(
            "address-width",
            format!("the IOMMU takes IOVAs of {bits} bits only: cases with higher ones are skipped"),
        ),
    })
}

/// The smaller of two widths: that of the addresses it takes, and that of its deepest page table (`cap_mgaw`, `cap_sagaw` in drivers/iommu/intel/iommu.h).
fn vtd_bits(cap: &str) -> Option<u64> {
    let cap = u64::from_str_radix(cap, 16).ok()?;
    let widths = [(1, 39), (2, 48), (3, 57)].into_iter().filter(|(bit, _)| cap >> (8 + bit) & 1 == 1);
    Some(widths.map(|(_, bits)| bits).max()?.min((cap >> 16 & 0x3f) + 1))
}

/// By the levels of its page tables (`FEATURE_HATS` in drivers/iommu/amd/amd_iommu_types.h).
fn amd_bits(features: &str) -> Option<u64> {
    // Of the two registers, kernels show the first or the second one first; the second has only a few low bits.
    let registers = features.split(':').filter_map(|text| u64::from_str_radix(text, 16).ok());
    match registers.max()? >> 10 & 3 {
        0 => Some(48),
        1 => Some(57),
        2 => Some(64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::super::Grade;
    use super::*;

    const PORT: &str = "0000:00:1c.0";

    /// A port of PCI Express of a kind, with an ACS structure that has these bits and these of them on.
    fn port(kind: u8, acs: Option<(u8, u8)>) -> Vec<u8> {
        let mut config = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| config[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x06, &[0x10]);
        put(0x0e, &[1]);
        put(0x34, &[0x40]);
        put(0x40, &[0x10, 0, kind << 4 | 2, 0]);
        if let Some((has, on)) = acs {
            put(0x100, &[0x0d, 0, 1, 0, has, 0, on, 0]);
        }
        config
    }

    #[test]
    fn ports_keep_apart_what_they_can_only_if_it_is_on() {
        for (config, has_functions, expected) in [
            (port(4, Some((0x1d, 0x1d))), false, Apart::Yes),
            (port(4, Some((0x1f, 0x1d))), false, Apart::Yes),
            // What it does not have cannot be off.
            (port(6, Some((0x01, 0x01))), false, Apart::Yes),
            (port(6, Some((0x1d, 0x01))), false, Apart::No("its ACS is off")),
            (port(4, None), false, Apart::No("no ACS")),
            (port(7, None), false, Apart::No("conventional PCI")),
            (port(0, None), false, Apart::Yes),
            (port(0, None), true, Apart::No("no ACS")),
            (vec![0; 256], false, Apart::No("conventional PCI")),
            (port(4, None)[..64].to_vec(), false, Apart::Unseen),
            (Vec::new(), false, Apart::Unseen),
        ] {
            assert_eq!(keeps_apart(&config, has_functions), expected);
        }
    }

    /// A group of the device, its port and another device behind that.
    fn group(name: &str, other: &str) -> Tree {
        let tree = Tree::new(name);
        for member in ["0000:03:00.0", other, PORT] {
            tree.link(&format!("sys/kernel/iommu_groups/7/devices/{member}"), &format!("sys/bus/pci/devices/{member}"));
        }
        tree.put(&format!("sys/bus/pci/devices/{other}/vendor"), "0x8086\n");
        tree.put_bytes(&format!("sys/bus/pci/devices/{PORT}/config"), &port(4, Some((0x1d, 0x1d))));
        tree.put_bytes("sys/bus/pci/devices/0000:03:00.0/config", &port(0, None));
        tree
    }

    fn told(tree: &Tree) -> Option<String> {
        acs(&tree.root(), tree.bdf()).map(|fact| fact.says)
    }

    fn another_slot_helps(tree: &Tree) -> bool {
        let mend = acs(&tree.root(), tree.bdf()).and_then(|fact| fact.mend);
        mend.is_some_and(|mend| mend.to_string().contains("another slot"))
    }

    #[test]
    fn the_bridge_that_makes_a_group_is_named() {
        let tree = group("acs", "0000:04:00.0");
        assert_eq!(told(&tree).as_deref(), Some("group 7 has 3 devices, and no bridge is the reason"));
        tree.put_bytes(&format!("sys/bus/pci/devices/{PORT}/config"), &port(4, None));
        let says = "group 7 has 3 devices: nothing keeps apart what is behind 0000:00:1c.0 (no ACS)";
        assert_eq!(told(&tree).as_deref(), Some(says));
        assert!(another_slot_helps(&tree));
        tree.put_bytes(&format!("sys/bus/pci/devices/{PORT}/config"), &port(4, None)[..64]);
        assert_eq!(told(&tree).as_deref(), Some("only root sees why group 7 has 3 devices"));
        let functions = group("acs-functions", "0000:03:00.1");
        let says = "group 7 has 3 devices: nothing keeps apart its own functions (no ACS)";
        assert_eq!(told(&functions).as_deref(), Some(says));
        assert!(!another_slot_helps(&functions), "its functions are in each slot together");
    }

    #[test]
    fn nothing_is_said_of_acs_where_the_device_is_alone_behind_its_port() {
        let tree = Tree::new("acs-alone");
        assert_eq!(told(&tree), None);
        for member in ["0000:03:00.0", PORT] {
            tree.link(&format!("sys/kernel/iommu_groups/7/devices/{member}"), &format!("sys/bus/pci/devices/{member}"));
        }
        tree.put_bytes(&format!("sys/bus/pci/devices/{PORT}/config"), &port(4, None));
        assert_eq!(told(&tree), None);
    }

    #[test]
    fn the_width_is_what_the_iommu_shows() {
        let tree = Tree::new("width");
        assert_eq!(width(&tree.root(), tree.bdf()), None);
        let tree = tree.file("iommu/intel-iommu/cap", "d2008c222f0686\n");
        let fact = width(&tree.root(), tree.bdf()).expect("a fact");
        assert_eq!((fact.grade, &*fact.says), (Grade::Good, "the IOMMU takes IOVAs of 48 bits"));
        let tree = tree.file("iommu/intel-iommu/cap", "d2008c22260286\n");
        let fact = width(&tree.root(), tree.bdf()).expect("a fact");
        assert_eq!(fact.grade, Grade::WillDo);
        assert!(fact.says.contains(" 39 bits only"), "{}", fact.says);
        assert_eq!(vtd_bits("d2008c222f0286"), Some(39), "tables of three levels do not reach so far");
        assert_eq!(vtd_bits(""), None);
        for features in ["29d3:0", "0:29d3", "29d3"] {
            assert_eq!(amd_bits(features), Some(64), "{features}");
        }
        assert_eq!(amd_bits("58f77ef22294ade:0"), Some(64));
        assert_eq!(amd_bits("21d3:0"), Some(48));
        assert_eq!(amd_bits("2dd3:0"), None);
    }
}
