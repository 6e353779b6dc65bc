// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables of Arm's SMMUv3 in memory, on the way that it takes: its registers, the stream table, the context descriptor of a first
//! stage, and the page table (Arm System Memory Management Unit Architecture Specification, version 3, chapters 5 and 6;
//! `drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.h`).

use std::{fs::File, io, sync::Arc};

use super::format::{Format, Lpae, Stage, Table};
use super::memory::Memory;
use super::{IommuKind, Leaf, Opened, Reader, Root, Source, Unobservable, stream::stream};
use crate::host::pci::attribute;
use crate::{model::Bdf, uapi::registers};

pub(super) const SOURCE: Source = Source { kind: IommuKind::Smmu3, open };

#[derive(Debug)]
struct Tables {
    memory: Memory,
    streams: StreamTable,
    stream: u32,
}

fn open(root: &Root, bdf: Bdf) -> Opened {
    let memory = Memory::open(root)?;
    let failed = |error: io::Error| Unobservable(format!("failed to read the SMMU's registers by /dev/mem: {error}"));
    let address = registers_of(root, bdf)
        .ok_or_else(|| Unobservable("the SMMU's name does not say where its registers are".into()))?;
    let file = File::open(root.join("dev/mem")).map_err(failed)?;
    let streams = StreamTable::new(registers::read(&file, address, StreamTable::REGISTERS).map_err(failed)?)?;
    Ok(Arc::new(Tables { memory, streams, stream: stream(root, bdf)? }))
}

/// The physical address of the registers, which the driver names the IOMMU after (`arm_smmu_device_probe`).
fn registers_of(root: &Root, bdf: Bdf) -> Option<u64> {
    let name = root.link_name(attribute(bdf, "iommu"))?;
    u64::from_str_radix(name.strip_prefix("smmu3.0x")?, 16).ok()
}

/// What the registers say of the stream table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StreamTable {
    base: u64,
    /// The number of streams, as a power of two.
    size: u32,
    /// In a table of two levels, how many bits of a stream's number the lower one is for.
    split: Option<u32>,
}

/// The bits of a number from one to another.
fn bits(number: u64, first: u32, last: u32) -> u64 {
    number >> first & (u64::MAX >> (63 - (last - first)))
}

/// The same, left where they are.
fn masked(number: u64, first: u32, last: u32) -> u64 {
    bits(number, first, last) << first
}

impl StreamTable {
    /// SMMU_CR0, both halves of SMMU_STRTAB_BASE, and SMMU_STRTAB_BASE_CFG.
    const REGISTERS: [usize; 4] = [0x20, 0x80, 0x84, 0x88];

    fn new([control, low, high, configuration]: [u32; 4]) -> Result<StreamTable, Unobservable> {
        const ENABLED: u32 = 1;
        if control & ENABLED == 0 {
            return Err(Unobservable("the SMMU is switched off".into()));
        }
        let configuration = u64::from(configuration);
        let split = match bits(configuration, 16, 17) {
            0 => None,
            1 => Some(bits(configuration, 6, 10) as u32),
            other => return Err(Unobservable(format!("the SMMU's stream table has the unknown format {other}"))),
        };
        let base = masked(u64::from(high) << 32 | u64::from(low), 6, 51);
        Ok(StreamTable { base, size: bits(configuration, 0, 5) as u32, split })
    }

    /// The entry of a stream.
    fn entry(self, memory: &Memory, stream: u32) -> io::Result<[u64; 4]> {
        const BYTES: u64 = 64;
        let stream = u64::from(stream);
        let none = || io::Error::other(format!("the SMMU's stream table has no entry {stream:#x}"));
        if stream >> self.size.min(63) != 0 {
            return Err(none());
        }
        let Some(split) = self.split else { return memory.numbers(self.base + stream * BYTES) };
        let [table] = memory.numbers(self.base + (stream >> split) * 8)?;
        let index = stream & ((1 << split) - 1);
        // How many entries there are, as a power of two, and 0 if there is no table.
        let span = bits(table, 0, 4);
        if span == 0 || index >> (span - 1) != 0 {
            return Err(none());
        }
        memory.numbers(masked(table, 6, 51) + index * BYTES)
    }
}

