//! Steps on the kernel's files: opening them, and any request by its name.

use crate::language::quantity::{Number, Offset, as_number, as_offset};
use crate::model::code::Code;
use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    language::{Bits, Complaint, Dynamic, Name, Ordered, Protection, Scalar, Size, Template},
    uapi::request,
};

/// A file of the kernel to open.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Which file.
    pub file: File,
}

/// A file that VFIO and IOMMUFD are spoken to through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum File {
    /// The device's own file, such as `/dev/vfio/devices/vfio0`.
    Cdev,
    /// The file of the device's group, such as `/dev/vfio/12`.
    Group,
    /// `/dev/vfio/vfio`
    Container,
    /// `/dev/iommu`
    Iommufd,
}

impl File {
    /// The name as scenarios write it.
    pub fn as_str(self) -> &'static str {
        match self {
            File::Cdev => "cdev",
            File::Group => "group",
            File::Container => "container",
            File::Iommufd => "iommufd",
        }
    }
}

/// A file that was opened.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The name that the `open` was saved under.
    #[schemars(example = &"cdev")]
    pub file: Name,
}

/// A request of VFIO or IOMMUFD, with whatever arguments.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ioctl {
    /// The request's name, as in the kernel's headers.
    #[schemars(example = &"IOMMU_IOAS_MAP")]
    pub request: RequestName,
    /// The file: `device` or `iommu` of the open device, or the name that an `open` was saved under.
    #[schemars(example = &"iommu")]
    pub on: Name,
    /// The fields of its struct by their names in the header; all others are 0. An address is 0, or lies in one of the case's
    /// regions. `ioas_id` of the open device is `device.ioas`.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    #[schemars(example = serde_json::json!({ "flags": 7, "ioas_id": "{{ device.ioas }}" }))]
    pub fields: Ordered<Scalar>,
    /// What its `argsz` or `size` says; the true size unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 8)]
    pub size: Option<Dynamic<Size>>,
    /// Bytes behind the struct: a list of them, or a text, which ends with a 0. Nothing unless given.
    #[serde(default, skip_serializing_if = "Tail::is_empty")]
    pub tail: Tail,
}

/// Bytes of a file to read.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pread {
    /// The file: `device` of the open device, or the name that an `open` was saved under.
    #[schemars(example = &"device")]
    pub on: Name,
    /// Where in the file, in bytes; a region of the device begins at the `offset` that `region_info` gives.
    #[schemars(example = "{{ config.offset }}")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How many bytes, up to 1MiB.
    #[schemars(example = 4)]
    pub size: Dynamic<Size>,
}

/// Bytes of a file to write.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pwrite {
    /// The file: `device` of the open device, or the name that an `open` was saved under.
    #[schemars(example = &"device")]
    pub on: Name,
    /// Where in the file, in bytes; a region of the device begins at the `offset` that `region_info` gives.
    #[schemars(example = "{{ config.offset + 4 }}")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How many bytes, up to 1MiB.
    #[schemars(example = 2)]
    pub size: Dynamic<Size>,
    /// What to write: a number, little-endian, with zeros behind its eight bytes. It has to fit.
    #[schemars(example = "0x6")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub value: Dynamic<Size>,
}

/// A part of a file to map into the process.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mmap {
    /// The file: `device` of the open device, or the name that an `open` was saved under.
    #[schemars(example = &"device")]
    pub on: Name,
    /// Where in the file, in bytes; a region of the device begins at the `offset` that `region_info` gives.
    #[schemars(example = "{{ bar0.offset }}")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How many bytes.
    #[schemars(example = "4KiB")]
    pub size: Dynamic<Size>,
    /// What the CPU may do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "read_write"))]
    pub protection: Option<Protection>,
    /// Whether the mapping is this process' own (MAP_PRIVATE), and not shared with the device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub private: bool,
    /// Read a register of so many bits at the start of what was mapped; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<Bits>,
}

/// What stands behind the struct of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Tail {
    /// These bytes.
    Bytes(Vec<u8>),
    /// This text and a 0.
    Text(Template),
}

impl Default for Tail {
    fn default() -> Self {
        Tail::Bytes(Vec::new())
    }
}

impl Tail {
    fn is_empty(&self) -> bool {
        matches!(self, Tail::Bytes(bytes) if bytes.is_empty())
    }
}

impl<'de> Deserialize<'de> for Tail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Tail;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of bytes or a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tail, E> {
                Template::new(text).map(Tail::Text).map_err(|error| Complaint::from(error).raise())
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Tail, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = sequence.next_element()? {
                    bytes.push(byte);
                }
                Ok(Tail::Bytes(bytes))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Tail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tail::Bytes(bytes) => bytes.serialize(serializer),
            Tail::Text(text) => text.serialize(serializer),
        }
    }
}

impl JsonSchema for Tail {
    fn schema_name() -> Cow<'static, str> {
        "Tail".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes, or a text (in which expressions are replaced by their values) and a 0.",
            "anyOf": [
                { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } },
                { "type": "string" },
            ],
            "examples": [[0, 0, 0, 1], "{{ device.bdf }}"],
        })
    }
}

/// The name of a request that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RequestName(String);

impl RequestName {
    /// The request.
    pub fn request(&self) -> &'static request::Request {
        request::find(&self.0).expect("it was found when the name was read")
    }
}

impl<'de> Deserialize<'de> for RequestName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = RequestName;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a request, such as IOMMU_IOAS_MAP")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RequestName, E> {
                if request::find(text).is_some() {
                    return Ok(RequestName(text.to_owned()));
                }
                let known = request::all().map(|request| request.name);
                let mut complaint = Complaint::new(format_args!("unknown request `{text}`"))
                    .code(Code::UnknownRequest)
                    .expected("a request of VFIO or IOMMUFD as the kernel's headers name it, such as IOMMU_IOAS_MAP");
                complaint.help.extend(crate::language::did_you_mean(text, known));
                Err(complaint.raise())
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for RequestName {
    fn schema_name() -> Cow<'static, str> {
        "Request".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = request::all().map(|request| request.name).collect();
        json_schema!({
            "description": "A request of VFIO or IOMMUFD, as the kernel's headers name it.",
            "enum": names,
            "examples": ["IOMMU_IOAS_MAP"],
        })
    }
}
