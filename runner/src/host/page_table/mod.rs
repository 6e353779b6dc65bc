// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the page tables of the IOMMU in front of a device hold.
//!
//! Whatever shows the tables of a kind of IOMMU is a [`Reader`]: a file of this module and a row of [`SOURCES`]. Where several can look,
//! as in the lab, they have to agree.

mod amd;
mod format;
mod kernel;
mod memory;
mod smmu;
mod smmu_driver;
mod stream;
pub mod virtio;
mod vtd;
mod vtd_debugfs;

use std::{fmt, io, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Root;
use super::facts::{IommuKind, iommu_kind, is_lab_guest, lockdown_of};
use crate::model::Bdf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leaf {
    pub iova: u64,
    /// The physical address that it leads to.
    pub phys: u64,
    /// How many bytes it maps.
    pub page_size: u64,
    /// How many bytes one entry of its level maps: where neighbours make up one larger page, it takes several. `None` if the IOMMU has no
    /// pages, but was told a range.
    pub entry_size: Option<u64>,
    pub read: bool,
    pub write: bool,
    /// Reading cannot be forbidden: it is an entry of a first-stage table, or of a driver that never forbade it.
    pub always_readable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unobservable(pub String);

/// Shows the page table of one device.
trait Reader: fmt::Debug + Send + Sync {
    /// What results call it.
    fn name(&self) -> &'static str;

    /// The leaves that map any of the bytes from `first` to `last`, in order; none where nothing is mapped.
    ///
    /// # Errors
    /// The table cannot be read, or its form is not the one that the reader knows.
    fn leaves(&self, first: u64, last: u64) -> io::Result<Vec<Leaf>>;
}

/// A way to read the page tables of one kind of IOMMU.
struct Source {
    kind: IommuKind,
    open: fn(&Root, Bdf) -> Opened,
}

/// A reader, or why it cannot look.
type Opened = Result<Arc<dyn Reader>, Unobservable>;

/// The first of a kind that can look is the one that is believed.
const SOURCES: [&Source; 7] = [
    &vtd_debugfs::SOURCE,
    &vtd::SOURCE,
    &amd::PRINTED,
    &amd::IN_MEMORY,
    &smmu::SOURCE,
    &smmu_driver::SOURCE,
    &virtio::SOURCE,
];

/// Everything that shows the page table of a device.
#[derive(Debug, Clone)]
pub struct Observer {
    readers: Vec<Arc<dyn Reader>>,
}

impl Observer {
    /// Finds what shows the page table of a device. On a host, where a run should not take longer than it must, the first does.
    pub fn for_device(bdf: Bdf) -> Result<Observer, Unobservable> {
        Observer::find(&Root::default(), bdf, if is_lab_guest() { usize::MAX } else { 1 })
    }

    /// Finds the readers of a device, `most` of them at most.
    fn find(root: &Root, bdf: Bdf, most: usize) -> Result<Observer, Unobservable> {
        let kind = iommu_kind(root, bdf);
        let own = SOURCES.into_iter().filter(|source| source.kind == kind);
        let (mut readers, mut reasons) = (Vec::new(), Vec::new());
        for source in own {
            if readers.len() == most {
                break;
            }
            match (source.open)(root, bdf) {
                Ok(reader) => readers.push(reader),
                Err(Unobservable(reason)) if reasons.contains(&reason) => {}
                Err(Unobservable(reason)) => reasons.push(reason),
            }
        }
        match (readers.is_empty(), kind) {
            (false, _) => Ok(Observer { readers }),
            (true, IommuKind::None) => Err(Unobservable(format!("no IOMMU is in front of {bdf}"))),
            (true, kind) if reasons.is_empty() => {
                Err(Unobservable(format!("nothing shows the page table of the {kind} IOMMU")))
            }
            (true, _) => Err(Unobservable(reasons.join(", and "))),
        }
    }

    /// Only what takes least for a small part of a table: what reads it in memory, where something does.
    pub fn quickest(&self) -> Observer {
        Observer { readers: self.readers.last().cloned().into_iter().collect() }
    }

    /// What looks, such as `VT-d's debugfs`.
    pub fn names(&self) -> Vec<String> {
        self.readers.iter().map(|reader| reader.name().to_owned()).collect()
    }

    /// The leaves that map any of the `size` bytes at `iova`, in order; none where nothing is mapped.
    ///
    /// # Errors
    /// The table cannot be read, its form is not the one that the reader knows, or two readers disagree.
    pub fn leaves(&self, iova: u64, size: u64) -> io::Result<Vec<Leaf>> {
        let Some(last) = size.checked_sub(1).map(|most| iova.saturating_add(most)) else { return Ok(Vec::new()) };
        let read = |reader: &Arc<dyn Reader>| {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", reader.name()));
            reader.leaves(iova, last).map_err(named)
        };
        let mut all = self.readers.iter();
        let first = all.next().ok_or_else(|| io::Error::other("nothing shows it"))?;
        let leaves = read(first)?;
        for other in all {
            agree((first.name(), &leaves), (other.name(), &read(other)?))?;
        }
        Ok(leaves)
    }
}

/// Fails if two readers saw different leaves.
fn agree(one: (&str, &[Leaf]), other: (&str, &[Leaf])) -> io::Result<()> {
    if one.1 == other.1 {
        return Ok(());
    }
    let at = one.1.iter().zip(other.1).take_while(|(one, other)| one == other).count();
    let seen = |(name, leaves): (&str, &[Leaf])| {
        let shown = |leaf: &Leaf| {
            let Leaf { iova, phys, page_size, read, write, .. } = leaf;
            let access = match (read, write) {
                (true, true) => "reading and writing",
                (true, false) => "reading",
                (false, true) => "writing",
                (false, false) => "nothing",
            };
            format!("{page_size} bytes at iova {iova:#x} for {access}, at the physical address {phys:#x}")
        };
        format!("{name} shows {}", leaves.get(at).map_or("no further entry".to_owned(), shown))
    };
    Err(io::Error::other(format!("its readers disagree: {}, {}", seen(one), seen(other))))
}

/// A driver's folder in debugfs, which a kernel has that is built with an option.
fn debugfs(root: &Root, folder: &str, config: &str) -> Result<PathBuf, Unobservable> {
    let because = |reason: String| Err(Unobservable(reason));
    let debugfs = root.join("sys/kernel/debug");
    match std::fs::read_dir(&debugfs).map(|entries| entries.count() > 0) {
        Ok(true) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return because(denied(root, "read debugfs"));
        }
        _ => return because("debugfs is not mounted: mount -t debugfs none /sys/kernel/debug".into()),
    }
    let folder = debugfs.join(folder);
    if folder.exists() { Ok(folder) } else { because(format!("the kernel is built without {config}")) }
}

/// Why what only root can do was refused.
fn denied(root: &Root, what: &str) -> String {
    match lockdown_of(root) {
        Some(mode) => format!("the kernel's lockdown ({mode}) forbids to {what}"),
        None => format!("only root can {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn where_nothing_can_be_seen_the_reason_is_said() {
        let tree = Tree::new("leaves");
        let reason = || Observer::find(&tree.root(), tree.bdf(), 2).unwrap_err().to_string();
        let link = format!("sys/bus/pci/devices/{}/iommu", tree.bdf());
        assert_eq!(reason(), "no IOMMU is in front of 0000:03:00.0");
        tree.link(&link, "sys/devices/virtual/iommu/mmu0");
        assert_eq!(reason(), "nothing shows the page table of the mmu0 IOMMU");
        let no_memory = ", and the kernel is built without CONFIG_PROC_KCORE";
        tree.link(&link, "sys/devices/virtual/iommu/smmu3.0x0000000009050000");
        assert_eq!(reason(), "the kernel is built without CONFIG_PROC_KCORE");
        tree.link(&link, "sys/devices/virtual/iommu/ivhd0");
        assert_eq!(reason(), format!("debugfs is not mounted: mount -t debugfs none /sys/kernel/debug{no_memory}"));
        tree.link(&link, "sys/devices/virtual/iommu/dmar0");
        assert_eq!(reason(), format!("debugfs is not mounted: mount -t debugfs none /sys/kernel/debug{no_memory}"));
        tree.put("sys/kernel/debug/clear_warn_once", "");
        assert_eq!(reason(), format!("the kernel is built without CONFIG_INTEL_IOMMU_DEBUGFS{no_memory}"));
        tree.put("sys/kernel/debug/iommu/intel/iommu_regset", "");
        assert!(reason().starts_with("the IOMMU driver offers no page-table dump of 0000:03:00.0"));
        let dump = format!("sys/kernel/debug/iommu/intel/{}/domain_translation_struct", tree.bdf());
        tree.put(&dump, vtd_debugfs::tests::LEGACY);
        let observer = Observer::find(&tree.root(), tree.bdf(), 2).unwrap();
        assert_eq!(observer.leaves(0, u64::MAX).unwrap().len(), 5);
        assert_eq!(observer.leaves(0, 0).unwrap(), []);
        assert_eq!(observer.names(), ["VT-d's debugfs"]);
    }

    #[test]
    fn what_lockdown_forbids_is_not_for_want_of_root() {
        let tree = Tree::new("lockdown");
        let reason = || denied(&tree.root(), "read /proc/kcore");
        assert_eq!(reason(), "only root can read /proc/kcore");
        tree.put("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
        assert_eq!(reason(), "only root can read /proc/kcore");
        tree.put("sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
        assert_eq!(reason(), "the kernel's lockdown (confidentiality) forbids to read /proc/kcore");
    }

    #[test]
    fn readers_that_disagree_are_an_error() {
        let leaf = Leaf {
            iova: 0x1000,
            phys: 0x7000,
            page_size: 4096,
            entry_size: Some(4096),
            read: true,
            write: true,
            always_readable: false,
        };
        let both = [leaf, Leaf { iova: 0x2000, phys: 0x8000, ..leaf }];
        agree(("A", &both), ("B", &both)).unwrap();
        let error = |other: &[Leaf]| agree(("A", &both), ("B", other)).unwrap_err().to_string();
        assert_eq!(
            error(&both[..1]),
            "its readers disagree: A shows 4096 bytes at iova 0x2000 for reading and writing, at the physical address 0x8000, B shows no \
             further entry"
        );
        let other = "B shows 4096 bytes at iova 0x1000 for reading, at the physical address 0x7000";
        assert!(error(&[Leaf { write: false, ..leaf }]).ends_with(other));
        assert!(error(&[Leaf { phys: 0x9000, ..leaf }]).ends_with("at the physical address 0x9000"));
    }
}
