// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory can be mapped.

use super::{Fact, Mend, Root};
use crate::{sanitize::word, uapi::limits};

/// What the cases of our packs map at a time, in bytes, apart from those that need huge pages.
const ENOUGH: u64 = 8 << 20;

/// What is enough for a run of our packs, in bytes, with the runner itself: their largest regions have 32 MiB, apart from huge pages, which cgroups
/// count elsewhere.
const RUN: u64 = 512 << 20;

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
    [Some(lock), cgroup(root), huge, few].into_iter().flatten().collect()
}

/// How much memory the control group of this process may have, with those that it is in (`Documentation/admin-guide/cgroup-v2.rst`); `None` without
/// cgroup v2.
fn cgroup(root: &Root) -> Option<Fact> {
    const MOUNTED: &str = "sys/fs/cgroup";
    root.text(format!("{MOUNTED}/cgroup.controllers"))?;
    let told = root.text("proc/self/cgroup")?;
    let own = told.lines().find_map(|line| line.strip_prefix("0::"))?;
    let limits = std::path::Path::new(own).ancestors().filter_map(|group| {
        let file = format!("{MOUNTED}{}/memory.max", group.display()).replace("//", "/");
        let bytes: u64 = root.text(&file)?.parse().ok()?;
        Some((bytes, file))
    });
    Some(match limits.min() {
        None => Fact::good("cgroup", "no cgroup limits the memory of this process"),
        Some((bytes, _)) if bytes >= RUN => {
            Fact::good("cgroup", format!("the cgroup of this process may have {} MiB of memory", bytes >> 20))
        }
        Some((bytes, file)) => {
            let says = format!(
                "the cgroup of this process may have only {} MiB of memory: cases with large regions can get the run killed",
                bytes >> 20
            );
            Fact::will_do("cgroup", says).by_root(format!(
                "echo max > {} # in a container: start it with more memory",
                word(&format!("/{file}"))
            ))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::super::Grade;
    use super::*;

    #[test]
    fn the_smallest_limit_of_all_groups_around_counts() {
        let tree = Tree::new("cgroup");
        let told = || cgroup(&tree.root());
        assert_eq!(told(), None);
        tree.put("sys/fs/cgroup/cgroup.controllers", "memory\n");
        tree.put("proc/self/cgroup", "1:name=x:/\n0::/ci\\x2djobs.slice/job.service\n");
        let says = |fact: Option<Fact>| fact.map(|fact| (fact.grade, fact.says)).expect("a fact");
        assert_eq!(says(told()), (Grade::Good, "no cgroup limits the memory of this process".into()));
        tree.put("sys/fs/cgroup/ci\\x2djobs.slice/job.service/memory.max", "max\n");
        tree.put("sys/fs/cgroup/ci\\x2djobs.slice/memory.max", "1073741824\n");
        assert_eq!(says(told()), (Grade::Good, "the cgroup of this process may have 1024 MiB of memory".into()));
        tree.put("sys/fs/cgroup/ci\\x2djobs.slice/memory.max", "134217728\n");
        let fact = told().expect("a fact");
        assert!(fact.grade == Grade::WillDo && fact.says.contains("only 128 MiB"), "{}", fact.says);
        let mend = fact.mend.expect("a command").to_string();
        assert!(mend.contains(r"echo max > '/sys/fs/cgroup/ci\x2djobs.slice/memory.max'"), "{mend}");
        // As in a container.
        tree.put("proc/self/cgroup", "0::/\n");
        assert_eq!(says(told()).0, Grade::Good);
        tree.put("sys/fs/cgroup/memory.max", "67108864\n");
        assert!(says(told()).1.contains("only 64 MiB"));
    }
}
