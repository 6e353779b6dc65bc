//! The memory that a case maps.

use crate::language::quantity::{Offset, as_offset};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::language::{Dynamic, Name, Size};

/// A region of address space that a case maps for DMA.
///
/// Its content is unspecified unless the case fills it: huge pages are kept from case to case.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "memory": "anonymous", "size": "4KiB" }))]
pub struct Region {
    /// What is behind the addresses.
    pub memory: Memory,
    /// The region's length in bytes. A BAR's region, and one of the same memory as another, is the rest of it unless given; all
    /// other memory needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", example = "{{ page }}")]
    pub size: Option<Dynamic<Size>>,
    /// The size of the pages behind `anonymous`, `hugetlb` and `memfd` memory: 4KiB, or a huge page size such as 2MiB or 1GiB; where the
    /// kernel has too few of these reserved the case is skipped. By default 2MiB for `hugetlb`, 4KiB for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "2MiB")]
    pub page: Option<Dynamic<Size>>,
    /// The address is a multiple of this power of two. By default a region is aligned to its page size, a BAR to its own
    /// size or 1GiB, whichever is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "1GiB")]
    pub align: Option<Dynamic<Size>>,
    /// The address is this many bytes past a multiple of `align`, which has to be given too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = 0))]
    pub misalign: Option<Dynamic<Size>>,
    /// Where one page of it has nothing behind it, in bytes from its start; for memory in pages of 4KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "8KiB")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub hole: Option<Dynamic<Size>>,
    /// What the CPU may do with it. Not for `reserved` memory, with which it may do nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "read_write"))]
    pub protection: Option<Protection>,
    /// Which of the device's BARs, for `memory: bar` and `dmabuf`: `largest` or 0 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 0, extend("default" = "largest"))]
    pub bar: Option<Bar>,
    /// Where the region begins, in bytes: in the BAR, for `memory: bar` and `dmabuf`; in the other region, for `memory: shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = 0))]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Option<Dynamic<Size>>,
    /// The region above that it is the same memory as, for `memory: shared`: a `memfd` or a `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"buffer")]
    pub of: Option<Name>,
}

/// What is behind a region's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// Private memory of the process.
    Anonymous,
    /// Private memory in huge pages: `anonymous` with `page` 2MiB unless given.
    Hugetlb,
    /// A BAR of the device, as the driver lets user space map it.
    Bar,
    /// A range of addresses with nothing mapped at it.
    Reserved,
    /// A file that is only in memory, mapped shared.
    Memfd,
    /// A temporary file on a tmpfs, mapped shared; without a tmpfs the case is skipped.
    File,
    /// The same memory as another region's, at another address.
    Shared,
    /// A BAR of the device as a dma-buf, a file that can be handed to others; where there is none the case is skipped. Linux 6.19.
    Dmabuf,
}

impl Memory {
    /// The name as scenarios write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Memory::Anonymous => "anonymous",
            Memory::Hugetlb => "hugetlb",
            Memory::Bar => "bar",
            Memory::Reserved => "reserved",
            Memory::Memfd => "memfd",
            Memory::File => "file",
            Memory::Shared => "shared",
            Memory::Dmabuf => "dmabuf",
        }
    }

    /// Whether there is a file that `map_file` can take.
    pub fn has_file(self) -> bool {
        matches!(self, Memory::Memfd | Memory::File | Memory::Dmabuf)
    }

    /// Whether it is a BAR's.
    pub fn is_bar(self) -> bool {
        matches!(self, Memory::Bar | Memory::Dmabuf)
    }
}

/// What the CPU may do with a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Read and write.
    ReadWrite,
    /// Only read.
    Read,
    /// Neither.
    None,
}

/// Which BAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// The largest one that can be mapped for reading and writing.
    Largest,
    /// BAR 0 to 5.
    Index(u8),
}

mod bar {
    use std::{borrow::Cow, fmt};

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Bar;

    impl<'de> Deserialize<'de> for Bar {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl de::Visitor<'_> for Visitor {
                type Value = Bar;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("`largest` or the number of a BAR, 0 to 5")
                }
                fn visit_str<E: de::Error>(self, text: &str) -> Result<Bar, E> {
                    match text {
                        "largest" => Ok(Bar::Largest),
                        _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    }
                }
                fn visit_u64<E: de::Error>(self, index: u64) -> Result<Bar, E> {
                    match u8::try_from(index) {
                        Ok(index @ 0..=5) => Ok(Bar::Index(index)),
                        _ => Err(E::invalid_value(de::Unexpected::Unsigned(index), &self)),
                    }
                }
            }
            deserializer.deserialize_any(Visitor)
        }
    }

    impl Serialize for Bar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Bar::Largest => serializer.serialize_str("largest"),
                Bar::Index(index) => serializer.serialize_u8(*index),
            }
        }
    }

    impl JsonSchema for Bar {
        fn schema_name() -> Cow<'static, str> {
            "Bar".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "description": "`largest` (of those that can be mapped for reading and writing) or a BAR's number.",
                "anyOf": [{ "const": "largest" }, { "type": "integer", "minimum": 0, "maximum": 5 }],
            })
        }
    }
}
