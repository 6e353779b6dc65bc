// SPDX-License-Identifier: MIT OR Apache-2.0
//! The IOMMU group of a device, whose devices are tested together, and what the group may not map.

use super::{Fact, Root};
use crate::host::in_the_way::{in_the_way_in, listed, named, no_iommu_help};
use crate::host::pci::attribute;
use crate::model::Bdf;

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
    let regions = root.text(attribute(bdf, "iommu_group/reserved_regions")).unwrap_or_default();
    let is = |kind: &str| regions.lines().filter(|line| line.ends_with(&format!(" {kind}"))).count();
    // The kernel attaches such a device to no domain but its own (`require_direct` in drivers/iommu/iommu.c).
    match (is("direct"), is("direct-relaxable")) {
        (0, 0) => {}
        (0, relaxable) => facts.push(Fact::good("reserved", format!("the firmware reserves {relaxable} ranges for it, which it no longer needs while it is tested"))),
        (direct, _) => facts.push(Fact::blocks("reserved", format!("the firmware reserves {direct} ranges for it (RMRR), and the kernel lets no program map for such a device"))
            .by_hand("switch off in the firmware what uses them, such as USB legacy support or the graphics of the processor")),
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
