// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second IOMMU in the device tree of QEMU's `virt`.
//!
//! QEMU makes an `arm-smmuv3` for each root bus, but describes only the one of `pcie.0` in its device tree; the others are in ACPI's tables,
//! which need firmware in the guest. So the tree that QEMU would give is read, and a second host bridge with its SMMUv3 is added, which take
//! their buses and addresses from the first. The format is that of the Devicetree Specification 0.4, chapter 5, and the bindings are the
//! kernel's: `pci/host-generic-pci.yaml`, `pci/pci-iommu.txt` and `iommu/arm,smmu-v3.yaml`.

/// The first bus behind the second host bridge, in its PCI domain, which is [`SECOND_DOMAIN`]. The first one has as many buses before it.
pub(super) const SECOND_BUS: u8 = 0x40;
/// Linux wants a domain of its own for each host bridge of a device tree.
pub(super) const SECOND_DOMAIN: u16 = 1;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE: u32 = 16;
const HEADER: usize = 40;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
/// Deeper than any tree that QEMU makes.
const DEEPEST: usize = 16;

/// The tree with a second host bridge and SMMUv3; `None` if it is not that of a `virt` with one SMMUv3 on `pcie.0`.
pub(super) fn with_second_iommu(tree: &[u8]) -> Option<Vec<u8>> {
    let mut root = Node::read(tree)?;
    let highest = root.highest_phandle();
    let smmu = root.children.iter().find(|node| node.is("arm,smmu-v3"))?;
    let second_smmu = smmu.second_smmu(highest.checked_add(1)?)?;
    let bridge = root.children.iter_mut().find(|node| node.is("pci-host-ecam-generic"))?;
    let second_bridge = bridge.split(&second_smmu)?;
    root.children.extend([second_smmu, second_bridge]);
    Some(root.write())
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    name: String,
    properties: Vec<(String, Vec<u8>)>,
    children: Vec<Node>,
}

impl Node {
    fn read(tree: &[u8]) -> Option<Node> {
        let word = |at| cells(tree.get(at..at + 4)?)?.first().copied();
        if word(0)? != MAGIC {
            return None;
        }
        let strings = tree.get(word(12)? as usize..)?;
        let mut tokens = Tokens { rest: tree.get(word(8)? as usize..)?, strings };
        match tokens.word()? {
            BEGIN_NODE => tokens.node(0),
            _ => None,
        }
    }

    fn write(&self) -> Vec<u8> {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        self.write_to(&mut structure, &mut strings);
        structure.extend(END.to_be_bytes());
        // No memory is reserved beside what the tree itself says: an empty list, which ends with two zeros of 64 bits.
        const RESERVED: usize = 16;
        let at = HEADER + RESERVED;
        let total = at + structure.len() + strings.len();
        let sizes = [total, at, at + structure.len(), HEADER].map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        let [total, structure_at, strings_at, reserved_at] = sizes;
        let lengths = [strings.len(), structure.len()].map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        let first_processor = 0;
        let header = [MAGIC, total, structure_at, strings_at, reserved_at, VERSION, LAST_COMPATIBLE, first_processor];
        let mut tree = bytes(&header);
        tree.extend(bytes(&lengths));
        tree.extend([0; RESERVED]);
        tree.extend(structure);
        tree.extend(strings);
        tree
    }

    fn write_to(&self, structure: &mut Vec<u8>, strings: &mut Vec<u8>) {
        let padded = |structure: &mut Vec<u8>, data: &[u8]| {
            structure.extend(data);
            structure.resize(structure.len().next_multiple_of(4), 0);
        };
        structure.extend(BEGIN_NODE.to_be_bytes());
        padded(structure, format!("{}\0", self.name).as_bytes());
        for (name, value) in &self.properties {
            let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
            let at = u32::try_from(strings.len()).unwrap_or(u32::MAX);
            strings.extend(format!("{name}\0").as_bytes());
            structure.extend(bytes(&[PROPERTY, length, at]));
            padded(structure, value);
        }
        self.children.iter().for_each(|child| child.write_to(structure, strings));
        structure.extend(END_NODE.to_be_bytes());
    }

    fn is(&self, compatible: &str) -> bool {
        self.value("compatible").is_some_and(|all| all.split(|byte| *byte == 0).any(|one| one == compatible.as_bytes()))
    }

