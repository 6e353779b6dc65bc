// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine's memory, as `/proc/kcore` shows it: an ELF file whose program headers say where each part of it is
//! (`fs/proc/kcore.c`). A kernel without it may let root read `/dev/mem`, as the lab's does.

use std::os::unix::fs::FileExt;
use std::{fs::File, io};

use super::{Root, Unobservable, denied};

/// A table of 512 entries, as those of all formats are on x86.
#[cfg(test)]
pub(super) type Page = [u64; 512];

#[derive(Debug)]
pub(super) struct Memory {
    file: File,
    parts: Vec<Part>,
}

/// A part of the kernel's address space.
#[derive(Debug)]
struct Part {
    /// Where it is in the file.
    offset: u64,
    /// The kernel's address of it, where that is known.
    virt: Option<u64>,
    /// `None` for what is not one piece of memory, such as the area of `vmalloc`.
    phys: Option<u64>,
    size: u64,
}

const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const PT_LOAD: u32 = 1;

impl Memory {
    pub fn open(root: &Root) -> Result<Memory, Unobservable> {
        let because = |reason: &str| Err(Unobservable(reason.into()));
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => because("the kernel is built without CONFIG_PROC_KCORE"),
            io::ErrorKind::PermissionDenied => because(&denied(root, "read /proc/kcore")),
            _ => because(&format!("failed to read /proc/kcore: {error}")),
        };
        kcore(root).or_else(|error| dev_mem(root).ok_or(error)).or_else(failed)
    }

    /// The entries of a table at a physical address.
    pub fn table(&self, phys: u64, entries: usize) -> io::Result<Vec<u64>> {
        let mut bytes = vec![0; 8 * entries];
        self.physical(phys, &mut bytes)?;
        let (entries, _) = bytes.as_chunks();
        Ok(entries.iter().map(|entry| u64::from_le_bytes(*entry)).collect())
    }

    /// `N` numbers of 64 bits at a physical address.
    pub fn numbers<const N: usize>(&self, phys: u64) -> io::Result<[u64; N]> {
        Ok(self.table(phys, N)?.try_into().expect("a table has as many entries as were asked for"))
    }

    fn physical(&self, phys: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read(phys, bytes, |part| part.phys, "physical")
    }

    /// What is at an address of the kernel's.
    pub fn kernels(&self, virt: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read(virt, bytes, |part| part.virt, "kernel")
    }

    /// The physical address of what is at an address of the kernel's.
    pub fn physical_of(&self, virt: u64) -> io::Result<u64> {
        let found = self.parts.iter().find_map(|part| {
            let within = virt.checked_sub(part.virt?).filter(|within| *within < part.size)?;
            part.phys?.checked_add(within)
        });
        found.ok_or_else(|| io::Error::other(format!("there is no memory at the kernel's address {virt:#x}")))
    }

    fn read(&self, at: u64, bytes: &mut [u8], start: fn(&Part) -> Option<u64>, what: &str) -> io::Result<()> {
        // Reading beside the parts gives zeros, which would look like an empty table.
        let place = self.parts.iter().find_map(|part| {
            let within = at.checked_sub(start(part)?)?;
            let whole = within.checked_add(bytes.len() as u64)? <= part.size;
            whole.then(|| part.offset.checked_add(within)).flatten()
        });
        let place =
            place.ok_or_else(|| io::Error::other(format!("there is no memory at the {what} address {at:#x}")))?;
        self.file.read_exact_at(bytes, place)
    }
}

fn kcore(root: &Root) -> io::Result<Memory> {
    let file = File::open(root.join("proc/kcore"))?;
    let parts = parts(&file)?;
    Ok(Memory { file, parts })
}

/// `/dev/mem`, if the kernel does not keep memory out of it (CONFIG_STRICT_DEVMEM).
fn dev_mem(root: &Root) -> Option<Memory> {
    /// Below it, the limit lets the BIOS be read.
    const MEMORY: u64 = 1 << 20;
    let file = File::open(root.join("dev/mem")).ok()?;
    file.read_exact_at(&mut [0; 8], MEMORY).ok()?;
    Some(Memory { file, parts: vec![Part { offset: 0, virt: None, phys: Some(0), size: u64::MAX }] })
}

