// SPDX-License-Identifier: MIT OR Apache-2.0
//! The IOMMU: whether the machine has one and the kernel uses it, and whether interrupts are isolated.

use super::{Fact, Root};
use crate::host::facts::{self, Interrupts};
use crate::host::in_the_way::no_iommu_help;

/// The tables in which firmware describes an IOMMU.
const TABLES: [(&str, &str); 4] = [("DMAR", "VT-d"), ("IVRS", "AMD-Vi"), ("IORT", "SMMU"), ("VIOT", "virtio-iommu")];

pub fn facts(root: &Root) -> Vec<Fact> {
    let tables = TABLES.iter().filter(|(table, _)| root.join(format!("sys/firmware/acpi/tables/{table}")).exists());
    let described: Vec<&str> = tables.map(|(_, name)| *name).collect();
    let iommus = root.names("sys/class/iommu");
    let described = if described.is_empty() { String::new() } else { format!(" ({})", described.join(", ")) };
    let iommu = match iommus.len() {
        0 => Fact::blocks("iommu", format!("the kernel uses no IOMMU{described}")).by_hand(no_iommu_help(root)),
        _ => Fact::good("iommu", format!("the kernel uses {}{described}", iommus.join(", "))),
    };
    let hypervisor = root.text("sys/hypervisor/type").filter(|kind| kind == "xen");
    let xen = hypervisor.map(|_| {
        Fact::blocks("xen", "this is a domain of Xen, which keeps the IOMMU for itself")
            .by_hand("boot Linux without Xen")
    });
    let isolated = (!iommus.is_empty() && cfg!(target_arch = "x86_64")).then(|| interrupts(root));
    [Some(iommu), xen, isolated].into_iter().flatten().collect()
}

fn interrupts(root: &Root) -> Fact {
    match facts::interrupts(root) {
        Interrupts::Remapped => Fact::good("interrupts", "interrupts are remapped"),
        Interrupts::Refused => Fact::blocks("interrupts", "interrupts are not remapped, and VFIO refuses such devices")
            .by_root(format!(
                "{} # on a machine for tests, if the firmware has no interrupt remapping",
                facts::ALLOW_UNSAFE_INTERRUPTS
            )),
        Interrupts::Allowed => {
            Fact::will_do("interrupts", "interrupts are not remapped, and VFIO was told that this is no matter")
        }
    }
}

/// What keeps even root from looking at page tables.
pub fn lockdown(root: &Root) -> Option<Fact> {
    let mode = facts::lockdown_of(root)?;
    Some(Fact::will_do(
        "lockdown",
        format!("the kernel is locked down ({mode}): page tables cannot be read, and page sizes are unchecked"),
    ))
}
