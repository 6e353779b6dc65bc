// SPDX-License-Identifier: MIT OR Apache-2.0
//! The IOMMU group of a device, whose devices are tested together, and what the group may not map.

use super::{Fact, Root};
use crate::host::in_the_way::{FREE_IT, Reserved, in_the_way_in, listed, named, no_iommu_help};
use crate::host::pci::attribute;
use crate::model::{Bdf, count};

pub fn facts(root: &Root, bdf: Bdf, tested: &[Bdf]) -> Vec<Fact> {
    let group = root.link_name(attribute(bdf, "iommu_group"));
    let Some(group) = group.filter(|_| root.join(attribute(bdf, "iommu_group")).exists()) else {
        return vec![
            Fact::blocks("group", "it is in no IOMMU group: no IOMMU is in front of it").by_hand(no_iommu_help(root)),
        ];
    };
    let members = root.names(attribute(bdf, "iommu_group/devices")).len();
    let others = in_the_way_in(root, bdf, tested);
    let viable = match (others.is_empty(), members) {
        (true, 0 | 1) => Fact::good("group", format!("it is alone in group {group}")),
        (true, _) => Fact::good("group", format!("no other driver has one of the {members} devices of group {group}")),
        (false, _) => {
            Fact::blocks("group", format!("group {group} has devices that other drivers have: {}", listed(&others)))
                .by_hand(format!(
                    "test them, too: {}; or take them without testing them: --whole-group",
                    named(&others)
                ))
        }
    };
    let mut facts = vec![viable];
    match Reserved::of(root, bdf) {
        Reserved { kept: 0, released: 0 } => facts.extend(not_mapped(root, bdf)),
        Reserved { kept: 0, released } => facts.push(Fact::good(
            "reserved",
            format!(
                "the firmware reserves {} for it, which it no longer needs while it is tested",
                count(released, "range")
            ),
        )),
        Reserved { kept, .. } => facts.push(
            Fact::blocks(
                "reserved",
                format!(
                    "the firmware reserves {} for it (RMRR), and the kernel lets no program map for such a device",
                    count(kept, "range")
                ),
            )
            .by_hand(FREE_IT),
        ),
    }
    // VFIO has domains of its own: this is what the device reaches while another driver has it.
    match root.text(attribute(bdf, "iommu_group/type")).as_deref() {
        Some("identity") => facts.push(Fact::good(
            "default-domain",
            "identity: the driver of the kernel's own reaches all memory; VFIO does not use it",
        )),
        Some(kind) => facts.push(Fact::good("default-domain", kind.to_owned())),
        None => {}
    }
    facts
}

/// The IOVAs that no program maps for the group, whoever has it (`iommu_group_resv_type_string` in drivers/iommu/iommu.c).
fn not_mapped(root: &Root, bdf: Bdf) -> Option<Fact> {
    let text = root.text(attribute(bdf, "iommu_group/reserved_regions"))?;
    let range = |line: &str| {
        let mut words = line.split(' ');
        let mut number = || u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
        let (first, last) = (number()?, number()?);
        let why = match words.next()? {
            "msi" => "interrupts",
            _ => "the bus's own, such as HyperTransport's",
        };
        Some(format!("{first:#x} to {last:#x} ({why})"))
    };
    let ranges: Vec<String> = text.lines().filter_map(range).collect();
    (!ranges.is_empty()).then(|| Fact::good("reserved", format!("no program maps {}", ranges.join(", "))))
}
