// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables of VT-d in memory, on the way that the IOMMU takes: root table, context table, with PASIDs their directory and table, and
//! the page table (Intel Virtualization Technology for Directed I/O, chapter 9; `drivers/iommu/intel/{iommu,pasid}.h`).

use std::{io, sync::Arc};

use super::format::{Format, Table};
use super::kernel::{Kernel, Structure};
use super::memory::Memory;
use super::{IommuKind, Leaf, Opened, Reader, Root, Source, Unobservable, vtd_debugfs};
use crate::host::pci::attribute;
use crate::model::Bdf;

pub(super) const SOURCE: Source = Source { kind: IommuKind::Intel, open };

#[derive(Debug)]
struct Tables {
    memory: Memory,
    root_table: u64,
    /// Whether the tables have PASIDs.
    scalable: bool,
    bdf: Bdf,
    /// See [`vtd_debugfs::lets_read`].
    lets_read: bool,
}

fn open(root: &Root, bdf: Bdf) -> Opened {
    let memory = Memory::open(root)?;
    let name = root.link_name(attribute(bdf, "iommu")).unwrap_or_default();
    let (root_table, scalable) = match registers(root, &name) {
        Some(register) => (register & !0xfff, register & SCALABLE != 0),
        None => variables(root, &memory, &name)?,
    };
    let lets_read = vtd_debugfs::lets_read(&crate::uapi::system::release());
    Ok(Arc::new(Tables { memory, root_table, scalable, bdf, lets_read }))
}

/// In the root table's address register: Linux sets it where the tables have PASIDs.
const SCALABLE: u64 = 1 << 10;

/// The root table's address register, where debugfs shows the registers.
fn registers(root: &Root, name: &str) -> Option<u64> {
    let text = root.text("sys/kernel/debug/iommu/intel/iommu_regset")?;
    let own = text.lines().skip_while(|line| line.split_whitespace().nth(1) != Some(name));
    let register = own.skip(1).take_while(|line| !line.starts_with("IOMMU:")).find(|line| line.starts_with("RTADDR "));
    u64::from_str_radix(register?.split_whitespace().last()?.strip_prefix("0x")?, 16).ok()
}

/// The same from the driver's own variables (`dmar_drhd_units` in `drivers/iommu/intel/dmar.c`).
fn variables(root: &Root, memory: &Memory, name: &str) -> Result<(u64, bool), Unobservable> {
    const SCALABLE_MODE: u64 = 1 << 43;
    let kernel = Kernel::read(
        root,
        &["dmar_drhd_units", "intel_iommu_sm"],
        &[Structure("dmar_drhd_unit", &["list", "iommu"]), Structure("intel_iommu", &["name", "root_entry", "ecap"])],
    )?;
    let failed =
        |error: io::Error| Unobservable(format!("failed to find VT-d's tables in the kernel's memory: {error}"));
    let find = || {
        for unit in kernel.list(memory, "dmar_drhd_units", "dmar_drhd_unit", "list")? {
            let iommu = kernel.pointer(memory, "dmar_drhd_unit", "iommu", unit)?;
            let mut bytes = [0; 16];
            // A unit that the driver ignores has none.
            if iommu == 0 || kernel.field(memory, "intel_iommu", "name", iommu, &mut bytes).is_err() {
                continue;
            }
            if bytes.split(|byte| *byte == 0).next() == Some(name.as_bytes()) {
                let table = memory.physical_of(kernel.pointer(memory, "intel_iommu", "root_entry", iommu)?)?;
                let capable = kernel.pointer(memory, "intel_iommu", "ecap", iommu)? & SCALABLE_MODE != 0;
                let mut wanted = [0; 4];
                memory.kernels(kernel.variable("intel_iommu_sm")?, &mut wanted)?;
                return Ok((table, capable && wanted != [0; 4]));
            }
        }
        Err(io::Error::other(format!("none of its units is {name}")))
    };
    find().map_err(failed)
}

impl Reader for Tables {
    fn name(&self) -> &'static str {
        "VT-d's tables in memory"
    }

    fn leaves(&self, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let Some(table) = self.page_table()? else { return Ok(Vec::new()) };
        let mut leaves = table.leaves(&self.memory, first, last)?;
        leaves.iter_mut().for_each(|leaf| leaf.always_readable |= self.lets_read);
        Ok(leaves)
    }
}

