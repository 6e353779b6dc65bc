//! Steps on what IOMMUFD keeps: address spaces, page tables, what is mapped in them, and what devices wrote.

use crate::language::quantity::{Iova, Number, Offset, as_iova, as_number, as_offset};
use crate::model::code::Code;
use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IntoDeserializer},
};

use crate::language::{Access, Complaint, Dynamic, Name, Size, did_you_mean, text::suggest::shorten};

/// An object of IOMMUFD: by the name that a step saved it under, or by its id.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// What an `ioas`, `hwpt` or `attach` saved.
    Named(Name),
    /// A number, or an expression for one.
    Id(Dynamic<Size>),
}

impl Object {
    /// The id, where it is given by one.
    pub fn id(&self) -> Option<&Dynamic<Size>> {
        match self {
            Object::Named(_) => None,
            Object::Id(id) => Some(id),
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name that an object was saved under, or its id")
            }
            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Object, E> {
                Ok(Object::Id(Dynamic::Is(Size(id))))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Object, E> {
                match Name::is_valid(text) {
                    true => Ok(Object::Named(Name(text.to_owned()))),
                    false => as_number(text.into_deserializer()).map(Object::Id),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Object::Named(name) => name.serialize(serializer),
            Object::Id(id) => id.serialize(serializer),
        }
    }
}

impl JsonSchema for Object {
    fn schema_name() -> Cow<'static, str> {
        "Object".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<Name>();
        let id = generator.subschema_for::<Dynamic<Number>>();
        json_schema!({
            "description": "The name that an `ioas`, `hwpt` or `attach` step saved, or an id.",
            "anyOf": [name, id],
            "examples": ["other", "{{ device.ioas }}", 0xffff_ffff_u32],
        })
    }
}

/// Where in an address space something is mapped.
#[derive(Debug, Clone, PartialEq)]
pub enum Where {
    /// Where the kernel chooses to.
    Kernel,
    /// At this IOVA.
    At(Dynamic<Size>),
}

impl Where {
    /// The IOVA, where it is given.
    pub fn at(&self) -> Option<&Dynamic<Size>> {
        match self {
            Where::Kernel => None,
            Where::At(iova) => Some(iova),
        }
    }
}

impl<'de> Deserialize<'de> for Where {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Where;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IOVA such as 0x100000, or `kernel` for one that the kernel chooses")
            }
            fn visit_u64<E: de::Error>(self, iova: u64) -> Result<Where, E> {
                as_iova(iova.into_deserializer()).map(Where::At)
            }
            fn visit_i64<E: de::Error>(self, iova: i64) -> Result<Where, E> {
                as_iova(iova.into_deserializer()).map(Where::At)
            }
            fn visit_f64<E: de::Error>(self, iova: f64) -> Result<Where, E> {
                as_iova(iova.into_deserializer()).map(Where::At)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Where, E> {
                match text {
                    "kernel" => Ok(Where::Kernel),
                    _ if Name::is_valid(text) => {
                        let mut complaint = Complaint::new(format_args!("`{}` is no IOVA", shorten(text)))
                            .code(Code::InvalidQuantity)
                            .expected("an IOVA such as 0x100000, or `kernel` for one that the kernel chooses");
                        let variable = || Some(format!("the value of a variable is written \"{{{{ {text} }}}}\""));
                        complaint.help.extend(did_you_mean(text, ["kernel"]).or_else(variable));
                        Err(complaint.raise())
                    }
                    _ => as_iova(text.into_deserializer()).map(Where::At),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Where {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Where::Kernel => serializer.serialize_str("kernel"),
            Where::At(iova) => iova.serialize(serializer),
        }
    }
}

impl JsonSchema for Where {
    fn schema_name() -> Cow<'static, str> {
        "Where".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let iova = generator.subschema_for::<Dynamic<Iova>>();
        json_schema!({
            "description": "An IOVA, or `kernel`: one that the kernel chooses, on the backend iommufd.",
            "anyOf": [{ "const": "kernel" }, iova],
            "examples": ["kernel", 0x10_0000, "{{ iova_ranges[0].start }}"],
        })
    }
}

/// Which address space; the device's own unless given.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["null", "object"]))] // `- verb:` means all its defaults
pub struct InIoas {
    /// An address space that an `ioas` step saved. Backend iommufd only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
}

/// What `map_file` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapFile {
    /// The region's name: one with a file behind it, of `memory: memfd`, `file` or `dmabuf`.
    #[schemars(example = &"buffer")]
    pub region: Name,
    /// The IOVA to map at, or `kernel`; by default the next free one that the device may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iova: Option<Where>,
    /// How many bytes; by default the whole region from `offset` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB")]
    pub size: Option<Dynamic<Size>>,
    /// Where in the region's file to begin, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = 0))]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Option<Dynamic<Size>>,
    /// What the device may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "read_write"))]
    pub access: Option<Access>,
    /// The address space to map in: one that an `ioas` step saved; the device's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
}

