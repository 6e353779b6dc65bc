// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel wrote, with the names that the header has for it.

use std::{borrow::Cow, fmt};

use super::pointer::word;
use super::{Array, Chain, Count, Field, Means, Place};

/// The most elements of an array that are read.
const MOST_ELEMENTS: usize = 1024;
/// The most capabilities of a chain: one that runs in a circle ends, too.
const MOST_CAPABILITIES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    Number(u64),
    Signed(i64),
    /// A value that has a name.
    Word(&'static str),
    /// The names of the bits that are set, lowest first; what has no name is one hexadecimal number behind them.
    Flags(Vec<Cow<'static, str>>),
    List(Vec<Decoded>),
    Fields(Vec<(Cow<'static, str>, Decoded)>),
}

impl Field {
    /// A value of the field.
    pub fn named(&self, value: u64) -> Decoded {
        self.means.of(value, self.width)
    }

    /// The field in these bytes.
    pub fn decode(&self, bytes: &[u8]) -> Decoded {
        self.means.of(self.read(bytes), self.width)
    }
}

impl Means {
    fn of(self, value: u64, width: usize) -> Decoded {
        match self {
            Means::Number => Decoded::Number(value),
            Means::Signed => {
                let unused = 64 - 8 * width as u32;
                Decoded::Signed((value << unused).cast_signed() >> unused)
            }
            Means::Word(words) => match words.iter().find(|(_, known)| *known == value) {
                Some((word, _)) => Decoded::Word(word),
                None => Decoded::Number(value),
            },
            Means::Flags { bits, rest } => {
                let set = bits.iter().filter(|(_, bit)| value & bit == *bit);
                let (mut names, mut left) = (Vec::new(), value);
                for (name, bit) in set {
                    names.push(Cow::from(*name));
                    left &= !bit;
                }
                match rest.iter().find(|(_, known)| *known == left) {
                    Some((word, _)) => names.push(Cow::from(*word)),
                    None if left != 0 => names.push(format!("{left:#x}").into()),
                    None => {}
                }
                Decoded::Flags(names)
            }
        }
    }
}

impl Count {
    /// The number of elements that an argument has.
    pub(super) fn of(self, bytes: &[u8]) -> usize {
        match self {
            Count::Field(offset) => word(bytes, offset) as usize,
            Count::Always(count) => count,
        }
    }
}

impl Array {
    /// The elements. `bytes` is what holds the count; `elements` is where they stand, from the first on.
    pub(super) fn decode(&self, bytes: &[u8], elements: &[u8]) -> Decoded {
        let count = self.count.of(bytes);
        let one = |element: &[u8]| match self.element {
            [only] if only.name.is_empty() => only.decode(element),
            fields => Decoded::Fields(fields.iter().map(|field| (field.name.into(), field.decode(element))).collect()),
        };
        Decoded::List(elements.chunks_exact(self.stride).take(count.min(MOST_ELEMENTS)).map(one).collect())
    }
}

impl Chain {
    /// The capabilities behind a struct, by their names.
    pub fn decode(&self, bytes: &[u8]) -> Decoded {
        let mut found = Vec::new();
        let mut at = word(bytes, self.first) as usize;
        if word(bytes, 4) as u32 & self.flag == 0 {
            at = 0;
        }
        while at != 0 && found.len() < MOST_CAPABILITIES {
            // vfio_info_cap_header: the id and the version have 16 bits each, and the offset of the next has 32.
            let Some(header) = bytes.get(at..).filter(|header| header.len() >= 8) else { break };
            let (id, next) = (word(header, 0), word(header, 4) as usize);
            let own = header.get(..next.saturating_sub(at)).filter(|own| own.len() >= 8).unwrap_or(header);
            let mut fields = vec![(Cow::from("version"), Decoded::Number(id >> 16))];
            let known = self.known.iter().find(|known| u64::from(known.id) == id & 0xffff);
            if let Some(known) = known {
                let there = known.fields.iter().filter(|field| field.end() <= own.len());
                fields.extend(there.map(|field| (field.name.into(), field.decode(own))));
                if let Some(array) = &known.array
                    && let Place::Behind(offset) = array.place
                {
                    let elements = own.get(offset..).unwrap_or_default();
                    fields.push((array.name.into(), array.decode(own, elements)));
                }
            }
            let name = known.map_or_else(|| format!("unknown_{}", id & 0xffff).into(), |known| known.name.into());
            found.push((name, Decoded::Fields(fields)));
            at = next;
        }
        Decoded::Fields(found)
    }
}

/// As the trace shows it.
impl fmt::Display for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decoded::Number(value @ 0..4096) => value.fmt(f),
            Decoded::Number(value) => write!(f, "{value:#x}"),
            Decoded::Signed(value) => value.fmt(f),
            Decoded::Word(word) => f.write_str(word),
            Decoded::Flags(names) if names.is_empty() => f.write_str("0"),
            Decoded::Flags(names) => f.write_str(&names.join("|")),
            Decoded::List(elements) => {
                let elements: Vec<_> = elements.iter().map(Decoded::to_string).collect();
                write!(f, "[{}]", elements.join(", "))
            }
            Decoded::Fields(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "{{{}}}", fields.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{capabilities, find};
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn a_value_has_the_name_of_the_header() {
        let shown = |request: &str, field: &str, value: u64| {
            let field = find(request).unwrap().field(field).unwrap();
            field.means.of(value, field.width).to_string()
        };
        assert_eq!(shown("VFIO_DEVICE_GET_REGION_INFO", "flags", 7), "READ|WRITE|MMAP");
        assert_eq!(shown("VFIO_IOMMU_MAP_DMA", "flags", 0x8000_0001), "READ|0x80000000");
        assert_eq!(shown("VFIO_IOMMU_MAP_DMA", "flags", 0), "0");
        assert_eq!(shown("IOMMU_OPTION", "option_id", 1), "HUGE_PAGES");
        assert_eq!(shown("IOMMU_OPTION", "option_id", 77), "77");
        assert_eq!(shown("VFIO_DEVICE_FEATURE", "flags", 1 << 17 | 5), "SET|LOW_POWER_EXIT");
        assert_eq!(shown("VFIO_DEVICE_FEATURE", "flags", 1 << 16 | 99), "GET|0x63");
        assert_eq!(shown("IOMMU_IOAS_MAP_FILE", "fd", 0xffff_ffff), "-1");
    }

    #[test]
    fn capabilities_are_read_wherever_they_stand() {
        let answer = bytes(&[
            84,
            3,
            0x1000,
            0,
            24,
            0, // argsz, flags, page sizes, cap_offset, padding
            1 << 16 | 3,
            36,
            0xffff, // DMA_AVAIL
            1 << 16 | 1,
            0,
            1,
            0, // one range, and the end of the chain
            0xfef0_0000,
            0,
            0xffff_ffff,
            0x7f,
        ]);
        assert_eq!(
            capabilities::IOMMU.decode(&answer).to_string(),
            "{dma_avail={version=1, avail=0xffff}, iova_range={version=1, nr_iovas=1, iova_ranges=[{start=0xfef00000, \
             end=0x7fffffffff}]}}"
        );
    }

    #[test]
    fn a_chain_without_room_or_without_end_is_no_trouble() {
        let decode = |words: &[u32]| capabilities::IOMMU.decode(&bytes(words));
        assert_eq!(decode(&[120, 3, 0x1000, 0, 0, 0]), Decoded::Fields(Vec::new()));
        assert_eq!(decode(&[36, 2, 0, 0, 4000, 0]), Decoded::Fields(Vec::new()));
        // Without the flag there is no chain.
        assert_eq!(decode(&[32, 1, 0, 0, 24, 0, 2, 0]), Decoded::Fields(Vec::new()));
        assert_eq!(decode(&[]), Decoded::Fields(Vec::new()));
        let Decoded::Fields(circle) = decode(&[36, 3, 0x1000, 0, 24, 0, 2, 24]) else { panic!("no fields") };
        assert_eq!(circle.len(), MOST_CAPABILITIES);
        // One that is not known, and one whose number of elements is a lie.
        assert_eq!(decode(&[32, 2, 0, 0, 24, 0, 5 << 16 | 9, 0]).to_string(), "{unknown_9={version=5}}");
        assert_eq!(
            decode(&[40, 2, 0, 0, 24, 0, 1, 0, u32::MAX, 0]).to_string(),
            "{iova_range={version=0, nr_iovas=0xffffffff, iova_ranges=[]}}"
        );
    }
}