impl Reader for Tables {
    fn name(&self) -> &'static str {
        "SMMUv3's tables in memory"
    }

    fn leaves(&self, first: u64, last: u64) -> io::Result<Vec<Leaf>> {
        let table = page_table(&self.memory, self.streams.entry(&self.memory, self.stream)?)?;
        table.map_or(Ok(Vec::new()), |table| table.leaves(&self.memory, first, last))
    }
}

/// The page table that a stream's entry names; `None` if the device reaches nothing.
fn page_table(memory: &Memory, entry: [u64; 4]) -> io::Result<Option<Table>> {
    if bits(entry[0], 0, 0) == 0 {
        return Err(io::Error::other("the SMMU has no valid entry for the device"));
    }
    match bits(entry[0], 1, 3) {
        0..=3 => Ok(None),
        4 => Err(untranslated()),
        5 => match context(memory, entry)? {
            Some(descriptor) => first_stage(descriptor),
            None => Ok(None),
        },
        // Nested: what VFIO and IOMMUFD map is the second stage.
        _ => second_stage(entry).map(Some),
    }
}

/// The context descriptor of requests without a PASID; `None` if the device may make none.
fn context(memory: &Memory, [first, second, ..]: [u64; 4]) -> io::Result<Option<[u64; 2]>> {
    let table = masked(first, 6, 51);
    let has_pasids = bits(first, 59, 63) != 0;
    match bits(second, 0, 1) {
        _ if !has_pasids => {}
        0 => return Ok(None),
        1 => return Err(untranslated()),
        2 => {}
        _ => return Err(io::Error::other("the SMMU's entry for the device has an unknown S1DSS")),
    }
    // With many PASIDs there is a table of tables, of which the first is for requests without one.
    let is_linear = !has_pasids || bits(first, 4, 5) == 0;
    if is_linear {
        return memory.numbers(table).map(Some);
    }
    let [table] = memory.numbers(table)?;
    if bits(table, 0, 0) == 0 { Ok(None) } else { memory.numbers(masked(table, 12, 51)).map(Some) }
}

fn first_stage([descriptor, table]: [u64; 2]) -> io::Result<Option<Table>> {
    let bit = |number: u32| bits(descriptor, number, number) == 1;
    let (is_valid, is_disabled, has_64_bits) = (bit(31), bit(14), bit(41));
    if !is_valid || is_disabled {
        return Ok(None);
    }
    if !has_64_bits {
        return Err(unknown());
    }
    let granule = granule(bits(descriptor, 6, 7))?;
    let bits_of_iova = 64 - bits(descriptor, 0, 5) as u8;
    let per_level = granule - 3;
    let levels = bits_of_iova.saturating_sub(granule).div_ceil(per_level);
    let format = Format::Lpae(Lpae { granule, bits: bits_of_iova, stage: Stage::First });
    Ok(Some(Table { format, root: masked(table, 4, 51), levels, read: true, write: true }))
}

fn second_stage([_, _, third, fourth]: [u64; 4]) -> io::Result<Table> {
    const HAS_64_BITS: u32 = 51;
    if bits(third, HAS_64_BITS, HAS_64_BITS) == 0 {
        return Err(unknown());
    }
    let control = bits(third, 32, 50);
    let granule = granule(bits(control, 14, 15))?;
    let bits_of_iova = 64 - bits(control, 0, 5) as u8;
    // S2SL0: with 4 KiB, 2 begins at level 0, which is four levels; with others 3 does.
    let levels = bits(control, 6, 7) as u8 + if granule == 12 { 2 } else { 1 };
    let format = Format::Lpae(Lpae { granule, bits: bits_of_iova, stage: Stage::Second });
    Ok(Table { format, root: masked(fourth, 4, 51), levels, read: true, write: true })
}