/// What `copy` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IoasCopy {
    /// The IOVA that the memory is mapped at already.
    #[schemars(example = "{{ m.iova }}")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub from_iova: Dynamic<Size>,
    /// The address space that it is mapped in; the device's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub from_ioas: Option<Object>,
    /// How many bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
    /// The IOVA to map it at too, or `kernel`; by default the next free one that the device may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iova: Option<Where>,
    /// What the device may do there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "read_write"))]
    pub access: Option<Access>,
    /// The address space to map it in too; the device's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
}

/// What `hwpt` takes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["null", "object"]))] // `- verb:` means all its defaults
pub struct Hwpt {
    /// The address space that it is a page table of; the device's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
    /// What it has to be capable of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ["dirty_tracking"])]
    pub flags: Vec<HwptFlag>,
}

/// What a page table can be made capable of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HwptFlag {
    /// To be the parent of nested page tables.
    NestParent,
    /// To tell which pages devices wrote.
    DirtyTracking,
    /// To be attached for a PASID.
    Pasid,
}

/// What `attach` takes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["null", "object"]))] // `- verb:` means all its defaults
pub struct Attach {
    /// The address space or page table; the device's own address space unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other", example = 0xffff_ffff_u32)]
    pub to: Option<Object>,
}

/// What `destroy` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destroy {
    /// The object to destroy.
    #[schemars(example = &"other", example = &"{{ device.ioas }}")]
    pub object: Object,
}

/// What `option` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IommuOption {
    /// The option.
    pub name: OptionName,
    /// The address space that `huge_pages` is of; the device's own unless given. `rlimit_mode` is of the whole IOMMUFD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
    /// The value to give it; without, it is only asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 0)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub set: Option<Dynamic<Size>>,
}

/// An option of IOMMUFD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptionName {
    /// 1 if an address space may use pages above the smallest, as it may at first; 0 if not.
    HugePages,
    /// 0 if pinned memory is accounted to the user, 1 if to the process.
    RlimitMode,
}

/// What `allow_iovas` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowIovas {
    /// The address space; the device's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"other")]
    pub ioas: Option<Object>,
    /// The ranges that the kernel may choose from; none for all.
    #[schemars(example = serde_json::json!([{ "start": "1GiB", "last": "{{ 2 * GiB - 1 }}" }]))]
    pub ranges: Vec<AllowedRange>,
}

/// A range of IOVAs that the kernel may choose from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedRange {
    /// The first IOVA.
    #[schemars(example = "1GiB")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub start: Dynamic<Size>,
    /// The last IOVA, which is part of it.
    #[schemars(example = "{{ 2 * GiB - 1 }}")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub last: Dynamic<Size>,
}

/// What `dirty_tracking` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirtyTracking {
    /// Whether to begin or to end.
    #[schemars(example = true)]
    pub enable: bool,
    /// The page table, only on the backend iommufd: one that a `hwpt` step saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"table")]
    pub hwpt: Option<Object>,
}

/// What `dirty_bitmap` takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirtyBitmap {
    /// The first IOVA of the range.
    #[schemars(example = "{{ m.iova }}")]
    #[serde(deserialize_with = "as_iova")]
    #[schemars(with = "Dynamic<Iova>")]
    pub iova: Dynamic<Size>,
    /// The length of the range in bytes.
    #[schemars(example = "{{ m.size }}")]
    pub size: Dynamic<Size>,
    /// How many bytes each bit stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "4KiB", extend("default" = "4KiB"))]
    pub page: Option<Dynamic<Size>>,
    /// The page table, only on the backend iommufd: one that a `hwpt` step saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"table")]
    pub hwpt: Option<Object>,
    /// Whether dirty pages stay dirty; backend iommufd only. Else all are clean once they are told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub keep: bool,
}
