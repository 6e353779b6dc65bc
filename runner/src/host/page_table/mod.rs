// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the page tables of the IOMMU in front of a device hold.
//!
//! Each kind of IOMMU whose driver shows its tables has a reader: a file of this module and a row of `READERS`.

mod vtd;

use std::io::{self, BufRead, BufReader};
use std::{fs::File, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Root;
use super::facts::{IommuKind, iommu_kind};
use crate::model::Bdf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leaf {
    pub iova: u64,
    /// How many bytes it maps.
    pub page_size: u64,
    pub read: bool,
    pub write: bool,
    /// Reading cannot be forbidden: it is an entry of a first-stage table, or of a driver that never forbade it.
    pub always_readable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unobservable(pub String);

struct Reader {
    kind: IommuKind,
    /// The option of the kernel's configuration without which there is nothing to read.
    config: &'static str,
    /// The driver's folder in debugfs.
    folder: &'static str,
    /// The file of a device, below that folder.
    file: fn(Bdf) -> PathBuf,
    /// The kernel that offers that file first.
    since: &'static str,
    /// The leaves of a dump that map any of the `size` bytes at `iova`, in order.
    parse: fn(&mut dyn BufRead, u64, u64) -> io::Result<Vec<Leaf>>,
    /// Whether the driver of a kernel release, such as `6.12.117-1-amd64`, lets the device read whatever it maps.
    always_readable: fn(&str) -> bool,
}

const READERS: [&Reader; 1] = [&vtd::READER];

#[derive(Debug, Clone)]
pub struct Observer {
    file: PathBuf,
    parse: fn(&mut dyn BufRead, u64, u64) -> io::Result<Vec<Leaf>>,
    always_readable: bool,
}

impl Observer {
    /// Finds the dump of a device.
    pub fn for_device(bdf: Bdf) -> Result<Observer, Unobservable> {
        Observer::find(&Root::default(), bdf)
    }

    fn find(root: &Root, bdf: Bdf) -> Result<Observer, Unobservable> {
        let because = |reason: String| Err(Unobservable(reason));
        let kind = iommu_kind(root, bdf);
        let Some(reader) = READERS.into_iter().find(|reader| reader.kind == kind) else {
            return because(match kind {
                IommuKind::None => format!("no IOMMU is in front of {bdf}"),
                other => format!("the {other} IOMMU has no page-table dump"),
            });
        };
        let debugfs = root.join("sys/kernel/debug");
        match std::fs::read_dir(&debugfs).map(|entries| entries.count() > 0) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return because("only root can read debugfs".into());
            }
            _ => return because("debugfs is not mounted: mount -t debugfs none /sys/kernel/debug".into()),
        }
        let folder = debugfs.join(reader.folder);
        if !folder.exists() {
            return because(format!("the kernel is built without {}", reader.config));
        }
        let file = folder.join((reader.file)(bdf));
        match File::open(&file) {
            Ok(_) => {
                let always_readable = (reader.always_readable)(&crate::uapi::system::release());
                Ok(Observer { file, parse: reader.parse, always_readable })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => because(format!(
                "the IOMMU driver offers no page-table dump of {bdf} (it does since Linux {})",
                reader.since
            )),
            Err(error) => because(format!("failed to open {}: {error}", file.display())),
        }
    }

    /// The leaves that map any of the `size` bytes at `iova`, in order; none where nothing is mapped.
    ///
    /// # Errors
    /// The dump cannot be read, or its form is not the one that the reader knows.
    pub fn leaves(&self, iova: u64, size: u64) -> io::Result<Vec<Leaf>> {
        let mut dump = BufReader::with_capacity(1 << 18, File::open(&self.file)?);
        let mut leaves = (self.parse)(&mut dump, iova, size)?;
        leaves.iter_mut().for_each(|leaf| leaf.always_readable |= self.always_readable);
        Ok(leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    #[test]
    fn where_nothing_can_be_seen_the_reason_is_said() {
        let tree = Tree::new("leaves");
        let reason = || Observer::find(&tree.root(), tree.bdf()).unwrap_err().to_string();
        let link = format!("sys/bus/pci/devices/{}/iommu", tree.bdf());
        assert_eq!(reason(), "no IOMMU is in front of 0000:03:00.0");
        tree.link(&link, "sys/devices/virtual/iommu/mmu0");
        assert_eq!(reason(), "the mmu0 IOMMU has no page-table dump");
        tree.link(&link, "sys/devices/virtual/iommu/dmar0");
        assert_eq!(reason(), "debugfs is not mounted: mount -t debugfs none /sys/kernel/debug");
        tree.put("sys/kernel/debug/clear_warn_once", "");
        assert_eq!(reason(), "the kernel is built without CONFIG_INTEL_IOMMU_DEBUGFS");
        tree.put("sys/kernel/debug/iommu/intel/iommu_regset", "");
        assert!(reason().starts_with("the IOMMU driver offers no page-table dump of 0000:03:00.0"));
        tree.put(&format!("sys/kernel/debug/iommu/intel/{}/domain_translation_struct", tree.bdf()), vtd::tests::LEGACY);
        let observer = Observer::find(&tree.root(), tree.bdf()).unwrap();
        assert_eq!(observer.leaves(0, u64::MAX).unwrap().len(), 5);
    }
}