/// The size of the smallest page as a power of two, as TG0 and S2TG have it.
fn granule(code: u64) -> io::Result<u8> {
    match code {
        0 => Ok(12),
        1 => Ok(16),
        2 => Ok(14),
        _ => Err(unknown()),
    }
}

fn unknown() -> io::Error {
    io::Error::other("the SMMU's page table for the device has an unknown format")
}

pub(super) fn untranslated() -> io::Error {
    io::Error::other("the SMMU lets the device reach all memory, untranslated")
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::super::memory::tests::{kcore, memory, page};
    use super::*;

    const LEAF: Leaf = Leaf {
        iova: 0x5000,
        phys: 0x1_2345_6000,
        page_size: 4096,
        entry_size: Some(4096),
        read: true,
        write: true,
        always_readable: true,
    };

    /// The first words of a stream's entry, of a context descriptor (48 bits, 4 KiB), and of the second stage (48 bits, 4 levels).
    const FIRST_STAGE: u64 = 5 << 1 | 1;
    const DESCRIPTOR: u64 = 1 << 41 | 1 << 31 | 1 << 30 | 16;
    const SECOND_STAGE: u64 = 1 << 51 | (2 << 6 | 16) << 32;

    /// The page table in the pages from 4 to 7, below the descriptor at 0x2000 and an entry with these words.
    fn found(entry: [u64; 4], descriptor: u64) -> io::Result<Vec<Leaf>> {
        let pages = [
            page(&[]),
            page(&[(0, 0x2001)]),
            page(&[(0, descriptor), (1, 0x4000)]),
            page(&[]),
            page(&[(0, 0x5003)]),
            page(&[(0, 0x6003)]),
            page(&[(0, 0x7003)]),
            page(&[(5, 0x1_2345_6000 | 1 << 10 | 1 << 6 | 3)]),
        ];
        let memory = memory("smmu-entry", &pages);
        let table = page_table(&memory, entry)?;
        table.map_or(Ok(Vec::new()), |table| table.leaves(&memory, 0, u64::MAX))
    }

    #[test]
    fn an_entry_leads_to_the_page_table() {
        const MANY: u64 = 20 << 59;
        let second = Leaf { write: false, always_readable: false, ..LEAF };
        for (what, entry, descriptor, leaves) in [
            ("first stage", [0x2000 | FIRST_STAGE, 0, 0, 0], DESCRIPTOR, Some(vec![LEAF])),
            ("PASIDs", [MANY | 0x2000 | FIRST_STAGE, 2, 0, 0], DESCRIPTOR, Some(vec![LEAF])),
            ("tables of PASIDs", [MANY | 2 << 4 | 0x1000 | FIRST_STAGE, 2, 0, 0], DESCRIPTOR, Some(vec![LEAF])),
            ("no such table", [MANY | 2 << 4 | FIRST_STAGE, 2, 0, 0], DESCRIPTOR, Some(vec![])),
            ("PASIDs alone", [MANY | 0x2000 | FIRST_STAGE, 0, 0, 0], DESCRIPTOR, Some(vec![])),
            ("PASIDs above all memory", [MANY | 0x2000 | FIRST_STAGE, 1, 0, 0], DESCRIPTOR, None),
            ("no descriptor", [0x2000 | FIRST_STAGE, 0, 0, 0], DESCRIPTOR & !(1 << 31), Some(vec![])),
            ("no table", [0x2000 | FIRST_STAGE, 0, 0, 0], DESCRIPTOR | 1 << 14, Some(vec![])),
            ("32 bits", [0x2000 | FIRST_STAGE, 0, 0, 0], DESCRIPTOR & !(1 << 41), None),
            ("unknown granule", [0x2000 | FIRST_STAGE, 0, 0, 0], DESCRIPTOR | 3 << 6, None),
            ("second stage", [6 << 1 | 1, 0, SECOND_STAGE, 0x4000], 0, Some(vec![second])),
            ("nested", [0xf000 | 7 << 1 | 1, 0, SECOND_STAGE, 0x4000], 0, Some(vec![second])),
            ("three levels", [6 << 1 | 1, 0, 1 << 51 | (1 << 6 | 25) << 32, 0x5000], 0, Some(vec![second])),
            ("abort", [1, 0, 0, 0], 0, Some(vec![])),
            ("bypass", [4 << 1 | 1, 0, 0, 0], 0, None),
            ("invalid", [0; 4], 0, None),
        ] {
            assert_eq!(found(entry, descriptor).ok(), leaves, "{what}");
        }
    }

    #[test]
    fn pages_of_64_kib_have_fewer_levels() {
        for (bits, levels) in [(48, 3), (42, 2), (52, 3)] {
            let format = Format::Lpae(Lpae { granule: 16, bits, stage: Stage::First });
            let descriptor = DESCRIPTOR & !0x3f | 1 << 6 | u64::from(64 - bits);
            let table = Table { format, root: 0x1_0000, levels, read: true, write: true };
            assert_eq!(first_stage([descriptor, 0x1_0000]).unwrap(), Some(table));
        }
    }

    #[test]
    fn a_stream_is_found_in_a_table_of_one_level_or_of_two() {
        let mut lower = page(&[(8 * 8, 7), (8 * 8 + 3, 9)]);
        lower[8] = 5;
        let memory = memory("stream-table", &[page(&[(3, 0x1009), (4, 0x1001)]), lower]);
        let two = StreamTable::new([1, 0, 0, 1 << 16 | 8 << 6 | 16]).unwrap();
        assert_eq!(two, StreamTable { base: 0, size: 16, split: Some(8) });
        assert_eq!(two.entry(&memory, 0x308).unwrap(), [7, 0, 0, 9]);
        assert_eq!(two.entry(&memory, 0x400).unwrap()[0], 0, "its table has one entry");
        for stream in [0x200, 0x401, 0x1_0308] {
            assert!(two.entry(&memory, stream).is_err(), "{stream:#x}");
        }
        let one = StreamTable::new([1, 0x1000, 0x4000_0000, 4]).unwrap();
        assert_eq!(one, StreamTable { base: 0x1000, size: 4, split: None });
        assert_eq!(one.entry(&memory, 1).unwrap()[0], 5);
        assert!(one.entry(&memory, 16).is_err());
        assert!(StreamTable::new([0, 0, 0, 0]).is_err() && StreamTable::new([1, 0, 0, 2 << 16]).is_err());
    }

    #[test]
    fn the_registers_of_the_devices_smmu_lead_to_its_page_table() {
        let tree = Tree::new("smmu");
        let reason = || open(&tree.root(), tree.bdf()).unwrap_err().to_string();
        tree.put_bytes("proc/kcore", &kcore(&[page(&[(0, 1)]); 4]));
        tree.link("sys/bus/pci/devices/0000:03:00.0/iommu", "sys/devices/virtual/iommu/smmu3.0x0000000000010000");
        assert!(reason().starts_with("failed to read the SMMU's registers by /dev/mem: "), "{}", reason());
        let mut registers = vec![0; 0x2_0000];
        tree.put_bytes("dev/mem", &registers);
        assert_eq!(reason(), "the SMMU is switched off");
        registers[0x1_0020] = 1;
        registers[0x1_0088] = 16;
        tree.put_bytes("dev/mem", &registers);
        assert_eq!(reason(), "the firmware does not say which stream of the SMMU 0000:03:00.0 is");
        let map: Vec<u8> = [0x300_u32, 7, 0, 0x100].iter().flat_map(|word| word.to_be_bytes()).collect();
        tree.put_bytes("sys/bus/pci/devices/0000:03:00.0/of_node/iommu-map", &map);
        let reader = open(&tree.root(), tree.bdf()).unwrap();
        assert_eq!(reader.leaves(0, u64::MAX).unwrap(), []);
        tree.link("sys/bus/pci/devices/0000:03:00.0/iommu", "sys/devices/virtual/iommu/smmu3.x");
        assert_eq!(reason(), "the SMMU's name does not say where its registers are");
    }
}
