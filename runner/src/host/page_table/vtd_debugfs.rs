// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page tables of VT-d, from its driver's debugfs
//! (`Documentation/ABI/testing/debugfs-intel-iommu`, `drivers/iommu/intel/debugfs.c`).
//!
//! The file has two lines of head and then one line for each leaf, in the order of the addresses: the page number, and
//! the entries on the way down, of which the last is the leaf. A leaf at the fifth column maps 4 KiB, at the fourth
//! 2 MiB, at the third 1 GiB.

use std::io::{self, BufRead, BufReader};
use std::{fs::File, path::PathBuf, sync::Arc};

use super::{IommuKind, Leaf, Opened, Reader, Root, Source, Unobservable};
use crate::host::facts::release_is_before;
use crate::model::Bdf;

pub(super) const SOURCE: Source = Source { kind: IommuKind::Intel, open };

#[derive(Debug)]
struct Dump {
    file: PathBuf,
    lets_read: bool,
}

fn open(root: &Root, bdf: Bdf) -> Opened {
    let folder = super::debugfs(root, "iommu/intel", "CONFIG_INTEL_IOMMU_DEBUGFS")?;
    let file = folder.join(bdf.to_string()).join("domain_translation_struct");
    match File::open(&file) {
        Ok(_) => Ok(Arc::new(Dump { file, lets_read: lets_read(&crate::uapi::system::release()) })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Unobservable(format!("the IOMMU driver offers no page-table dump of {bdf} (it does since Linux 6.7)")))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Unobservable(super::denied(root, "read debugfs")))
        }
        Err(error) => Err(Unobservable(format!("failed to open {}: {error}", file.display()))),
    }
}

impl Reader for Dump {
    fn name(&self) -> &'static str {
        "VT-d's debugfs"
    }

    fn leaves(&self, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let mut dump = BufReader::with_capacity(1 << 18, File::open(&self.file)?);
        let mut leaves = parse(&mut dump, first, last)?;
        leaves.iter_mut().for_each(|leaf| leaf.always_readable |= self.lets_read);
        Ok(leaves)
    }
}

/// Linux 6.19 took the common page table code for VT-d (its commit d373449d8e97). Before, every entry got the bit that is "present" in
/// a first-stage table, and "read" in the other.
const FORBIDS_READS_SINCE: (u32, u32) = (6, 19);

/// Whether the driver of a kernel release, such as `6.12.117-1-amd64`, lets the device read whatever it maps.
pub(super) fn lets_read(release: &str) -> bool {
    release_is_before(release, FORBIDS_READS_SINCE)
}