    fn value(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    fn cells(&self, name: &str) -> Option<Vec<u32>> {
        cells(self.value(name)?)
    }

    fn set(&mut self, name: &str, cells: &[u32]) {
        self.properties.retain(|(known, _)| known != name);
        self.properties.push((name.to_owned(), bytes(cells)));
    }

    fn highest_phandle(&self) -> u32 {
        let own = self.cells("phandle").and_then(|cells| cells.first().copied()).unwrap_or(0);
        self.children.iter().map(Node::highest_phandle).fold(own, u32::max)
    }

    /// The SMMUv3 that QEMU puts behind this one on its platform bus: at the next address, with the next interrupts.
    fn second_smmu(&self, phandle: u32) -> Option<Node> {
        let mut second = self.clone();
        let [high, low, size_high, size] = self.cells("reg")?.try_into().ok()?;
        let mut interrupts = self.cells("interrupts")?;
        let count = u32::try_from(interrupts.len() / 3).ok()?;
        // Each is a kind, a number and flags.
        for number in interrupts.iter_mut().skip(1).step_by(3) {
            *number = number.checked_add(count)?;
        }
        let low = low.checked_add(size)?;
        second.name = format!("smmuv3@{low:x}");
        second.set("reg", &[high, low, size_high, size]);
        second.set("interrupts", &interrupts);
        second.set("phandle", &[phandle]);
        Some(second)
    }

    /// Takes half of the buses and of the memory from this host bridge for another one behind an SMMUv3. All of the I/O ports stay here: Linux
    /// maps those of one host bridge.
    fn split(&mut self, smmu: &Node) -> Option<Node> {
        const BUS_BYTES: u64 = 1 << 20;
        let mut second = self.clone();
        let config = u64::from(SECOND_BUS) * BUS_BYTES;
        let [at_high, at, size_high, size] = self.cells("reg")?.try_into().ok()?;
        let (at, size) = (joined(at_high, at), joined(size_high, size));
        if size < 2 * config {
            return None;
        }
        let [first_at, second_at, half] = [at, at.checked_add(config)?, config].map(split);
        self.set("reg", &[first_at, half].concat());
        second.set("reg", &[second_at, half].concat());
        self.set("bus-range", &[0, u32::from(SECOND_BUS) - 1]);
        second.set("bus-range", &[u32::from(SECOND_BUS), 2 * u32::from(SECOND_BUS) - 1]);
        second.set("linux,pci-domain", &[u32::from(SECOND_DOMAIN)]);
        second.name = format!("pcie@{:x}", joined(second_at[0], second_at[1]));

        let (mut first_ranges, mut second_ranges) = (Vec::new(), Vec::new());
        for range in self.cells("ranges")?.chunks(7) {
            let [kind, bus_high, bus, cpu_high, cpu, size_high, size] = range.try_into().ok()?;
            const IO: u32 = 1;
            if kind >> 24 & 3 == IO {
                first_ranges.extend(range);
                continue;
            }
            let size = joined(size_high, size);
            let first_size = 1 << (size / 2).checked_ilog2()?;
            let beyond = |high, low| Some(split(joined(high, low).checked_add(first_size)?));
            first_ranges.extend([kind, bus_high, bus, cpu_high, cpu].into_iter().chain(split(first_size)));
            let rest = split(size - first_size);
            second_ranges.extend([[kind].as_slice(), &beyond(bus_high, bus)?, &beyond(cpu_high, cpu)?, &rest].concat());
        }
        self.set("ranges", &first_ranges);
        second.set("ranges", &second_ranges);

        let phandle = smmu.cells("phandle")?;
        second.set("iommu-map", &[0, *phandle.first()?, 0, 0x1_0000]);
        Some(second)
    }
}

struct Tokens<'a> {
    rest: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Tokens<'a> {
    fn word(&mut self) -> Option<u32> {
        cells(self.take(4)?)?.first().copied()
    }