/// What a table begins at, and the rest of the entry that says so.
fn split(entry: u64) -> (u64, u64) {
    (entry & !0xfff, entry & 0xfff)
}

impl Tables {
    /// The page table of the device; `None` if none is attached.
    fn page_table(&self) -> io::Result<Option<Table>> {
        let Bdf { bus, device, function, .. } = self.bdf;
        let number = u64::from(device << 3 | function);
        // In scalable mode the entries are of twice the size, and the devices from 16 on have their own table.
        let (half, index, size) = if self.scalable { (number / 128, number % 128, 32) } else { (0, number, 16) };
        let [entry] = self.memory.numbers(self.root_table + u64::from(bus) * 16 + half * 8)?;
        let (contexts, present) = split(entry);
        if present & 1 == 0 {
            return Ok(None);
        }
        let [low, high] = self.memory.numbers(contexts + index * size)?;
        if low & 1 == 0 {
            return Ok(None);
        }
        let (below, _) = split(low);
        if self.scalable { self.without_pasid(below) } else { legacy(low, high) }
    }

    /// The page table of requests without a PASID.
    fn without_pasid(&self, directory: u64) -> io::Result<Option<Table>> {
        let [entry] = self.memory.numbers(directory)?;
        let (pasids, present) = split(entry);
        if present & 1 == 0 {
            return Ok(None);
        }
        let [zero, _, two] = self.memory.numbers(pasids)?;
        if zero & 1 == 0 {
            return Ok(None);
        }
        let second = Table { format: Format::VtdSecondStage, root: split(zero).0, levels: levels(zero >> 2), ..ALL };
        let first =
            Table { format: Format::X86, root: split(two).0, levels: if two >> 2 & 3 == 1 { 5 } else { 4 }, ..ALL };
        match zero >> 6 & 7 {
            1 => Ok(Some(first)),
            // Nested: what VFIO and IOMMUFD map is the stage below.
            2 | 3 => Ok(Some(second)),
            _ => Err(untranslated()),
        }
    }
}

const ALL: Table = Table { format: Format::VtdSecondStage, root: 0, levels: 0, read: true, write: true };

fn legacy(low: u64, high: u64) -> io::Result<Option<Table>> {
    match low >> 2 & 3 {
        0 | 1 => Ok(Some(Table { root: split(low).0, levels: levels(high), ..ALL })),
        _ => Err(untranslated()),
    }
}

/// The levels of a table, by the width of the addresses in it.
fn levels(width: u64) -> u8 {
    (width & 7) as u8 + 2
}

fn untranslated() -> io::Error {
    io::Error::other("the IOMMU lets the device reach all memory, untranslated")
}

#[cfg(test)]
mod tests {
    use super::super::kernel::tests::btf;
    use super::super::memory::{
        Page,
        tests::{DIRECT, memory, page},
    };
    use super::*;

    fn tables(name: &str, scalable: bool, pages: &[Page]) -> Tables {
        let bdf = "0000:01:13.2".parse().unwrap();
        Tables { memory: memory(name, pages), root_table: 0, scalable, bdf, lets_read: false }
    }

    /// Two levels, of which the lower has one page.
    fn mapped(at: u64) -> [Page; 2] {
        [page(&[(0, at + 0x1003)]), page(&[(5, 0x7003)])]
    }

    const MAPS: Leaf = Leaf {
        iova: 0x5000,
        phys: 0x7000,
        page_size: 4096,
        entry_size: Some(4096),
        read: true,
        write: true,
        always_readable: false,
    };

    #[test]
    fn a_context_leads_to_the_page_table() {
        // 13.2 has the number 0x9a.
        let [top, bottom] = mapped(0x2000);
        let pages = [page(&[(2, 0x1001)]), page(&[(0x9a * 2, 0x2001), (0x9a * 2 + 1, 0x100)]), top, bottom];
        assert_eq!(tables("legacy", false, &pages).leaves(0, u64::MAX).unwrap(), [MAPS]);
        for (context, found) in [(0, Some(0)), (0x2009, None)] {
            let mut pages = pages;
            pages[1][0x9a * 2] = context;
            let leaves = tables("legacy", false, &pages).leaves(0, u64::MAX).ok();
            assert_eq!(leaves.map(|leaves| leaves.len()), found, "{context:#x}");
        }
    }

