// SPDX-License-Identifier: MIT OR Apache-2.0
//! The IOMMU: whether the machine has one and the kernel uses it, and whether interrupts are isolated.

use super::{Fact, Root};
use crate::host::facts::{self, Interrupts};
use crate::host::in_the_way::{is_xen, no_iommu_help};

/// The tables in which firmware describes an IOMMU.
const TABLES: [(&str, &str); 4] = [("DMAR", "VT-d"), ("IVRS", "AMD-Vi"), ("IORT", "SMMU"), ("VIOT", "virtio-iommu")];

pub fn facts(root: &Root) -> Vec<Fact> {
    let tables = TABLES.iter().filter(|(table, _)| root.join(format!("sys/firmware/acpi/tables/{table}")).exists());
    let described: Vec<&str> = tables.map(|(_, name)| *name).collect();
    let iommus = root.names("sys/class/iommu");
    let described = if described.is_empty() { String::new() } else { format!(" ({})", described.join(", ")) };
    let iommu = match iommus.len() {
        0 => Fact::blocks("iommu", format!("the kernel uses no IOMMU{described}")).by_hand(no_iommu_help(root)),
        _ => Fact::good("iommu", format!("the kernel uses {}{described}{}", iommus.join(", "), asked_for(root))),
    };
    let xen = is_xen(root).then(|| {
        Fact::blocks("xen", "this is a domain of Xen, which keeps the IOMMU for itself")
            .by_hand("boot Linux without Xen")
    });
    let isolated = (!iommus.is_empty() && cfg!(target_arch = "x86_64")).then(|| interrupts(root));
    [Some(iommu), xen, confidential(root), isolated].into_iter().flatten().collect()
}

/// What the kernel's command line says of IOMMUs.
fn asked_for(root: &Root) -> String {
    let line = root.text("proc/cmdline").unwrap_or_default();
    let is_about = |word: &&str| {
        let name = word.split(['=', '.']).next().unwrap_or_default();
        ["iommu", "intel_iommu", "amd_iommu", "intremap", "arm-smmu", "arm-smmu-v3"].contains(&name)
    };
    match line.split_whitespace().filter(is_about).collect::<Vec<_>>() {
        words if words.is_empty() => String::new(),
        words => format!(", and was booted with {}", words.join(" ")),
    }
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

/// Whether this is a guest whose memory is kept from its host. Devices, which belong to that, reach only what the guest shares with it, and VFIO
/// maps a program's memory as it is.
fn confidential(root: &Root) -> Option<Fact> {
    let told = root.text("proc/cpuinfo").unwrap_or_default();
    let flags = told.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    // A host that can have such guests has the flag `sev_snp`, too.
    let is_snp = root.join("sys/devices/system/cpu/sev/vmpl").exists()
        || root.join("dev/sev-guest").exists()
        || has("sev_snp") && has("hypervisor");
    let kind = match (has("tdx_guest"), is_snp) {
        (true, _) => "TDX",
        (_, true) => "SEV-SNP",
        _ => return None,
    };
    let says = format!("this is a guest of {kind}: devices do not reach its encrypted memory, and cases with DMA fail");
    Some(Fact::will_do("confidential", says).by_hand(format!("test on the host, or in a guest without {kind}")))
}

/// What keeps even root from looking at page tables.
pub fn lockdown(root: &Root) -> Option<Fact> {
    let mode = facts::lockdown_of(root)?;
    Some(Fact::will_do(
        "lockdown",
        format!("the kernel is locked down ({mode}): page tables cannot be read, and page sizes are unchecked"),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn what_the_command_line_says_of_iommus_is_told() {
        let tree = Tree::new("asked-for");
        tree.put("sys/class/iommu/dmar0/name", "");
        let told = || facts(&tree.root()).first().map(|fact| fact.says.clone());
        assert_eq!(told().as_deref(), Some("the kernel uses dmar0"));
        tree.put("proc/cmdline", "quiet intel_iommu=on,sm_off iommu.passthrough=1 root=/dev/iommu\n");
        let says = "the kernel uses dmar0, and was booted with intel_iommu=on,sm_off iommu.passthrough=1";
        assert_eq!(told().as_deref(), Some(says));
    }

    #[test]
    fn a_guest_with_encrypted_memory_is_told_from_a_host_that_can_have_such() {
        let tree = Tree::new("confidential");
        let told = |flags: &str| {
            tree.put("proc/cpuinfo", &format!("processor\t: 0\nflags\t\t: fpu {flags} sse\nbugs\t\t: none\n"));
            confidential(&tree.root()).map(|fact| fact.says.split(':').next().unwrap_or_default().to_owned())
        };
        assert_eq!(told("hypervisor"), None);
        assert_eq!(told("sme sev sev_es sev_snp"), None, "the host");
        assert_eq!(told("hypervisor tdx_guest").as_deref(), Some("this is a guest of TDX"));
        assert_eq!(told("hypervisor sev_snp").as_deref(), Some("this is a guest of SEV-SNP"));
        tree.put("sys/devices/system/cpu/sev/vmpl", "0\n");
        assert_eq!(told("hypervisor").as_deref(), Some("this is a guest of SEV-SNP"));
    }
}