    /// As many bytes, and what fills the last cell.
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.rest.get(..length)?;
        self.rest = self.rest.get(length.checked_next_multiple_of(4)?..)?;
        Some(taken)
    }

    /// A node after its first token.
    fn node(&mut self, depth: usize) -> Option<Node> {
        if depth > DEEPEST {
            return None;
        }
        let name = text(self.rest)?;
        self.take(name.len() + 1)?;
        let mut node = Node { name, properties: Vec::new(), children: Vec::new() };
        loop {
            match self.word()? {
                BEGIN_NODE => node.children.push(self.node(depth + 1)?),
                END_NODE => return Some(node),
                PROPERTY => {
                    let (length, name) = (self.word()? as usize, self.word()? as usize);
                    node.properties.push((text(self.strings.get(name..)?)?, self.take(length)?.to_vec()));
                }
                NOP => {}
                _ => return None,
            }
        }
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

fn cells(bytes: &[u8]) -> Option<Vec<u32>> {
    let all: Vec<u32> = bytes.chunks(4).map_while(|cell| Some(u32::from_be_bytes(cell.try_into().ok()?))).collect();
    (all.len() * 4 == bytes.len()).then_some(all)
}

fn bytes(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

fn joined(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn split(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, compatible: &str, properties: &[(&str, &[u32])], children: Vec<Node>) -> Node {
        let compatible = ("compatible".to_owned(), format!("{compatible}\0").into_bytes());
        let properties = properties.iter().map(|(name, cells)| ((*name).to_owned(), bytes(cells)));
        Node { name: name.to_owned(), properties: properties.chain([compatible]).collect(), children }
    }

    /// What QEMU 11.1 says of the two, shortened.
    fn virt() -> Node {
        let pins: Vec<u32> =
            (0..8).flat_map(|n| [n / 4 * 0x800, 0, 0, n % 4 + 1, 0x8003, 0, 0, 0, 3 + n % 4, 4]).collect();
        let bridge: &[(&str, &[u32])] = &[
            ("iommu-map", &[0, 0x8006, 0, 0x10000]),
            ("interrupt-map", &pins),
            (
                "ranges",
                &[
                    0x100_0000,
                    0,
                    0,
                    0,
                    0x3eff_0000,
                    0,
                    0x1_0000, //
                    0x200_0000,
                    0,
                    0x1000_0000,
                    0,
                    0x1000_0000,
                    0,
                    0x2eff_0000, //
                    0x300_0000,
                    0x80,
                    0,
                    0x80,
                    0,
                    0x80,
                    0,
                ],
            ),
            ("reg", &[0x40, 0x1000_0000, 0, 0x1000_0000]),
            ("msi-map", &[0, 0x8004, 0, 0x10000]),
            ("bus-range", &[0, 0xff]),
        ];
        let smmu: &[(&str, &[u32])] = &[
            ("phandle", &[0x8006]),
            ("interrupts", &[0, 0x70, 1, 0, 0x71, 1, 0, 0x72, 1, 0, 0x73, 1]),
            ("reg", &[0, 0xc00_0000, 0, 0x2_0000]),
        ];
        let smmu = node("smmuv3@c000000", "arm,smmu-v3", smmu, vec![]);
        node("", "linux,dummy-virt", &[], vec![smmu, node("pcie@10000000", "pci-host-ecam-generic", bridge, vec![])])
    }

    #[test]
    fn a_tree_is_read_as_it_was_written() {
        assert_eq!(Node::read(&virt().write()), Some(virt()));
    }

    #[test]
    fn the_second_host_bridge_has_buses_addresses_and_an_smmu_of_its_own() {
        let root = Node::read(&with_second_iommu(&virt().write()).unwrap()).unwrap();
        let [first_smmu, first, smmu, second] = root.children.try_into().unwrap();
        assert_eq!(first_smmu, virt().children[0]);
        let told = |node: &Node, name| node.cells(name).unwrap();
        assert_eq!((smmu.name.as_str(), told(&smmu, "reg")), ("smmuv3@c020000", vec![0, 0xc02_0000, 0, 0x2_0000]));
        assert_eq!(told(&smmu, "interrupts"), [0, 0x74, 1, 0, 0x75, 1, 0, 0x76, 1, 0, 0x77, 1]);
        assert_eq!(told(&second, "iommu-map")[1], told(&smmu, "phandle")[0]);
        assert_eq!(told(&first, "iommu-map"), [0, 0x8006, 0, 0x10000]);
        assert_eq!(told(&first, "reg"), [0x40, 0x1000_0000, 0, 0x400_0000]);
        assert_eq!(told(&second, "reg"), [0x40, 0x1400_0000, 0, 0x400_0000]);
        assert_eq!((told(&first, "bus-range"), told(&second, "bus-range")), (vec![0, 0x3f], vec![0x40, 0x7f]));
        assert_eq!(
            told(&first, "ranges")[7..],
            [0x200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0x300_0000, 0x80, 0, 0x80, 0, 0x40, 0]
        );
        assert_eq!(
            told(&second, "ranges"),
            [0x200_0000, 0, 0x2000_0000, 0, 0x2000_0000, 0, 0x1eff_0000, 0x300_0000, 0xc0, 0, 0xc0, 0, 0x40, 0]
        );
        // QEMU routes a pin as on the first bridge, by the slot (pxb_map_irq_fn() since QEMU 7.0).
        assert_eq!(told(&second, "interrupt-map"), told(&first, "interrupt-map"));
        assert_eq!(told(&second, "msi-map"), [0, 0x8004, 0, 0x10000]);
    }

    #[test]
    fn what_is_no_such_tree_is_not_taken_for_one() {
        let whole = virt().write();
        assert_eq!(with_second_iommu(&[]), None);
        assert_eq!(with_second_iommu(&whole[..whole.len() / 2]), None);
        let mut without = virt();
        without.children.remove(0);
        assert_eq!(with_second_iommu(&without.write()), None);
        let mut deep = virt();
        (0..32).for_each(|_| deep = node("deeper", "", &[], vec![deep.clone()]));
        assert_eq!(Node::read(&deep.write()), None);
    }
}
