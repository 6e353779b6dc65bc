//! The steps of a case.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::language::{ByBackend, Dynamic, Name, Outcome, Size};

/// One step: exactly one verb, what is expected of it, and under which name its result is kept.
///
/// The verbs are `map`, `unmap`, `unmap_all`, `iova_ranges` and `info`, which call the kernel, and `pagesize`, `gone` and `check`,
/// which look at what it did.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Map a region for DMA. Gives `iova`, `size` and `vaddr`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map>")]
    pub map: Option<Map>,
    /// Unmap a range of IOVAs. Gives `bytes`: how much the kernel says it unmapped.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Unmap>")]
    pub unmap: Option<Unmap>,
    /// Unmap everything in one call; takes nothing. Gives `bytes`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NoArguments>")]
    pub unmap_all: Option<NoArguments>,
    /// Ask which IOVAs may be used; takes nothing. Gives a list of `start` and `last`, sorted.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NoArguments>")]
    pub iova_ranges: Option<NoArguments>,
    /// Ask what the IOMMU offers; takes nothing. Gives `page_sizes` (a bitmap; 0 where not told), `dma_avail` and `iova_alignment` (none where
    /// not told).
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NoArguments>")]
    pub info: Option<NoArguments>,
    /// Check that every leaf of the IOMMU's page table behind a mapped range has this page size. Where nothing shows the page
    /// table the check counts as unchecked; on a backend with `skip_pagesize` it is left out.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Pagesize>")]
    pub pagesize: Option<Pagesize>,
    /// Check that the IOMMU's page table holds nothing for a range. Where nothing shows the page table the check counts as
    /// unchecked.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Range>")]
    pub gone: Option<Range>,
    /// Check that an expression is true.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Dynamic<bool>>", example = "{{ m.iova % page_size == 0 }}")]
    pub check: Option<Dynamic<bool>>,
    /// What the call is expected to give. Only for the verbs that call the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"EINVAL", example = serde_json::json!({ "vfio_*": "EINVAL", "iommufd*": "ENOENT" }), extend("default" = "ok"))]
    pub expect: Option<ByBackend<Outcome>>,
    /// The name under which later expressions find the result. Only for the verbs that call the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"m")]
    pub save: Option<Name>,
}

/// Reads a verb's arguments; a verb without any may be written `- unmap_all:`, which YAML reads as null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What `map` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// The region's name.
    #[schemars(example = &"buffer")]
    pub region: Name,
    /// The IOVA to map at; by default the next free one that the device may use, aligned to the size up to 1GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "0x100000", example = "{{ iova_ranges[0].start }}")]
    pub iova: Option<Dynamic<Size>>,
    /// How many bytes; by default the whole region from `offset` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB")]
    pub size: Option<Dynamic<Size>>,
    /// Where in the region to begin, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = 0))]
    pub offset: Option<Dynamic<Size>>,
    /// What the device may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "read_write"))]
    pub access: Option<Access>,
}

/// What a device may do with a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Only read.
    Read,
    /// Only write.
    Write,
    /// Neither: no backend accepts it.
    None,
}

/// What `unmap` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmap {
    /// The first IOVA of the range.
    #[schemars(example = "{{ m.iova }}")]
    pub iova: Dynamic<Size>,
    /// The length of the range in bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
}

/// What `gone` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first IOVA of the range.
    #[schemars(example = "{{ m.iova }}")]
    pub iova: Dynamic<Size>,
    /// The length of the range in bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
}

/// What `pagesize` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pagesize {
    /// The first IOVA of the range.
    #[schemars(example = "{{ m.iova }}")]
    pub iova: Dynamic<Size>,
    /// The length of the range in bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
    /// The page size expected of every leaf.
    #[schemars(example = "2MiB")]
    pub is: Dynamic<Size>,
}

/// A verb that takes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

impl JsonSchema for NoArguments {
    fn schema_name() -> Cow<'static, str> {
        "NoArguments".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Nothing: the verb's line ends with its colon, as in `- unmap_all:`.",
            "type": ["null", "object"],
            "additionalProperties": false,
        })
    }
}

impl Step {
    /// The verbs of this step, as written; a valid step has exactly one.
    pub fn verbs(&self) -> Vec<&'static str> {
        [
            ("map", self.map.is_some()),
            ("unmap", self.unmap.is_some()),
            ("unmap_all", self.unmap_all.is_some()),
            ("iova_ranges", self.iova_ranges.is_some()),
            ("info", self.info.is_some()),
            ("pagesize", self.pagesize.is_some()),
            ("gone", self.gone.is_some()),
            ("check", self.check.is_some()),
        ]
        .into_iter()
        .filter_map(|(verb, written)| written.then_some(verb))
        .collect()
    }

    /// Every verb there is.
    pub const VERBS: &'static [&'static str] =
        &["map", "unmap", "unmap_all", "iova_ranges", "info", "pagesize", "gone", "check"];

    /// Whether the verb is a call whose outcome can be expected; the others check by themselves.
    pub fn is_call(verb: &str) -> bool {
        !matches!(verb, "pagesize" | "gone" | "check")
    }
}
