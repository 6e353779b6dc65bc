// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page table of a device behind AMD's IOMMU, from its entry in the device table (AMD I/O Virtualization Technology Specification,
//! 2.2.2; `drivers/iommu/amd/amd_iommu_types.h`).

use std::{fs, io, path::Path, path::PathBuf, sync::Arc};

use super::format::{Format, Table};
use super::kernel::{Kernel, Structure};
use super::memory::Memory;
use super::{IommuKind, Leaf, Opened, Reader, Root, Source, Unobservable};
use crate::host::pci::attribute;
use crate::model::Bdf;

/// The entry as the driver prints it.
pub(super) const PRINTED: Source = Source { kind: IommuKind::Amd, open: printed };
/// The entry in memory.
pub(super) const IN_MEMORY: Source = Source { kind: IommuKind::Amd, open: in_memory };

#[derive(Debug)]
struct Device {
    memory: Memory,
    bdf: Bdf,
    entry: Where,
}

/// Where the device's entry is.
#[derive(Debug)]
enum Where {
    /// The driver's folder in debugfs.
    Printed(PathBuf),
    /// The physical address of its segment's device table.
    Table(u64),
}

const FOLDER: &str = "sys/kernel/debug/iommu/amd";

fn printed(root: &Root, bdf: Bdf) -> Opened {
    super::debugfs(root, "iommu/amd", "CONFIG_AMD_IOMMU_DEBUGFS")?;
    let folder = root.join(FOLDER);
    if !folder.join("devtbl").exists() {
        return Err(Unobservable("the IOMMU driver shows no device table (it does since Linux 6.17)".into()));
    }
    // It has to be told which device, and lockdown forbids that.
    if let Err(error) = fs::write(folder.join("devid"), bdf.to_string()) {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let what = "ask debugfs for the device table";
        let because = if denied { super::denied(root, what) } else { format!("failed to {what}: {error}") };
        return Err(Unobservable(because));
    }
    Ok(Arc::new(Device { memory: Memory::open(root)?, bdf, entry: Where::Printed(folder) }))
}

fn in_memory(root: &Root, bdf: Bdf) -> Opened {
    let memory = Memory::open(root)?;
    let table = match register(root, bdf) {
        Some(register) => register & ADDRESS,
        None => variables(root, &memory, bdf)?,
    };
    Ok(Arc::new(Device { memory, bdf, entry: Where::Table(table) }))
}

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The register with the address of the device table, where debugfs shows registers.
fn register(root: &Root, bdf: Bdf) -> Option<u64> {
    const DEVICE_TABLE: &str = "0";
    let number: u32 = root.link_name(attribute(bdf, "iommu"))?.strip_prefix("ivhd")?.parse().ok()?;
    let file = format!("{FOLDER}/iommu{number:02}/mmio");
    fs::write(root.join(&file), DEVICE_TABLE).ok()?;
    let text = root.text(file)?;
    let (_, value) = text.strip_prefix("Offset:0x0 ")?.split_once("Value:0x")?;
    u64::from_str_radix(value, 16).ok()
}

/// The same from the driver's own variables (`amd_iommu_pci_seg_list` in `drivers/iommu/amd/init.c`).
fn variables(root: &Root, memory: &Memory, bdf: Bdf) -> Result<u64, Unobservable> {
    const SEGMENT: &str = "amd_iommu_pci_seg";
    let kernel = Kernel::read(root, &["amd_iommu_pci_seg_list"], &[Structure(SEGMENT, &["list", "id", "dev_table"])])?;
    let find = || {
        for segment in kernel.list(memory, "amd_iommu_pci_seg_list", SEGMENT, "list")? {
            let mut id = [0; 2];
            kernel.field(memory, SEGMENT, "id", segment, &mut id)?;
            if u32::from(u16::from_le_bytes(id)) == bdf.domain {
                return memory.physical_of(kernel.pointer(memory, SEGMENT, "dev_table", segment)?);
            }
        }
        Err(io::Error::other(format!("no segment is {:04x}", bdf.domain)))
    };
    find().map_err(|error| Unobservable(format!("failed to find the device table in the kernel's memory: {error}")))
}

impl Reader for Device {
    fn name(&self) -> &'static str {
        match self.entry {
            Where::Printed(_) => "AMD's debugfs, and its page table in memory",
            Where::Table(_) => "AMD's tables in memory",
        }
    }

    fn leaves(&self, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let entry = match &self.entry {
            Where::Printed(folder) => ask(folder, self.bdf)?,
            Where::Table(table) => self.memory.numbers(table + 32 * u64::from(number(self.bdf)))?,
        };
        let table = page_table(&self.memory, entry)?;
        table.map_or(Ok(Vec::new()), |table| table.leaves(&self.memory, first, last))
    }
}

/// A device's number in the tables of its segment.
fn number(Bdf { bus, device, function, .. }: Bdf) -> u16 {
    u16::from(bus) << 8 | u16::from(device) << 3 | u16::from(function)
}

/// A device's entry, of the file that shows the one that was asked for last. Another process may ask in between.
fn ask(folder: &Path, bdf: Bdf) -> io::Result<[u64; 4]> {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        fs::write(folder.join("devid"), bdf.to_string())?;
        let text = fs::read_to_string(folder.join("devtbl"))?;
        let unknown = || io::Error::other(format!("failed to read the device table: '{}'", text.trim_end()));
        let mut words = text.lines().nth(1).ok_or_else(unknown)?.split_whitespace();
        if words.next() == Some(&bdf.to_string()) {
            // The last of the four is the first.
            let mut entry = [0; 4];
            for number in entry.iter_mut().rev() {
                let word = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
                *number = word.ok_or_else(unknown)?;
            }
            return Ok(entry);
        }
    }
    Err(io::Error::other("other processes keep asking for other devices in the driver's debugfs"))
}

