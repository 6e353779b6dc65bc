// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page table that the kernel fills for a device behind Arm's SMMUv3, from its own structures: the device, its group, the domain that
//! is attached there, and the domain's page table (`drivers/iommu/iommu.c`, `drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.h`,
//! `drivers/iommu/io-pgtable-arm.c`). The SMMU's own tables have to lead to the same one.

use std::{io, sync::Arc};

use super::format::{Format, Lpae, Stage, Table};
use super::kernel::{Kernel, Structure};
use super::memory::Memory;
use super::{IommuKind, Leaf, Opened, Reader, Root, Source, Unobservable, smmu::untranslated};
use crate::model::Bdf;

pub(super) const SOURCE: Source = Source { kind: IommuKind::Smmu3, open };

const BUSES: &str = "pci_root_buses";

const BUS: &str = "pci_bus";
const FUNCTION: &str = "pci_dev";
const DEVICE: &str = "device";
const GROUP: &str = "iommu_group";
const DOMAIN: &str = "iommu_domain";
const OWN_DOMAIN: &str = "arm_smmu_domain";
const NESTED: &str = "arm_smmu_nested_domain";
const VIRTUAL: &str = "arm_vsmmu";
const FORMAT: &str = "io_pgtable";
const TABLE: &str = "arm_lpae_io_pgtable";

const STRUCTURES: [Structure; 10] = [
    Structure(BUS, &["node", "children", "devices", "number", "domain_nr"]),
    Structure(FUNCTION, &["bus_list", "devfn", "dev"]),
    Structure(DEVICE, &["iommu_group"]),
    Structure(GROUP, &["domain"]),
    Structure(DOMAIN, &["type"]),
    Structure(OWN_DOMAIN, &["domain", "pgtbl_ops"]),
    Structure(NESTED, &["domain", "vsmmu", "ste"]),
    Structure(VIRTUAL, &["s2_parent"]),
    Structure(FORMAT, &["fmt", "ops"]),
    Structure(TABLE, &["iop", "pgd_bits", "start_level", "bits_per_level", "pgd"]),
];

#[derive(Debug)]
struct Driver {
    memory: Memory,
    kernel: Kernel,
    /// The kernel's address of the `struct device`.
    device: u64,
}

fn open(root: &Root, bdf: Bdf) -> Opened {
    let memory = Memory::open(root)?;
    let kernel = Kernel::read(root, &[BUSES], &STRUCTURES)?;
    let device = device(&kernel, &memory, bdf)
        .map_err(|error| Unobservable(format!("failed to find {bdf} in the kernel's memory: {error}")))?;
    Ok(Arc::new(Driver { memory, kernel, device }))
}

/// Looks for a device on all buses.
fn device(kernel: &Kernel, memory: &Memory, bdf: Bdf) -> io::Result<u64> {
    /// Each bus of each segment once, in a list that is one.
    const MOST_BUSES: usize = 1 << 16;
    let mut buses = kernel.list(memory, BUSES, BUS, "node")?;
    let mut seen = 0;
    while let Some(bus) = buses.pop() {
        seen += 1;
        if seen > MOST_BUSES {
            break;
        }
        let mut number = [0];
        kernel.field(memory, BUS, "number", bus, &mut number)?;
        if number[0] == bdf.bus && kernel.number(memory, BUS, "domain_nr", bus)? == bdf.domain {
            for function in kernel.list_at(memory, kernel.within(BUS, "devices", bus)?, FUNCTION, "bus_list")? {
                let devfn = u32::from(bdf.device) << 3 | u32::from(bdf.function);
                if kernel.number(memory, FUNCTION, "devfn", function)? == devfn {
                    return kernel.within(FUNCTION, "dev", function);
                }
            }
        }
        buses.extend(kernel.list_at(memory, kernel.within(BUS, "children", bus)?, BUS, "node")?);
    }
    Err(io::Error::other("no bus has it"))
}

impl Reader for Driver {
    fn name(&self) -> &'static str {
        "the SMMUv3 driver's page table in memory"
    }

    fn leaves(&self, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let Some(domain) = self.domain()? else { return Ok(Vec::new()) };
        self.table(domain)?.leaves(&self.memory, first, last)
    }
}

impl Driver {
    fn pointer(&self, structure: &'static str, member: &'static str, at: u64) -> io::Result<u64> {
        let pointer = self.kernel.pointer(&self.memory, structure, member, at)?;
        if pointer == 0 { Err(io::Error::other(format!("its {structure} has no {member}"))) } else { Ok(pointer) }
    }

