//! What the IOMMU's page tables hold for a device, from VT-d's debugfs
//! (`Documentation/ABI/testing/debugfs-intel-iommu`, `drivers/iommu/intel/debugfs.c`).
//!
//! The file has two lines of head and then one line for each leaf, in the order of the addresses: the page number, and
//! the entries on the way down, of which the last is the leaf. A leaf at the fifth column maps 4 KiB, at the fourth
//! 2 MiB, at the third 1 GiB.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts::{IommuKind, iommu_kind};
use super::{Bdf, Root};

/// One leaf of an IOMMU's page table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leaf {
    /// The first address that it maps.
    pub iova: u64,
    /// How many bytes it maps.
    pub page_size: u64,
    /// The device may read. First-stage tables cannot forbid it: write-only shows as both.
    pub read: bool,
    /// The device may write.
    pub write: bool,
}

/// Why nothing can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unobservable(pub String);

impl fmt::Display for Unobservable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unobservable {}

/// Sees the leaves of one device.
#[derive(Debug, Clone)]
pub struct Observer {
    file: PathBuf,
}

impl Observer {
    /// Finds the dump of a device; the reason if there is none.
    pub fn for_device(bdf: Bdf) -> Result<Observer, Unobservable> {
        Observer::find(&Root::default(), bdf, None)
    }

    /// Finds the dump of the address space that a device has for one PASID.
    pub fn for_pasid(bdf: Bdf, pasid: u32) -> Result<Observer, Unobservable> {
        Observer::find(&Root::default(), bdf, Some(pasid))
    }

    fn find(root: &Root, bdf: Bdf, pasid: Option<u32>) -> Result<Observer, Unobservable> {
        let because = |reason: String| Err(Unobservable(reason));
        match iommu_kind(root, bdf) {
            IommuKind::Intel => {}
            IommuKind::None => return because(format!("no IOMMU is in front of {bdf}")),
            other => return because(format!("the {other} IOMMU has no page-table dump")),
        }
        let debugfs = root.join("sys/kernel/debug");
        let mounted = std::fs::read_dir(&debugfs).map(|entries| entries.count() > 0);
        match mounted {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return because("only root can read debugfs".into());
            }
            _ => return because("debugfs is not mounted: mount -t debugfs none /sys/kernel/debug".into()),
        }
        let intel = debugfs.join("iommu/intel");
        if !intel.exists() {
            return because("the kernel is built without CONFIG_INTEL_IOMMU_DEBUGFS".into());
        }
        let folder = match pasid {
            None => intel.join(bdf.to_string()),
            Some(pasid) => intel.join(bdf.to_string()).join(format!("{pasid:x}")),
        };
        let file = folder.join("domain_translation_struct");
        match File::open(&file) {
            Ok(_) => Ok(Observer { file }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                because(format!("the IOMMU driver offers no page-table dump of {bdf} (it does since Linux 6.7)"))
            }
            Err(error) => because(format!("failed to open {}: {error}", file.display())),
        }
    }

    /// The leaves that map any of the `size` bytes at `iova`, in order; none where nothing is mapped.
    ///
    /// Fails if the dump cannot be read, or if it is not what we know.
    pub fn leaves(&self, iova: u64, size: u64) -> io::Result<Vec<Leaf>> {
        parse(BufReader::with_capacity(1 << 18, File::open(&self.file)?), iova, size)
    }

    /// The file that is read.
    pub fn path(&self) -> &Path {
        &self.file
    }
}

fn parse(mut dump: impl BufRead, iova: u64, size: u64) -> io::Result<Vec<Leaf>> {
    let mut leaves = Vec::new();
    let Some(last) = size.checked_sub(1).map(|most| iova.saturating_add(most)) else { return Ok(leaves) };
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        if dump.read_until(b'\n', &mut line)? == 0 {
            return Ok(leaves);
        }
        match line.first() {
            Some(b'0') => {}
            // "Device 0000:00:03.0 @0x…" and "IOVA_PFN …", or an empty line.
            Some(b'D') if !line.starts_with(b"DMA") => continue,
            Some(b'I' | b'\n') => continue,
            _ => return Err(unknown(&line)),
        }
        let leaf = parse_leaf(&line).ok_or_else(|| unknown(&line))?;
        if leaf.iova > last {
            return Ok(leaves);
        }
        if leaf.iova.saturating_add(leaf.page_size - 1) >= iova {
            leaves.push(leaf);
        }
    }
}

fn unknown(line: &[u8]) -> io::Error {
    io::Error::other(format!(
        "failed to read a line of the page-table dump: '{}'",
        String::from_utf8_lossy(line).trim_end()
    ))
}

/// `0x0000000000010 |` and three to five entries.
fn parse_leaf(line: &[u8]) -> Option<Leaf> {
    let mut numbers = line.split(|byte| byte.is_ascii_whitespace()).filter(|part| !part.is_empty() && *part != b"|");
    let pfn = hex(numbers.next()?)?;
    let (mut entries, mut leaf) = (0u32, 0);
    for number in numbers {
        leaf = hex(number)?;
        entries += 1;
    }
    let page_size = match entries {
        5 => 1 << 12,
        4 => 1 << 21,
        3 => 1 << 30,
        _ => return None,
    };
    // First-stage entries are those of the CPU and always carry its user bit, where second-stage ones have a bit that
    // Linux never sets. There bit 0 is "present" and bit 1 "writable"; here bit 0 is "read" and bit 1 "write".
    let first_stage = leaf & 1 << 2 != 0;
    Some(Leaf { iova: pfn.checked_mul(4096)?, page_size, read: first_stage || leaf & 1 != 0, write: leaf & 2 != 0 })
}

fn hex(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x")?;
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, byte| Some(number << 4 | u64::from(char::from(*byte).to_digit(16)?)))
}
