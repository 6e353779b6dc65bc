// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory can be mapped.

use super::{Fact, Mend, Root};
use crate::uapi::limits;

/// What the cases of our packs map at a time, in bytes, apart from those that need huge pages.
const ENOUGH: u64 = 8 << 20;

pub fn facts(root: &Root) -> Vec<Fact> {
    let few = |bytes: u64| {
        let says = format!("this process may lock {} KiB, and larger cases have no verdict", bytes >> 10);
        let fact = Fact::blocks("memlock", says);
        match limits::lockable_at_most() {
            // The user may raise it.
            Some(most) if most < ENOUGH => {
                let shell = std::os::unix::process::parent_id();
                fact.by_root(format!("prlimit --memlock=unlimited --pid {shell} # for good: LimitMEMLOCK=infinity in the unit that starts it"))
            }
            _ => fact.mend(Mend::Run("ulimit -S -l $(ulimit -H -l)".to_owned())),
        }
    };
    let lock = match limits::lockable() {
        None => Fact::good("memlock", "this process may lock any memory"),
        Some(bytes) if bytes >= ENOUGH => Fact::good("memlock", format!("this process may lock {} KiB", bytes >> 10)),
        Some(bytes) => few(bytes),
    };
    let free = root.text("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").and_then(|text| text.parse().ok());
    let huge = match free {
        None => None,
        Some(0_u64) => Some(
            Fact::will_do("huge-pages", "no huge page of 2 MiB is free, and cases with such memory are skipped")
                .by_root("echo 64 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
        ),
        Some(free) => Some(Fact::good("huge-pages", format!("{free} huge pages of 2 MiB are free"))),
    };
    let entries =
        root.text("sys/module/vfio_iommu_type1/parameters/dma_entry_limit").and_then(|text| text.parse().ok());
    let few = entries.filter(|entries: &u64| *entries < 1024).map(|entries| {
        let says = format!("TYPE1 takes only {entries} mappings");
        let fact = match entries {
            0 => Fact::blocks("dma_entry_limit", says),
            _ => Fact::will_do("dma_entry_limit", says),
        };
        fact.by_root("echo 65535 > /sys/module/vfio_iommu_type1/parameters/dma_entry_limit")
    });
    [Some(lock), huge, few].into_iter().flatten().collect()
}