/// The parts that the file's header lists.
fn parts(file: &File) -> io::Result<Vec<Part>> {
    let unknown = || io::Error::other("it is not a 64-bit ELF file");
    let mut header = [0; ELF_HEADER];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") || header[54..56] != (PROGRAM_HEADER as u16).to_le_bytes() {
        return Err(unknown());
    }
    let (table, count) = (number(&header[32..40]), usize::from(u16::from_le_bytes([header[56], header[57]])));
    let mut headers = vec![0; PROGRAM_HEADER * count];
    file.read_exact_at(&mut headers, table)?;
    let part = |header: &[u8]| {
        let [offset, virt, phys, size] = [8, 16, 24, 32].map(|at| number(&header[at..at + 8]));
        (header[..4] == PT_LOAD.to_le_bytes()).then_some(Part {
            offset,
            virt: Some(virt),
            phys: (phys != u64::MAX).then_some(phys),
            size,
        })
    };
    Ok(headers.chunks_exact(PROGRAM_HEADER).filter_map(part).collect())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::*;

    /// Where the pretended kernel has the first byte of its memory.
    pub const DIRECT: u64 = 0xffff_8880_0000_0000;

    /// A page of a table that has these entries, by their index.
    pub fn page(entries: &[(usize, u64)]) -> Page {
        let mut page = [0; 512];
        entries.iter().for_each(|(index, entry)| page[*index] = *entry);
        page
    }

    /// A `/proc/kcore` that has these pages by their physical addresses, of which the first is 0.
    pub fn kcore(pages: &[Page]) -> Vec<u8> {
        let size = 4096 * pages.len() as u64;
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(32, 0);
        file.extend((ELF_HEADER as u64).to_le_bytes());
        file.resize(54, 0);
        file.extend((PROGRAM_HEADER as u16).to_le_bytes());
        file.extend(2u16.to_le_bytes());
        file.resize(ELF_HEADER, 0);
        for [kind, offset, virt, phys, size] in
            [[1, 0x1000, 0xffff_c900_0000_0000, u64::MAX, 0], [1, 0x1000, DIRECT, 0, size]]
        {
            for number in [kind, offset, virt, phys, size, size, 4096] {
                file.extend(number.to_le_bytes());
            }
        }
        file.resize(0x1000, 0);
        file.extend(pages.iter().flatten().flat_map(|entry| entry.to_le_bytes()));
        file
    }

    /// The memory that has these pages.
    pub fn memory(name: &str, pages: &[Page]) -> Memory {
        let tree = Tree::new(name);
        tree.put_bytes("proc/kcore", &kcore(pages));
        Memory::open(&tree.root()).unwrap()
    }

    #[test]
    fn memory_is_found_by_its_physical_address_and_by_the_kernels() {
        let mut pages = [[0; 512]; 2];
        pages[1][2] = 0x1234_5678_9abc_def0;
        let memory = memory("kcore", &pages);
        assert_eq!(memory.table(0x1000, 512).unwrap(), pages[1]);
        assert_eq!(memory.numbers::<2>(0x1008).unwrap(), [0, pages[1][2]]);
        let mut bytes = [0; 2];
        memory.kernels(DIRECT + 0x1016, &mut bytes).unwrap();
        assert_eq!(bytes, [0x34, 0x12]);
        assert_eq!(memory.physical_of(DIRECT + 0x1016).unwrap(), 0x1016);
        let error = memory.table(0x1008, 512).unwrap_err().to_string();
        assert_eq!(error, "there is no memory at the physical address 0x1008", "a part of it is beyond its end");
        assert!(memory.kernels(0, &mut bytes).is_err() && memory.physical_of(DIRECT - 1).is_err());
    }

    #[test]
    fn where_memory_cannot_be_read_the_reason_is_said() {
        let tree = Tree::new("no-kcore");
        let reason = || Memory::open(&tree.root()).unwrap_err().to_string();
        assert_eq!(reason(), "the kernel is built without CONFIG_PROC_KCORE");
        tree.put("proc/kcore", &" ".repeat(100));
        assert_eq!(reason(), "failed to read /proc/kcore: it is not a 64-bit ELF file");
        tree.put_bytes("dev/mem", &[7; 4096]);
        assert_eq!(reason(), "failed to read /proc/kcore: it is not a 64-bit ELF file", "that has no memory");
        tree.put_bytes("dev/mem", &vec![7; 2 << 20]);
        assert_eq!(Memory::open(&tree.root()).unwrap().numbers(1 << 20).unwrap(), [0x0707_0707_0707_0707]);
        assert!(Memory::open(&tree.root()).unwrap().kernels(0, &mut [0; 8]).is_err());
    }
}
