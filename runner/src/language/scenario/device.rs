//! Steps on the device itself: its configuration space, its registers, its interrupts.

use crate::language::quantity::{Number, Offset, as_number, as_offset};
use crate::model::code::Code;
use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::language::{Complaint, Duration, Dynamic, FromValue, Size, Template};

/// A register of the configuration space.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRead {
    /// Where it is, in bytes.
    #[schemars(example = "0x4")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
}

/// A register of the configuration space and a value for it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigWrite {
    /// Where it is, in bytes.
    #[schemars(example = "0x4")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
    /// What to write; it has to fit.
    #[schemars(example = "0x6")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub value: Dynamic<Size>,
}

/// A register in a BAR.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmioRead {
    /// The BAR's number, 0 to 5.
    #[schemars(example = 0)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub bar: Dynamic<Size>,
    /// Where the register is in it, in bytes: a multiple of its width.
    #[schemars(example = "0x8")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
}

/// A register in a BAR and a value for it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmioWrite {
    /// The BAR's number, 0 to 5.
    #[schemars(example = 0)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub bar: Dynamic<Size>,
    /// Where the register is in it, in bytes: a multiple of its width.
    #[schemars(example = "0x8")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
    /// What to write; it has to fit.
    #[schemars(example = "0x1")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub value: Dynamic<Size>,
}

/// A register in a BAR and the value to wait for.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmioPoll {
    /// The BAR's number, 0 to 5.
    #[schemars(example = 0)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub bar: Dynamic<Size>,
    /// Where the register is in it, in bytes: a multiple of its width.
    #[schemars(example = "0x98")]
    #[serde(deserialize_with = "as_offset")]
    #[schemars(with = "Dynamic<Offset>")]
    pub offset: Dynamic<Size>,
    /// How wide it is.
    #[serde(default)]
    pub bits: Bits,
    /// Which of its bits are looked at; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "0x1")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub mask: Option<Dynamic<Size>>,
    /// The value that these bits are to have.
    #[schemars(example = "0x0")]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub is: Dynamic<Size>,
    /// How long to wait for it, after which the step gives ETIMEDOUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"100ms", extend("default" = "1s"))]
    pub timeout: Option<Duration>,
}

/// A device to open behind the case's backend.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("type" = ["null", "object"]))] // `- verb:` means all its defaults
pub struct DeviceOpen {
    /// The VF token, a UUID: what an SR-IOV device is opened with is what each of its virtual functions has to be opened with. Without
    /// it, or where it is empty, none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97", example = "{{ token }}")]
    pub token: Option<Template>,
}

/// A VF token to set.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VfToken {
    /// The token, a UUID.
    #[schemars(example = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97", example = "{{ token }}")]
    pub token: Template,
}

/// A region of the device.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionInfo {
    /// Its number: 0 to 5 are the BARs, 6 is the ROM, 7 the configuration space, 8 the VGA memory.
    #[schemars(example = 7)]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub region: Dynamic<Size>,
}

/// A kind of interrupt.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interrupts {
    /// The kind of interrupt.
    #[schemars(example = &"msi", example = &"{{ index }}")]
    pub index: Dynamic<Index>,
}

/// Interrupts to enable.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IrqEnable {
    /// The kind of interrupt.
    #[schemars(example = &"msi", example = &"{{ index }}")]
    pub index: Dynamic<Index>,
    /// How many vectors, from vector 0 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 4, extend("default" = 1))]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub count: Option<Dynamic<Size>>,
}

/// One interrupt to trigger.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IrqTrigger {
    /// The kind of interrupt.
    #[schemars(example = &"msi", example = &"{{ index }}")]
    pub index: Dynamic<Index>,
    /// Which vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 0, extend("default" = 0))]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub vector: Option<Dynamic<Size>>,
}

/// One interrupt to wait for.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IrqWait {
    /// The kind of interrupt.
    #[schemars(example = &"msi", example = &"{{ index }}")]
    pub index: Dynamic<Index>,
    /// Which vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 0, extend("default" = 0))]
    #[serde(deserialize_with = "as_number")]
    #[schemars(with = "Dynamic<Number>")]
    pub vector: Option<Dynamic<Size>>,
    /// How long to wait for it, after which the step gives ETIMEDOUT; `0s` only looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"100ms", extend("default" = "1s"))]
    pub timeout: Option<Duration>,
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
