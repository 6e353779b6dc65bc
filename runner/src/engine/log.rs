// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel logged while a case ran, judged: a splat or an IOMMU fault is a failure of that case.

use super::observers::{broken, held, unchecked};
use crate::{event::Observation, language::KernelLog};

/// What begins a report of the kernel that something is wrong with itself.
const SPLATS: [&str; 15] = [
    "WARNING: ",
    "BUG: ",
    "kernel BUG at ",
    "Oops: ",
    "general protection fault",
    "UBSAN: ",
    "KFENCE: ",
    "INFO: task ",
    "rcu: INFO: ",
    "watchdog: BUG: ",
    "refcount_t: ",
    "list_del corruption",
    "list_add corruption",
    "pagealloc: ",
    "INFO: trying to register non-static key",
];

/// A fault that an IOMMU reports, by a text that it begins with and one that follows, as the drivers of VT-d, AMD-Vi, virtio and SMMUv3
/// write them.
const FAULTS: [(&str, &str); 4] = [
    ("DMAR: [", "Request device"),
    ("AMD-Vi: Event logged [", "FAULT"),
    ("virtio_iommu", "page fault"),
    // The first of its lines (`arm_smmu_dump_raw_event`).
    ("arm-smmu-v3 ", ": event 0x"),
];

/// What the log says about a case. `lost`: whether lines were overwritten before they were read; `None` without a log.
pub fn observe(lost: Option<bool>, lines: &[String], said: &KernelLog) -> Observation {
    match (first_alarm(lines, said), lost) {
        (Some(line), _) => broken("kernel_log", format!("the kernel logged: {line}")),
        (None, None) => unchecked("kernel_log", "/dev/kmsg cannot be read, which takes root".into()),
        (None, Some(true)) => unchecked(
            "kernel_log",
            "lines were overwritten before they could be read; a larger log_buf_len keeps them".into(),
        ),
        (None, Some(false)) => held("kernel_log"),
    }
}

/// Whether a case that allows these texts allows any splat of these lines.
pub fn allows_a_splat(lines: &[String], allowed: &[String]) -> bool {
    lines.iter().any(|line| SPLATS.iter().any(|splat| line.contains(splat)) && contains(line, allowed))
}

pub fn is_fault(line: &str) -> bool {
    FAULTS.iter().any(|(begin, then)| line.contains(begin) && line.contains(then))
}

/// How many of the lines that the kernel logs about faults in five seconds this one uses up.
pub fn costs(line: &str) -> u32 {
    match line {
        // Itself, and the look for a fault after the last one.
        line if line.contains("DRHD: handling fault status") => 2,
        line => u32::from(is_fault(line)),
    }
}

/// Whether a line contains one of these texts.
pub fn contains(line: &str, texts: &[String]) -> bool {
    texts.iter().any(|text| line.contains(text.as_str()))
}

/// The first line that no case should cause, or this one should not, unless it contains one of the texts that this one allows.
pub fn first_alarm<'l>(lines: &'l [String], said: &KernelLog) -> Option<&'l str> {
    let alarming = |line: &str| SPLATS.iter().any(|splat| line.contains(splat)) || is_fault(line);
    let alarms = |line: &&str| contains(line, &said.never) || alarming(line) && !contains(line, &said.allow);
    lines.iter().map(String::as_str).find(alarms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_splat_or_a_fault_is_no_noise() {
        for line in [
            "WARNING: drivers/iommu/generic_pt/fmt/../iommu_pt.h:933 at vtdss_map_range+0x2ec/0x340, CPU#0: vfiospec/77",
            "BUG: KASAN: slab-use-after-free in iommufd_access_pin_pages+0x1/0x2",
            "DMAR: [DMA Write NO_PASID] Request device [00:03.0] fault addr 0x1000 [fault reason 0x05] PTE Write access is not set",
            "AMD-Vi: Event logged [IO_PAGE_FAULT device=00:03.0 domain=0x0001 address=0x1000 flags=0x0020]",
            "virtio_iommu virtio1: page fault from EP 24 at 0x1000 []",
            "arm-smmu-v3 9050000.smmuv3: event 0x10 received:",
        ] {
            assert_eq!(first_alarm(&["tsc: Refined TSC".into(), line.into()], &KernelLog::default()), Some(line));
        }
        let noise = [
            "vfio-pci 0000:00:03.0: enabling device",
            "clocksource: Switched to clocksource tsc",
            "DMAR: IOMMU enabled",
        ];
        assert_eq!(first_alarm(&noise.map(str::to_owned), &KernelLog::default()), None);
    }

    #[test]
    fn a_log_that_was_not_seen_whole_is_no_clean_log() {
        use crate::model::Observed::{Broken, Held, Unchecked};
        let warning = ["WARNING: a.c:1 at f".to_owned()];
        for (lost, lines, state) in [
            (Some(false), &[][..], Held),
            (Some(true), &[][..], Unchecked),
            (None, &[][..], Unchecked),
            (Some(true), &warning[..], Broken),
        ] {
            assert_eq!(observe(lost, lines, &KernelLog::default()).state, state);
        }
    }

    #[test]
    fn a_case_allows_what_it_knows_and_forbids_what_it_names() {
        let lines = ["WARNING: a.c:1 at f".to_owned(), "WARNING: b.c:2 at g".to_owned(), "unlocked reset".to_owned()];
        let first = |allow: &[&str], never: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let said = KernelLog { allow: texts(allow), never: texts(never), expect: None };
            first_alarm(&lines, &said).map(str::to_owned)
        };
        assert_eq!(first(&["a.c:1"], &[]).as_deref(), Some("WARNING: b.c:2 at g"));
        assert_eq!(first(&["at f", "at g"], &[]), None);
        assert_eq!(first(&["at f", "at g"], &["unlocked"]).as_deref(), Some("unlocked reset"));
    }
}
