// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own variables: `/proc/kallsyms` says where they are, and the kernel's BTF where the members of a structure are
//! (`Documentation/bpf/btf.rst`), which most distributions build in.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::{fs, fs::File};

use super::{Root, Unobservable, memory::Memory};

/// A structure, and the members of it that are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Structure(pub &'static str, pub &'static [&'static str]);

#[derive(Debug)]
pub(super) struct Kernel {
    /// Addresses by names.
    variables: HashMap<&'static str, u64>,
    /// Offsets in bytes, by the names of the structure and the member.
    members: HashMap<(&'static str, &'static str), u64>,
}

/// More elements than a list of IOMMUs has: the memory that is read may not be a list.
const MOST_ELEMENTS: usize = 4096;

impl Kernel {
    pub fn read(root: &Root, variables: &[&'static str], structures: &[Structure]) -> Result<Kernel, Unobservable> {
        let failed = |file: &str, error: io::Error| Unobservable(format!("failed to read {file}: {error}"));
        let btf = match fs::read(root.join("sys/kernel/btf/vmlinux")) {
            Ok(btf) => btf,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Unobservable("the kernel is built without CONFIG_DEBUG_INFO_BTF".into()));
            }
            Err(error) => return Err(failed("/sys/kernel/btf/vmlinux", error)),
        };
        let members = members(&btf, structures).map_err(|error| failed("/sys/kernel/btf/vmlinux", error))?;
        let symbols =
            File::open(root.join("proc/kallsyms")).and_then(|file| addresses(BufReader::new(file), variables));
        let variables = symbols.map_err(|error| failed("/proc/kallsyms", error))?;
        Ok(Kernel { variables, members })
    }

    /// The address of a variable.
    pub fn variable(&self, name: &'static str) -> io::Result<u64> {
        let address = self.variables.get(name).copied();
        address.ok_or_else(|| io::Error::other(format!("/proc/kallsyms has no {name}")))
    }

    /// The elements of a list whose head is a variable, and whose links are this member of them.
    pub fn list(
        &self,
        memory: &Memory,
        head: &'static str,
        structure: &'static str,
        member: &'static str,
    ) -> io::Result<Vec<u64>> {
        self.list_at(memory, self.variable(head)?, structure, member)
    }

    /// The same of a head at an address.
    pub fn list_at(
        &self,
        memory: &Memory,
        head: u64,
        structure: &'static str,
        member: &'static str,
    ) -> io::Result<Vec<u64>> {
        let offset = self.offset(structure, member)?;
        let mut elements = Vec::new();
        let mut link = pointer(memory, head)?;
        while link != head && elements.len() < MOST_ELEMENTS {
            elements.push(link.wrapping_sub(offset));
            link = pointer(memory, link)?;
        }
        Ok(elements)
    }

    /// Reads a member of the structure at an address.
    pub fn field(
        &self,
        memory: &Memory,
        structure: &'static str,
        member: &'static str,
        at: u64,
        bytes: &mut [u8],
    ) -> io::Result<()> {
        memory.kernels(at.wrapping_add(self.offset(structure, member)?), bytes)
    }

    /// Reads a member of 64 bits of the structure at an address.
    pub fn pointer(&self, memory: &Memory, structure: &'static str, member: &'static str, at: u64) -> io::Result<u64> {
        pointer(memory, at.wrapping_add(self.offset(structure, member)?))
    }

    /// Reads a member of 32 bits of the structure at an address.
    pub fn number(&self, memory: &Memory, structure: &'static str, member: &'static str, at: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.field(memory, structure, member, at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Where the structure begins that has this member at an address (`container_of`).
    pub fn around(&self, structure: &'static str, member: &'static str, at: u64) -> io::Result<u64> {
        Ok(at.wrapping_sub(self.offset(structure, member)?))
    }

    /// Where a member begins of the structure at an address.
    pub fn within(&self, structure: &'static str, member: &'static str, at: u64) -> io::Result<u64> {
        Ok(at.wrapping_add(self.offset(structure, member)?))
    }

    fn offset(&self, structure: &'static str, member: &'static str) -> io::Result<u64> {
        let offset = self.members.get(&(structure, member)).copied();
        offset.ok_or_else(|| io::Error::other(format!("the kernel's {structure} has no {member}")))
    }
}

fn pointer(memory: &Memory, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    memory.kernels(at, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The addresses of variables, of lines such as `ffffffff83a9f0a0 D dmar_drhd_units`.
fn addresses(mut symbols: impl BufRead, wanted: &[&'static str]) -> io::Result<HashMap<&'static str, u64>> {
    let mut found = HashMap::new();
    let mut line = Vec::with_capacity(256);
    while found.len() < wanted.len() && symbols.read_until(b'\n', &mut line)? > 0 {
        let mut words = line.split(|byte| byte.is_ascii_whitespace());
        let (address, _, name) = (words.next(), words.next(), words.next());
        if let Some(name) = wanted.iter().find(|wanted| name == Some(wanted.as_bytes()))
            && let Some(address) = address.and_then(|text| u64::from_str_radix(str::from_utf8(text).ok()?, 16).ok())
        {
            // The kernel hides addresses as zeros.
            if address == 0 {
                return Err(io::Error::other("it hides addresses (kernel.kptr_restrict)"));
            }
            found.insert(*name, address);
        }
        line.clear();
    }
    Ok(found)
}

/// The offsets of members in bytes, of those that the kernel has.
fn members(btf: &[u8], wanted: &[Structure]) -> io::Result<HashMap<(&'static str, &'static str), u64>> {
    const HEADER: usize = 24;
    const MAGIC: u32 = 0xeb9f;
    const STRUCTURE: u32 = 4;
    let cut = || io::Error::other("it ends too early");
    let word = |bytes: &[u8], at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    };
    if btf.len() < HEADER || word(btf, 0).is_none_or(|magic| magic & 0xffff != MAGIC) {
        return Err(io::Error::other("it is not BTF"));
    }
    let sections = (|| {
        let numbers = [4, 8, 12, 16, 20].map(|at| word(btf, at).and_then(|number| usize::try_from(number).ok()));
        let [header, types, types_size, strings, strings_size] = numbers;
        let section = |offset: Option<usize>, size: Option<usize>| {
            let start = header?.checked_add(offset?)?;
            btf.get(start..start.checked_add(size?)?)
        };
        Some((section(types, types_size)?, section(strings, strings_size)?))
    })();
    let (mut types, strings) = sections.ok_or_else(cut)?;
    let name = |offset: u32| strings.get(offset as usize..)?.split(|byte| *byte == 0).next();
    let mut found = HashMap::new();
    while !types.is_empty() {
        let (Some(named), Some(info)) = (word(types, 0), word(types, 4)) else { return Err(cut()) };
        // Before Linux 7.1 these are 16 bits and 5, with zeros beside them.
        let (count, kind, is_flagged) = ((info & 0xff_ffff) as usize, info >> 24 & 0x7f, info >> 31 == 1);
        let size = 12
            + match kind {
                // A pointer, a forward declaration, a typedef, three qualifiers, a function, a float, a tag of a type.
                2 | 7..=12 | 16 | 18 => 0,
                // An integer, a variable, a tag of a declaration.
                1 | 14 | 17 => 4,
                // An array.
                3 => 12,
                // An enumeration, the parameters of a function.
                6 | 13 => 8 * count,
                // A structure, a union, a section of data, a large enumeration.
                4 | 5 | 15 | 19 => 12 * count,
                other => return Err(io::Error::other(format!("it has a type of the unknown kind {other}"))),
            };
        let own = types.get(..size).ok_or_else(cut)?;
        types = &types[size..];
        let wanted =
            wanted.iter().filter(|Structure(wanted, _)| kind == STRUCTURE && name(named) == Some(wanted.as_bytes()));
        for Structure(structure, members) in wanted {
            for member in own[12..].chunks_exact(12) {
                let (Some(named), Some(offset)) = (word(member, 0), word(member, 8)) else { return Err(cut()) };
                let bits = if is_flagged { offset & 0xff_ffff } else { offset };
                if let Some(member) = members.iter().find(|member| name(named) == Some(member.as_bytes())) {
                    found.insert((*structure, *member), u64::from(bits / 8));
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A BTF that has structures with members of these offsets in bytes, between types of other kinds.
    pub fn btf(structures: &[(&str, &[(&str, u32)])]) -> Vec<u8> {
        let mut strings = vec![0];
        let mut types: Vec<u32> = Vec::new();
        let mut name = |text: &str| {
            let at = strings.len() as u32;
            strings.extend(text.bytes().chain([0]));
            at
        };
        types.extend([name("int"), 1 << 24, 4, 0x0100_0020]);
        types.extend([0, 3 << 24, 0, 1, 1, 4]);
        types.extend([name("colour"), (6 << 24) | 2, 4, 0, 0, 0, 1]);
        for (structure, members) in structures {
            types.extend([name(structure), 2 << 24, 1]); // a pointer that has its name
            types.extend([name(structure), (1 << 31) | (4 << 24) | members.len() as u32, 64]);
            for (member, offset) in *members {
                types.extend([name(member), 1, (8 << 24) | (offset * 8)]);
            }
        }
        types.extend([0, (13 << 24) | 1, 1, 0, 1]);
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_le_bytes).collect();
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        for number in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            btf.extend(number.to_le_bytes());
        }
        btf.extend(types);
        btf.extend(strings);
        btf
    }

    #[test]
    fn btf_says_where_the_members_of_a_structure_are() {
        let btf = btf(&[("other", &[("list", 8)]), ("unit", &[("list", 0), ("iommu", 56)])]);
        let wanted = [Structure("unit", &["list", "iommu", "absent"])];
        let found = members(&btf, &wanted).unwrap();
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, [(("unit", "iommu"), 56), (("unit", "list"), 0)]);
        for length in 0..btf.len() {
            assert!(members(&btf[..length], &wanted).is_err(), "cut after {length} bytes");
        }
        let mut unknown = btf.clone();
        unknown[24 + 7] = 99;
        assert_eq!(members(&unknown, &wanted).unwrap_err().to_string(), "it has a type of the unknown kind 99");
    }

    #[test]
    fn a_variable_is_found_by_its_name_alone() {
        let text = "ffffffff81000000 T _text\nffffffff83a9f0a0 D dmar_drhd_units\nffffffffc0000000 d dmar_drhd_units_x\t[mod]\n";
        let found = addresses(text.as_bytes(), &["dmar_drhd_units", "absent"]).unwrap();
        assert_eq!(found, HashMap::from([("dmar_drhd_units", 0xffff_ffff_83a9_f0a0)]));
        let hidden = "0000000000000000 D dmar_drhd_units\n";
        assert!(addresses(hidden.as_bytes(), &["dmar_drhd_units"]).is_err());
    }
}