/// The page table that an entry names; `None` if the device reaches nothing.
fn page_table(memory: &Memory, [first, second, third, _]: [u64; 4]) -> io::Result<Option<Table>> {
    let bit = |number: u32| first >> number & 1 == 1;
    let field = |value: u64, from: u32, bits: u32| value >> from & ((1 << bits) - 1);
    let (read, write) = (bit(61), bit(62));
    let levels = field(first, 9, 3) as u8;
    if bit(0) && !bit(1) {
        return Ok(None);
    }
    if !bit(0) || levels == 7 {
        return Err(io::Error::other("the IOMMU has no valid entry for the device"));
    }
    if levels > 0 {
        return Ok(Some(Table { format: Format::AmdV1, root: first & ADDRESS, levels, read, write }));
    }
    if bit(55) {
        // A table of tables, of which the first is for requests without a PASID.
        let mut table = field(first, 58, 3) << 12 | field(second, 16, 16) << 15 | field(second, 43, 21) << 31;
        for _ in 0..=field(first, 56, 2) {
            let [entry] = memory.numbers(table)?;
            if entry & 1 == 0 {
                return Ok(None);
            }
            table = entry & ADDRESS;
        }
        let levels = 4 + field(third, 54, 2) as u8;
        return Ok(Some(Table { format: Format::X86, root: table, levels, read: true, write: true }));
    }
    if read || write {
        return Err(io::Error::other("the IOMMU lets the device reach all memory, untranslated"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::super::kernel::tests::btf;
    use super::super::memory::tests::{DIRECT, kcore, page};
    use super::*;

    const LINK: &str = "sys/bus/pci/devices/0000:03:00.0/iommu";
    const ALL: u64 = 3 << 61 | 1;

    /// A machine whose device table begins at 0, with the device's first and second number in it.
    fn machine(name: &str, first: u64, second: u64) -> Tree {
        let tree = Tree::new(name);
        tree.link(LINK, "sys/devices/virtual/iommu/ivhd0");
        let mut pages = vec![[0; 512]; 8];
        // 03:00.0 has the number 0x300.
        pages[6] = page(&[(0, first), (1, second)]);
        pages.push(page(&[(0, ALL | 1 << 9 | 0x9000)]));
        pages.push(page(&[(5, ALL | 0x7000)]));
        pages.push(page(&[(0, 0x1001 + 0xa000)]));
        pages.push(page(&[(0, 0xc067)]));
        pages.push(page(&[(0, 0xd067)]));
        pages.push(page(&[(0, 0xe067)]));
        pages.push(page(&[(5, 0x7065)]));
        // The only segment, and the head of their list.
        pages[7] = page(&[(0, DIRECT + 0x7800), (3, DIRECT), (256, DIRECT + 0x7000)]);
        tree.put_bytes("proc/kcore", &kcore(&pages));
        let segment: (&str, &[(&str, u32)]) = ("amd_iommu_pci_seg", &[("list", 0), ("id", 16), ("dev_table", 24)]);
        tree.put_bytes("sys/kernel/btf/vmlinux", &btf(&[segment]));
        tree.put("proc/kallsyms", &format!("{:x} D amd_iommu_pci_seg_list\n", DIRECT + 0x7800));
        let shown = "DeviceId             QWORD[3]         QWORD[2]         QWORD[1]         QWORD[0] iommu";
        let line = format!("0000:03:00.0 {:016x} {:016x} {second:016x} {first:016x} iommu0", 0, 0);
        tree.put(&format!("{FOLDER}/devtbl"), &format!("{shown}\n{line}\n"));
        tree
    }

    fn leaves(tree: &Tree) -> Vec<io::Result<Vec<Leaf>>> {
        let opened = [PRINTED, IN_MEMORY].map(|source| (source.open)(&tree.root(), tree.bdf()).unwrap());
        opened.iter().map(|reader| reader.leaves(0, u64::MAX)).collect()
    }

    #[test]
    fn the_entry_of_the_device_leads_to_its_page_table() {
        let leaf = Leaf {
            iova: 0x5000,
            phys: 0x7000,
            page_size: 4096,
            entry_size: Some(4096),
            read: true,
            write: true,
            always_readable: false,
        };
        let guests = Leaf { write: false, always_readable: true, ..leaf };
        for (what, first, second, found) in [
            ("host", 3 << 61 | 2 << 9 | 0x8003, 0, Some(vec![leaf])),
            ("read-only", 1 << 61 | 2 << 9 | 0x8003, 0, Some(vec![Leaf { write: false, ..leaf }])),
            ("guest", 1 << 55 | 2 << 58 | 3, 1 << 16, Some(vec![guests])),
            ("blocked", 3, 0, Some(vec![])),
            ("no-translation", 1, 0, Some(vec![])),
            ("untranslated", 3 << 61 | 3, 0, None),
            ("invalid", 0, 0, None),
        ] {
            let tree = machine(&format!("amd-{what}"), first, second);
            for seen in leaves(&tree) {
                assert_eq!(seen.ok(), found, "{what}");
            }
        }
    }

    #[test]
    fn where_the_driver_shows_no_entry_the_reason_is_said() {
        let tree = machine("amd-old", 3, 0);
        std::fs::remove_file(tree.root().join(FOLDER).join("devtbl")).unwrap();
        let reason = printed(&tree.root(), tree.bdf()).unwrap_err().to_string();
        assert!(reason.starts_with("the IOMMU driver shows no device table"), "{reason}");
    }
}