    #[test]
    fn with_pasids_the_directory_leads_to_it() {
        let [top, bottom] = mapped(0x4000);
        let context = (0x9a - 128) * 4;
        let with = |name: &str, pasid: [u64; 3]| {
            let pages = [
                page(&[(3, 0x1001)]), // the upper half of bus 1
                page(&[(context, 0x2001)]),
                page(&[(0, 0x3001)]),
                page(&[(0, pasid[0]), (1, pasid[1]), (2, pasid[2])]),
                top,
                bottom,
            ];
            tables(name, true, &pages).leaves(0, u64::MAX)
        };
        assert_eq!(with("second", [0x4000 | 2 << 6 | 1, 0, 0]).unwrap(), [MAPS]);
        assert_eq!(with("nested", [0x4000 | 3 << 6 | 1, 0, 0xf000]).unwrap(), [MAPS]);
        assert_eq!(with("absent", [0x4000 | 2 << 6, 0, 0]).unwrap(), []);
        assert!(with("passed", [4 << 6 | 1, 0, 0]).is_err());
    }

    #[test]
    fn the_drivers_variables_lead_to_the_tables() {
        let tree = super::super::super::use_of::tests::Tree::new("drhd");
        let name = u64::from_le_bytes(*b"dmar1\0\0\0");
        // Two units at 0x1000 and 0x1100, of which the driver ignores the first, and the IOMMU of the second at 0x1200.
        let units = [(0x00, 0x1100, 0), (0x20, 0x1300, 0x1200)];
        let mut memory_page =
            page(&[(0x40, name), (0x42, DIRECT + 0x2000), (0x43, 1 << 43), (0x60, DIRECT + 0x1000), (0x70, 1)]);
        for (at, next, iommu) in units {
            memory_page[at] = DIRECT + next;
            memory_page[at + 7] = if iommu == 0 { 0 } else { DIRECT + iommu };
        }
        let memory = memory("drhd-memory", &[[0; 512], memory_page, [0; 512]]);
        let unit: (&str, &[(&str, u32)]) = ("dmar_drhd_unit", &[("list", 0), ("iommu", 56)]);
        let iommu: (&str, &[(&str, u32)]) = ("intel_iommu", &[("name", 0), ("root_entry", 16), ("ecap", 24)]);
        tree.put_bytes("sys/kernel/btf/vmlinux", &btf(&[unit, iommu]));
        let symbols = format!("{:x} D dmar_drhd_units\n{:x} D intel_iommu_sm\n", DIRECT + 0x1300, DIRECT + 0x1380);
        tree.put("proc/kallsyms", &symbols);
        assert_eq!(variables(&tree.root(), &memory, "dmar1").unwrap(), (0x2000, true));
        let reason = variables(&tree.root(), &memory, "dmar0").unwrap_err().to_string();
        assert!(reason.ends_with("none of its units is dmar0"), "{reason}");
        std::fs::remove_file(tree.root().join("sys/kernel/btf/vmlinux")).unwrap();
        let reason = variables(&tree.root(), &memory, "dmar1").unwrap_err().to_string();
        assert_eq!(reason, "the kernel is built without CONFIG_DEBUG_INFO_BTF");
    }

    #[test]
    fn the_register_of_the_devices_own_iommu_is_read() {
        let tree = super::super::super::use_of::tests::Tree::new("regset");
        let section = |name: &str, register: &str| {
            format!(
                "IOMMU: {name} Register Base Address: fed90000\nName\t\t\tOffset\t\tContents\nVER             \t0x00\t\t0x0000000000000010\nRTADDR          \t0x20\t\t{register}\n\n"
            )
        };
        let text = section("dmar0", "0x0000000001001000") + &section("dmar1", "0x0000000001002400");
        tree.put("sys/kernel/debug/iommu/intel/iommu_regset", &text);
        assert_eq!(registers(&tree.root(), "dmar0"), Some(0x100_1000));
        assert_eq!(registers(&tree.root(), "dmar1"), Some(0x100_2400));
        assert_eq!(registers(&tree.root(), "dmar2"), None);
    }
}