    /// The driver's domain whose page table the device uses; `None` if it reaches nothing.
    fn domain(&self) -> io::Result<Option<u64>> {
        // `__IOMMU_DOMAIN_*` in include/linux/iommu.h.
        const BLOCKED: u32 = 0;
        const PAGING: u32 = 1 << 0;
        const UNTRANSLATED: u32 = 1 << 2;
        const NESTED_TYPE: u32 = 1 << 6;
        let Driver { memory, kernel, device } = self;
        let group = self.pointer(DEVICE, "iommu_group", *device)?;
        let domain = self.pointer(GROUP, "domain", group)?;
        match kernel.number(memory, DOMAIN, "type", domain)? {
            BLOCKED => Ok(None),
            kind if kind & PAGING != 0 => kernel.around(OWN_DOMAIN, "domain", domain).map(Some),
            kind if kind & UNTRANSLATED != 0 => Err(untranslated()),
            kind if kind & NESTED_TYPE != 0 => {
                let nested = kernel.around(NESTED, "domain", domain)?;
                // What the guest that it is for has in its own entry: valid, and not to abort (`arm_smmu_make_nested_domain_ste`).
                let entry = kernel.pointer(memory, NESTED, "ste", nested)?;
                if entry & 1 == 0 || entry >> 1 & 7 == 0 {
                    return Ok(None);
                }
                let virtual_smmu = self.pointer(NESTED, "vsmmu", nested)?;
                self.pointer(VIRTUAL, "s2_parent", virtual_smmu).map(Some)
            }
            other => Err(io::Error::other(format!("its domain has the unknown type {other:#x}"))),
        }
    }

    fn table(&self, domain: u64) -> io::Result<Table> {
        // `enum io_pgtable_fmt` in include/linux/io-pgtable.h.
        const FIRST: u32 = 2;
        const SECOND: u32 = 3;
        let Driver { memory, kernel, .. } = self;
        let format = kernel.around(FORMAT, "ops", self.pointer(OWN_DOMAIN, "pgtbl_ops", domain)?)?;
        let stage = match kernel.number(memory, FORMAT, "fmt", format)? {
            FIRST => Stage::First,
            SECOND => Stage::Second,
            other => return Err(io::Error::other(format!("its page table has the unknown format {other}"))),
        };
        let table = kernel.around(TABLE, "iop", format)?;
        let number = |member| kernel.number(memory, TABLE, member, table);
        let [top, start, per_level] = [number("pgd_bits")?, number("start_level")?, number("bits_per_level")?];
        let root = memory.physical_of(self.pointer(TABLE, "pgd", table)?)?;
        shape(stage, root, top, start, per_level).ok_or_else(|| {
            io::Error::other(format!("its page table has {top} bits at level {start}, and {per_level} at each other"))
        })
    }
}

