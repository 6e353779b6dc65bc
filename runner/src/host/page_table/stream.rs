// SPDX-License-Identifier: MIT OR Apache-2.0
//! By which number an SMMU knows a device: the firmware says so, in a device tree (`iommu-map`, `of_map_id` in `drivers/of/base.c`), or
//! with ACPI in the table IORT (Arm DEN0049; `iort_id_map` in `drivers/acpi/arm64/iort.c`).

use std::{fs, io};

use super::{Root, Unobservable};
use crate::host::pci::attribute;
use crate::model::Bdf;

/// The stream ID of a device.
pub(super) fn stream(root: &Root, bdf: Bdf) -> Result<u32, Unobservable> {
    const IORT: &str = "sys/firmware/acpi/tables/IORT";
    let unknown = || Unobservable(format!("the firmware does not say which stream of the SMMU {bdf} is"));
    match fs::read(root.join(IORT)) {
        Ok(table) => iort(&table, bdf).ok_or_else(unknown),
        Err(error) if error.kind() == io::ErrorKind::NotFound => device_tree(root, bdf).ok_or_else(unknown),
        Err(error) => Err(Unobservable(format!("failed to read /{IORT}: {error}"))),
    }
}

/// A function's number on its segment.
fn requester(Bdf { bus, device, function, .. }: Bdf) -> u32 {
    u32::from(bus) << 8 | u32::from(device) << 3 | u32::from(function)
}

/// By the map of the host bridge that the device is below.
fn device_tree(root: &Root, bdf: Bdf) -> Option<u32> {
    let words = |bytes: Vec<u8>| -> Option<Vec<u32>> {
        let words = bytes.chunks(4).map(|word| Some(u32::from_be_bytes(word.try_into().ok()?)));
        words.collect()
    };
    let device = fs::canonicalize(root.join(attribute(bdf, ""))).ok()?;
    let (bridge, map) = device.ancestors().find_map(|folder| {
        let bridge = folder.join("of_node");
        fs::read(bridge.join("iommu-map")).ok().map(|map| (bridge, map))
    })?;
    let mask = fs::read(bridge.join("iommu-map-mask")).ok().and_then(words);
    let requester = requester(bdf) & mask.and_then(|mask| mask.first().copied()).unwrap_or(u32::MAX);
    // First number, IOMMU, its first number there, and how many; an SMMUv3's streams have one number (`#iommu-cells`).
    words(map)?.chunks_exact(4).find_map(|entry| {
        let within = requester.checked_sub(entry[0]).filter(|within| *within < entry[3])?;
        entry[2].checked_add(within)
    })
}

const ROOT_COMPLEX: u8 = 2;
const SMMU_V3: u8 = 4;

/// By the mapping of the root complex that has the device's segment.
fn iort(table: &[u8], bdf: Bdf) -> Option<u32> {
    let number =
        |at: usize| -> Option<u32> { Some(u32::from_le_bytes(table.get(at..at.checked_add(4)?)?.try_into().ok()?)) };
    let place = |at: usize| usize::try_from(number(at)?).ok();
    let requester = requester(bdf);
    let mut node = place(40)?;
    for _ in 0..number(36)? {
        let length = usize::from(u16::from_le_bytes(table.get(node.checked_add(1)?..)?.first_chunk().copied()?));
        let (count, first) = (number(node + 8)?, node.checked_add(place(node + 12)?)?);
        if table[node] == ROOT_COMPLEX && number(node + 28)? == bdf.domain {
            for index in 0..count as usize {
                let mapping = first.checked_add(index.checked_mul(20)?)?;
                // The second is how many follow the first.
                let within = requester.checked_sub(number(mapping)?);
                let within = within.filter(|within| number(mapping + 4).is_some_and(|more| *within <= more));
                let to_smmu = table.get(place(mapping + 12)?) == Some(&SMMU_V3);
                if let Some(within) = within.filter(|_| to_smmu) {
                    return number(mapping + 8)?.checked_add(within);
                }
            }
        }
        node = node.checked_add(length.max(1))?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::*;

    const BRIDGE: &str = "sys/devices/platform/4010000000.pcie/of_node";

    #[test]
    fn the_device_tree_says_which_stream_it_is() {
        let tree = Tree::new("streams");
        let real = "sys/devices/platform/4010000000.pcie/pci0000:00/0000:03:00.0";
        tree.put(&format!("{real}/vendor"), "");
        tree.link("sys/bus/pci/devices/0000:03:00.0", real);
        let found = || stream(&tree.root(), tree.bdf()).ok();
        assert_eq!(found(), None);
        let put = |name: &str, words: &[u32]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            tree.put_bytes(&format!("{BRIDGE}/{name}"), &bytes);
        };
        put("iommu-map", &[0, 7, 0, 0x100, 0x200, 7, 0x1_0000, 0x200]);
        assert_eq!(found(), Some(0x1_0100));
        put("iommu-map-mask", &[0xff]);
        assert_eq!(found(), Some(0));
        put("iommu-map-mask", &[0xffff]);
        put("iommu-map", &[0, 7, 0, 0x300]);
        assert_eq!(found(), None);
    }

    /// A table with an SMMU at 48 and a root complex of a segment behind it, which maps these ranges.
    fn table(kind: u8, segment: u32, mappings: &[[u32; 3]]) -> Vec<u8> {
        let mut table = vec![0; 36];
        let mut put = |numbers: &[u32]| table.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let node = |kind: u8, length: u32| u32::from(kind) | length << 8;
        put(&[2, 48, 0]);
        put(&[node(kind, 24), 0, 0, 0, 0x0905_0000, 0]);
        let mapped = mappings.len() as u32;
        put(&[node(ROOT_COMPLEX, 36 + 20 * mapped), 0, mapped, 36, 0, 0, 0, segment, 0]);
        mappings.iter().for_each(|[input, more, output]| put(&[*input, *more, *output, 48, 0]));
        table
    }

    #[test]
    fn iort_says_which_stream_it_is() {
        let bdf: Bdf = "0001:03:00.0".parse().unwrap();
        let mappings = [[0, 0x2ff, 0], [0x300, 0xff, 0x1_0000]];
        let whole = table(SMMU_V3, 1, &mappings);
        assert_eq!(iort(&whole, bdf), Some(0x1_0000));
        for length in 0..whole.len() - 20 {
            assert_eq!(iort(&whole[..length], bdf), None, "cut after {length} bytes");
        }
        assert_eq!(iort(&whole, "0001:02:1f.7".parse().unwrap()), Some(0x2ff));
        assert_eq!(iort(&whole, "0001:04:00.0".parse().unwrap()), None, "no range has it");
        assert_eq!(iort(&whole, "0000:03:00.0".parse().unwrap()), None, "another segment");
        assert_eq!(iort(&table(0, 1, &mappings), bdf), None, "it goes to interrupts alone");
    }
}
