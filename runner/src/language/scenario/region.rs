// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that a case maps.

use schemars::json_schema;
use serde::{Serialize, Serializer};

use crate::language::{At, Decode, Dynamic, Name, Node, Size, Value, described, keys, quantity::Offset, words};

keys! {
    /// Memory that a case maps for DMA.
    ///
    /// Its content is unspecified until the case fills it, because huge pages are reused from case to case.
    #[serde(serialize)]
    #[schema("examples": [{ "memory": "anonymous", "size": "4KiB" }])]
    pub struct Region {
        /// What kind of memory it is.
        pub memory: Memory,
        /// The length in bytes. Required, except for a BAR and for `memory: shared`, where the default is the rest of the BAR or of the other
        /// region.
        #[example("4KiB")] #[example("{{ page }}")]
        pub size: Option<Dynamic<Size>>,
        /// The page size of `anonymous`, `hugetlb` and `memfd` memory: 4KiB, or a huge page size such as 2MiB or 1GiB. The default is 2MiB for
        /// `hugetlb`, and 4KiB for the others. If the kernel has too few huge pages reserved, the case is skipped.
        #[example("2MiB")]
        pub page: Option<Dynamic<Size>>,
        /// A power of two that the address is a multiple of. The default is the page size; for a BAR it is the BAR's size, at most 1GiB.
        #[example("1GiB")]
        pub align: Option<Dynamic<Size>>,
        /// The address is this many bytes past a multiple of `align`, which is then required.
        #[example("4KiB")] #[default(0)]
        pub misalign: Option<Dynamic<Size>>,
        /// The offset in bytes of one page that is removed. Only for memory in pages of 4KiB.
        #[example("8KiB")]
        pub hole: Option<Dynamic<Size>> as Offset,
        /// What the CPU may do with it. Not for `reserved` memory, which it can never access.
        #[default("read_write")]
        pub protection: Option<Protection>,
        /// Which BAR of the device, for `memory: bar` and `dmabuf`: `largest` or 0 to 5.
        #[example(0)] #[default("largest")]
        pub bar: Option<Bar>,
        /// Whose BAR, for `memory: bar` and `dmabuf`: one of the case's `devices`. The default is the case's own device.
        #[example("second")]
        pub device: Option<Name>,
        /// Where the region starts, in bytes: in the BAR for `memory: bar` and `dmabuf`, in the other region for `memory: shared`.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// The region whose memory this one shares, for `memory: shared`: a `memfd` or a `file` that is described above it.
        #[example("buffer")]
        pub of: Option<Name>,
        /// Whether a `memfd`, `file` or `shared` region is mapped privately: what is written there is the process' own, and the file does not
        /// change.
        #[default(false)]
        pub private: bool = empty,
        /// Whether the file of a `memfd` or `file` region is opened only to be read. It then needs `protection: read`, or `private: true`.
        #[default(false)]
        pub read_only: bool = empty,
        /// What the file of a `memfd` is sealed against, before it is mapped. By default it is not sealed.
        #[example(["shrink"])]
        pub sealed: Vec<Seal> = empty,
    }
}

words! {
    /// What can no longer be done to a file.
    pub enum Seal {
        /// Write to it, or map it shared to write.
        Write = "write",
        /// The same; what is mapped already can be written on.
        FutureWrite = "future_write",
        /// Make it shorter.
        Shrink = "shrink",
        /// Make it longer.
        Grow = "grow",
    }
}

words! {
    /// The kind of memory of a region.
    pub enum Memory {
        /// Private memory of the process.
        Anonymous = "anonymous",
        /// Private memory in huge pages: `anonymous` with a default `page` of 2MiB.
        Hugetlb = "hugetlb",
        /// A BAR of the device, as the driver lets user space map it.
        Bar = "bar",
        /// Addresses where nothing is mapped.
        Reserved = "reserved",
        /// A file that exists only in memory, mapped shared.
        Memfd = "memfd",
        /// A temporary file on a tmpfs, mapped shared. Without a tmpfs the case is skipped.
        File = "file",
        /// Memory that nobody reaches but the process, not even the kernel (memfd_secret). Skipped on kernels that have none.
        Secret = "secret",
        /// The memory of another region, at a second address.
        Shared = "shared",
        /// A BAR of the device as a dma-buf, a file for `map_file`. Skipped on kernels that have none (before Linux 6.19).
        Dmabuf = "dmabuf",
    }
}

impl Memory {
    /// Whether it has a file, which `map_file` needs.
    pub fn has_file(self) -> bool {
        matches!(self, Memory::Memfd | Memory::File | Memory::Dmabuf)
    }

    /// Whether it is memory in a file of its own, which `truncate` and `punch_hole` change.
    pub fn is_in_file(self) -> bool {
        matches!(self, Memory::Memfd | Memory::File)
    }

    /// Whether it is in a BAR.
    pub fn is_bar(self) -> bool {
        matches!(self, Memory::Bar | Memory::Dmabuf)
    }
}

words! {
    /// What the CPU may do with a region.
    pub enum Protection {
        /// Read and write.
        ReadWrite = "read_write",
        /// Only read.
        Read = "read",
        /// Neither.
        None = "none",
    }
}

/// Which BAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// The largest one that can be mapped for reading and writing.
    Largest,
    /// BAR 0 to 5.
    Index(u8),
}

impl Decode for Bar {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Text(text) if text == "largest" => Some(Bar::Largest),
            Value::Integer(index @ 0..=5) => Some(Bar::Index(*index as u8)),
            _ => at.wrong_type(node, "`largest` or the number of a BAR, 0 to 5"),
        }
    }

    fn made_up() -> Self {
        Bar::Largest
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

described!(Bar, |_| json_schema!({
    "description": "`largest` (of those that can be mapped for reading and writing) or a BAR's number.",
    "anyOf": [{ "const": "largest" }, { "type": "integer", "minimum": 0, "maximum": 5 }],
}));