/// The table that begins at this level with this many bits of the IOVA, and has the others in the levels below.
fn shape(stage: Stage, root: u64, top: u32, start: u32, per_level: u32) -> Option<Table> {
    let levels = 4_u32.checked_sub(start).filter(|levels| *levels > 0)?;
    let granule = per_level.checked_add(3).filter(|granule| *granule <= 16)?;
    let bits = u8::try_from(top.checked_add(granule + per_level * (levels - 1))?).ok()?;
    let format = Format::Lpae(Lpae { granule: granule as u8, bits, stage });
    Some(Table { format, root, levels: levels as u8, read: true, write: true })
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::super::kernel::tests::btf;
    use super::super::memory::{Page, tests::DIRECT, tests::kcore};
    use super::*;

    /// Where the kernel has what is at this offset of the page of its structures.
    fn at(offset: u64) -> u64 {
        DIRECT + 0x1000 + offset
    }

    const LEAF: Leaf = Leaf {
        iova: 0x5000,
        phys: 0x7000,
        page_size: 4096,
        entry_size: Some(4096),
        read: true,
        write: true,
        always_readable: true,
    };

    /// A machine with one bus below another one, on which the device is; its domain is of this type, and its page table of this format.
    fn machine(name: &str, kind: u32, format: u32) -> Tree {
        let tree = Tree::new(name);
        let structures: [(&str, &[(&str, u32)]); 10] = [
            (BUS, &[("node", 0), ("children", 16), ("devices", 32), ("number", 48), ("domain_nr", 56)]),
            (FUNCTION, &[("bus_list", 8), ("devfn", 24), ("dev", 32)]),
            (DEVICE, &[("iommu_group", 8)]),
            (GROUP, &[("domain", 8)]),
            (DOMAIN, &[("type", 8)]),
            (OWN_DOMAIN, &[("pgtbl_ops", 8), ("domain", 16)]),
            (NESTED, &[("domain", 0), ("vsmmu", 24), ("ste", 32)]),
            (VIRTUAL, &[("s2_parent", 8)]),
            (FORMAT, &[("fmt", 0), ("ops", 16)]),
            (TABLE, &[("iop", 0), ("pgd_bits", 24), ("start_level", 28), ("bits_per_level", 32), ("pgd", 40)]),
        ];
        tree.put_bytes("sys/kernel/btf/vmlinux", &btf(&structures));
        tree.put("proc/kallsyms", &format!("{:x} D {BUSES}\n", at(0)));
        let mut page: Page = [0; 512];
        let mut put = |offset: u64, values: &[u64]| {
            values.iter().zip(offset as usize / 8..).for_each(|(value, index)| page[index] = *value);
        };
        put(0, &[at(0x100)]);
        // The root bus, and bus 3 below it.
        put(0x100, &[at(0), 0, at(0x200), 0, at(0x120), 0, 0]);
        put(0x200, &[at(0x110), 0, at(0x210), 0, at(0x300 + 8), 0, 3]);
        // Another function, and the device.
        put(0x300, &[0, at(0x400 + 8), 0, 1, 0, 0]);
        put(0x400, &[0, at(0x220), 0, 0, 0, at(0x500)]);
        put(0x500, &[0, at(0x600 + 16)]);
        put(0x600, &[0, at(0x700 + 16), 0, u64::from(kind)]);
        put(0x700, &[u64::from(format)]);
        put(0x718, &[9, 9, DIRECT + 0x4000]);
        // A nested domain at the same place, whose second stage is this one.
        put(0x610 + 24, &[at(0x800), 1 | 5 << 1]);
        put(0x800, &[0, at(0x600)]);
        let mut pages = vec![[0; 512], page, [0; 512], [0; 512]];
        for (index, entry) in [(0, 0x5003), (0, 0x6003), (0, 0x7003), (5, 0x7000 | 1 << 6 | 3)] {
            let mut table = [0; 512];
            table[index] = entry;
            pages.push(table);
        }
        tree.put_bytes("proc/kcore", &kcore(&pages));
        tree
    }

    fn leaves(tree: &Tree) -> io::Result<Vec<Leaf>> {
        open(&tree.root(), tree.bdf()).unwrap().leaves(0, u64::MAX)
    }

    #[test]
    fn the_domain_of_the_device_leads_to_its_page_table() {
        let second = Leaf { write: false, always_readable: false, ..LEAF };
        for (what, kind, format, found) in [
            ("first stage", 1, 2, Some(vec![LEAF])),
            ("the kernel's own", 3, 2, Some(vec![LEAF])),
            ("second stage", 1, 3, Some(vec![second])),
            ("nested", 1 << 6, 3, Some(vec![second])),
            ("blocked", 0, 2, Some(vec![])),
            ("untranslated", 4, 2, None),
            ("of a process", 1 << 4, 2, None),
            ("32 bits", 1, 0, None),
        ] {
            assert_eq!(leaves(&machine("smmu-driver", kind, format)).ok(), found, "{what}");
        }
    }

    #[test]
    fn a_device_that_no_bus_has_is_said() {
        let tree = machine("smmu-driver-none", 1, 2);
        let reason = open(&tree.root(), "0000:03:07.0".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(reason, "failed to find 0000:03:07.0 in the kernel's memory: no bus has it");
    }

    #[test]
    fn a_table_may_begin_at_any_level() {
        let found = |top, start, per_level| {
            let table = shape(Stage::Second, 0, top, start, per_level)?;
            let Format::Lpae(Lpae { granule, bits, .. }) = table.format else { return None };
            Some((granule, bits, table.levels))
        };
        assert_eq!(found(9, 0, 9), Some((12, 48, 4)));
        assert_eq!(found(10, 1, 9), Some((12, 40, 3)), "two tables beside each other");
        assert_eq!(found(6, 1, 13), Some((16, 48, 3)));
        assert_eq!((found(9, 4, 9), found(u32::MAX, 0, 9), found(9, 0, u32::MAX)), (None, None, None));
    }
}
