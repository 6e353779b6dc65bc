//! What several verbs take.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IntoDeserializer},
};

use super::fit::Fit;
use crate::language::{
    Complaint, Dynamic, FromValue, Name, Size, did_you_mean,
    quantity::{Iova, Number, as_iova, as_number},
    text::suggest::shorten,
};
use crate::model::code::Code;

/// Declares a verb that takes the same as other verbs, and no keys of its own.
macro_rules! takes {
    ($Verb:ident($Inner:ty)) => {
        #[doc = concat!("What the verb takes: [`", stringify!($Inner), "`].")]
        #[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(transparent)]
        pub struct $Verb(pub $Inner);

        impl schemars::JsonSchema for $Verb {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Verb).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<$Inner>()
            }
        }
    };
}
pub(super) use takes;

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

/// A kind of interrupt.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interrupts {
    /// The kind of interrupt.
    #[schemars(example = &"msi", example = &"{{ index }}")]
    pub index: Dynamic<Index>,
}

/// A kind of interrupt, as VFIO numbers them for PCI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", expecting = "a kind of interrupt: intx, msi, msix, err or req")]
pub enum Index {
    /// The legacy interrupt line.
    Intx,
    /// Message signalled interrupts.
    Msi,
    /// Message signalled interrupts, each with an address of its own.
    Msix,
    /// An error that PCIe reported.
    Err,
    /// The kernel wants the device back.
    Req,
}

impl Index {
    /// The name as scenarios write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Index::Intx => "intx",
            Index::Msi => "msi",
            Index::Msix => "msix",
            Index::Err => "err",
            Index::Req => "req",
        }
    }
}

impl FromValue for Index {
    fn from_value(value: &minijinja::Value) -> Result<Index, Complaint> {
        let all = [Index::Intx, Index::Msi, Index::Msix, Index::Err, Index::Req];
        let text = value.to_string();
        all.into_iter().find(|index| index.as_str() == text).ok_or_else(|| {
            Complaint::unknown_word("kind of interrupt", &text, &all.map(Index::as_str)).code(Code::Expression)
        })
    }
}

/// The width of a register in bits: 8, 16, 32 or 64; 32 unless given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bits(pub u8);

impl Default for Bits {
    fn default() -> Bits {
        Bits(32)
    }
}

impl Bits {
    /// What the value of such a register is.
    pub fn fit(self) -> Fit {
        Fit::Bits(self.0)
    }

    /// Where such a register may be.
    pub fn place(self) -> Fit {
        Fit::Register(u64::from(self.0) / 8)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bits;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("8, 16, 32 or 64")
            }
            fn visit_u64<E: de::Error>(self, bits: u64) -> Result<Bits, E> {
                match bits {
                    8 | 16 | 32 | 64 => Ok(Bits(bits as u8)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(bits), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Bits {
    fn schema_name() -> Cow<'static, str> {
        "Bits".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The width of a register in bits.",
            "enum": [8, 16, 32, 64],
            "default": 32,
            "examples": [32],
        })
    }
}
