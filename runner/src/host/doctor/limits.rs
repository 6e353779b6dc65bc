// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory can be mapped.

use super::{Fact, Root};
use crate::uapi::limits;

/// What the cases of our packs map at a time, in bytes, apart from those that need huge pages.
const ENOUGH: u64 = 8 << 20;

pub fn facts(root: &Root) -> Vec<Fact> {
    let lock = match limits::lockable() {
        None => Fact::good("memlock", "this process may lock any memory"),
        Some(bytes) if bytes >= ENOUGH => Fact::good("memlock", format!("this process may lock {} KiB", bytes >> 10)),
        Some(bytes) => Fact::will_do(
            "memlock",
            format!("this process may lock {} KiB, and larger cases have no verdict", bytes >> 10),
        )
        .mend("ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit that starts it"),
    };
    let free = root.text("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").and_then(|text| text.parse().ok());
    let huge = match free {
        None => None,
        Some(0_u64) => Some(
            Fact::will_do("huge-pages", "no huge page of 2 MiB is free, and cases with such memory are skipped")
                .mend("echo 64 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"),
        ),
        Some(free) => Some(Fact::good("huge-pages", format!("{free} huge pages of 2 MiB are free"))),
    };
    let entries =
        root.text("sys/module/vfio_iommu_type1/parameters/dma_entry_limit").and_then(|text| text.parse().ok());
    let few = entries.filter(|entries: &u64| *entries < 1024).map(|entries| {
        Fact::will_do("dma_entry_limit", format!("TYPE1 takes only {entries} mappings"))
            .mend("modprobe -r vfio_iommu_type1; modprobe vfio_iommu_type1 dma_entry_limit=65535")
    });
    [Some(lock), huge, few].into_iter().flatten().collect()
}