fn parse(dump: &mut dyn BufRead, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
    let mut leaves = Vec::new();
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        if dump.read_until(b'\n', &mut line)? == 0 {
            return Ok(leaves);
        }
        match line.first() {
            Some(b'0') => {}
            // "Device 0000:00:03.0 @0x…" and "IOVA_PFN …", or an empty line.
            Some(b'D') if line.starts_with(b"Device ") => continue,
            Some(b'I' | b'\n') => continue,
            _ => return Err(unknown(&line)),
        }
        let leaf = parse_leaf(&line).ok_or_else(|| unknown(&line))?;
        if leaf.iova > last {
            return Ok(leaves);
        }
        if leaf.iova.saturating_add(leaf.page_size - 1) >= first {
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
    let (read, write) = (first_stage || leaf & 1 != 0, leaf & 2 != 0);
    Some(Leaf {
        iova: pfn.checked_mul(4096)?,
        // The bits below a page's address say other things.
        phys: leaf & 0x000f_ffff_ffff_f000 & !(page_size - 1),
        page_size,
        entry_size: Some(page_size),
        read,
        write,
        always_readable: first_stage,
    })
}

fn hex(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x")?;
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, byte| Some(number << 4 | u64::from(char::from(*byte).to_digit(16)?)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// Linux 7.3.4 on QEMU 7.2 (39 bits, so that PML5E and PML4E are empty): read and write, read, write, then huge.
    pub const LEGACY: &str = "\
Device 0000:00:01.0 @0x140b93000
IOVA_PFN         \tPML5E             \tPML4E             \tPDPE              \tPDE               \tPTE
0x0000000000010 |\t0x0000000000000000\t0x0000000000000000\t0x00000001491e4403\t0x0000000140b87403\t0x0000000140b8f003
0x0000000000011 |\t0x0000000000000000\t0x0000000000000000\t0x00000001491e4403\t0x0000000140b87403\t0x00000001491e5001
0x0000000000012 |\t0x0000000000000000\t0x0000000000000000\t0x00000001491e4403\t0x0000000140b87403\t0x00000001491e2002
0x0000000000200 |\t0x0000000000000000\t0x0000000000000000\t0x00000001491e4403\t0x000000017b400083
0x0000000040000 |\t0x0000000000000000\t0x0000000000000000\t0x0000000100000081
";

    /// The same with scalable-mode=on and intel_iommu=sm_on: second-stage tables again, with another head.
    pub const SCALABLE: &str = "\
Device 0000:00:01.0 with pasid 0 @0x140ba4000
IOVA_PFN         \tPML5E             \tPML4E             \tPDPE              \tPDE               \tPTE
0x0000000000012 |\t0x0000000000000000\t0x0000000000000000\t0x0000000149211403\t0x0000000140ba3403\t0x000000014920f002
";

    fn leaves(dump: &str, iova: u64, size: u64) -> Vec<(u64, u64, bool, bool)> {
        let leaves = parse(&mut dump.as_bytes(), iova, iova.saturating_add(size - 1)).unwrap();
        leaves.into_iter().map(|leaf| (leaf.iova, leaf.page_size, leaf.read, leaf.write)).collect()
    }

    #[test]
    fn page_size_and_permissions_are_read_off_the_leaf() {
        let small =
            [(64 * KIB, 4 * KIB, true, true), (68 * KIB, 4 * KIB, true, false), (72 * KIB, 4 * KIB, false, true)];
        assert_eq!(leaves(LEGACY, 64 * KIB, 12 * KIB), small);
        assert_eq!(leaves(LEGACY, 2 * MIB, 2 * MIB), [(2 * MIB, 2 * MIB, true, true)]);
        assert_eq!(leaves(LEGACY, GIB, GIB), [(GIB, GIB, true, false)]);
        assert_eq!(leaves(SCALABLE, 0, u64::MAX), [(72 * KIB, 4 * KIB, false, true)]);
    }

    #[test]
    fn a_leaf_is_found_by_any_of_its_bytes() {
        assert_eq!(leaves(LEGACY, GIB + 12345, 1), [(GIB, GIB, true, false)]);
        assert_eq!(leaves(LEGACY, 4 * MIB - 1, 1), [(2 * MIB, 2 * MIB, true, true)]);
        assert_eq!(leaves(LEGACY, 4 * MIB, GIB - 4 * MIB), []);
        assert_eq!(leaves(LEGACY, 0, 64 * KIB), []);
        assert_eq!(leaves(LEGACY, 0, u64::MAX).len(), 5);
    }

    #[test]
    fn first_stage_entries_have_the_bits_of_the_cpu() {
        // Put together from drivers/iommu/generic_pt/fmt/x86_64.h: present, user, accessed; writable and dirty.
        let line =
            |leaf: u64| format!("0x0000000000200 |\t{0:#018x}\t{0:#018x}\t{0:#018x}\t{leaf:#018x}\n", 0x1000_0067u64);
        assert_eq!(leaves(&line(0x17b4_00e7), 2 * MIB, 1), [(2 * MIB, 2 * MIB, true, true)]);
        assert_eq!(leaves(&line(0x17b4_00a5), 2 * MIB, 1), [(2 * MIB, 2 * MIB, true, false)]);
    }

    #[test]
    fn what_is_beyond_the_range_is_not_even_read() {
        assert_eq!(leaves(&format!("{LEGACY}garbage\n"), 0, MIB).len(), 3);
    }

    #[test]
    fn a_dump_that_is_not_what_we_know_is_an_error_and_no_empty_table() {
        for dump in [
            "DMA Remapping is not enabled on dmar0\n",
            "0x0000000000010 |\t0x0\t0x0\n",
            "0x0000000000010 |\t0x0\t0x0\t0x0\t0x0\t0x0\t0x0\n",
            "0x0000000000010 |\tzero\t0x0\t0x0\n",
            "0xffffffffffffffff |\t0x0\t0x0\t0x1\n",
        ] {
            let error = parse(&mut dump.as_bytes(), 0, u64::MAX).unwrap_err().to_string();
            assert!(error.starts_with("failed to read a line of the page-table dump: '"), "{error}");
        }
        assert_eq!(leaves("", 0, u64::MAX), [], "nothing attached: nothing mapped");
    }
}
