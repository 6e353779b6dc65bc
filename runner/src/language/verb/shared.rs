// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several verbs take.

use super::prelude::*;
use crate::language::{
    FromValue,
    text::{keys::Kind, suggest::shorten, words::Word},
};
use crate::model::Capability;

/// A verb that takes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NoArguments {}

impl Decode for NoArguments {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.table(node, "NoArguments", &[]).map(|_| NoArguments {})
    }

    fn made_up() -> Self {
        NoArguments {}
    }
}

impl Keyed for NoArguments {
    fn keys(&self) -> Keys<'_> {
        Vec::new()
    }
}

described!(NoArguments, |_| json_schema!({
    "description": "Nothing: the verb's line ends with its colon, as in `- unmap_all:`.",
    "type": ["null", "object"],
    "additionalProperties": false,
}));

words! {
    /// What a device may do with a mapping.
    pub enum Access {
        /// Read and write.
        ReadWrite = "read_write",
        /// Only read.
        Read = "read",
        /// Only write.
        Write = "write",
        /// Neither: no backend accepts it.
        None = "none",
    }
}

/// An object of IOMMUFD: by the name that a step saved it under, or by its id.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only for writing
pub enum Object {
    /// What an `ioas`, `hwpt` or `attach` saved.
    Named(Name),
    /// A number, or an expression for one.
    Id(Dynamic<Size>),
}

impl Decode for Object {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Text(text) if Name::is_valid(text) => Some(Object::Named(Name(text.clone()))),
            Value::Text(_) | Value::Unquoted(_) => Number::read(node, at).map(Object::Id),
            Value::Integer(id) if u64::try_from(*id).is_ok() => Number::read(node, at).map(Object::Id),
            _ => at.wrong_type(node, "the name that an object was saved under, or its id"),
        }
    }

    fn made_up() -> Self {
        Object::Id(Dynamic::made_up())
    }
}

described!(Object, |generator| {
    let name = generator.subschema_for::<Name>();
    let id = generator.subschema_for::<Dynamic<Number>>();
    json_schema!({
        "description": "The name that an `ioas`, `hwpt` or `attach` step saved, or an id.",
        "anyOf": [name, id],
        "examples": ["other", "{{ device.ioas }}", 0xffff_ffff_u32],
    })
});

/// Where in an address space something is mapped.
#[derive(Debug, Clone, PartialEq)]
pub enum Where {
    /// Where the kernel chooses to.
    Kernel,
    /// At this IOVA.
    At(Dynamic<Size>),
}

impl Decode for Where {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        const EXPECTED: &str = "an IOVA such as 0x100000, or `kernel` for one that the kernel chooses";
        match node.value() {
            Value::Text(text) if text == "kernel" => Some(Where::Kernel),
            Value::Text(text) if Name::is_valid(text) => {
                let title = format!("`{}` is no IOVA", shorten(text));
                let mut complaint = Complaint::new(Code::InvalidQuantity, title).expected(EXPECTED);
                let variable = || Some(format!("the value of a variable is written \"{{{{ {text} }}}}\""));
                complaint.help.extend(did_you_mean(text, ["kernel"]).or_else(variable));
                at.complain(node, complaint)
            }
            Value::Text(_) | Value::Unquoted(_) | Value::Integer(_) | Value::Float(_) => {
                Iova::read(node, at).map(Where::At)
            }
            Value::Null | Value::Bool(_) | Value::Sequence(_) | Value::Mapping(_) => at.wrong_type(node, EXPECTED),
        }
    }

    fn made_up() -> Self {
        Where::At(Dynamic::made_up())
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

described!(Where, |generator| {
    let iova = generator.subschema_for::<Dynamic<Iova>>();
    json_schema!({
        "description": "An IOVA, or `kernel`: one that the kernel chooses, on the backend iommufd.",
        "anyOf": [{ "const": "kernel" }, iova],
        "examples": ["kernel", 0x10_0000, "{{ iova_ranges[0].start }}"],
    })
});

verb! {
    /// Which address space. The default is the device's own.
    #[derive(Default)]
    #[schema("type": ["null", "object"])] // `- verb:` means all its defaults
    pub struct InIoas {
        /// An address space that an `ioas` step saved. Backend iommufd only.
        #[example("other")]
        pub ioas: Option<Object>,
    }
}

verb! {
    /// A part of a region.
    pub struct PartOfRegion {
        /// The region's name.
        #[example("buffer")]
        pub region: Name as RegionName,
        /// Where in the region to start, in bytes.
        #[example("4KiB")] #[default(0)]
        pub offset: Option<Dynamic<Size>> as Offset,
        /// How many bytes; by default the whole region from `offset` on.
        #[example("4KiB")]
        pub size: Option<Dynamic<Size>> as Size(Fit::NotZero),
    }
}

verb! {
    /// A kind of interrupt.
    pub struct Interrupts {
        /// The kind of interrupt.
        #[example("msi")] #[example("{{ index }}")]
        pub index: Dynamic<Index>,
    }
}

verb! {
    /// One interrupt.
    pub struct OneInterrupt {
        /// The kind of interrupt.
        #[example("msi")] #[example("{{ index }}")]
        pub index: Dynamic<Index>,
        /// Which vector.
        #[example(0)] #[default(0)]
        pub vector: Option<Dynamic<Size>> as Number(Fit::Bits(32)),
    }
}

words! {
    /// A kind of interrupt, as VFIO numbers them for PCI.
    #[derive(PartialOrd, Ord)]
    pub enum Index {
        /// The legacy interrupt line.
        Intx = "intx",
        /// Message signalled interrupts.
        Msi = "msi",
        /// Message signalled interrupts, each with an address of its own.
        Msix = "msix",
        /// An error that PCIe reported.
        Err = "err",
        /// The kernel wants the device back.
        Req = "req",
    }
}

impl FromValue for Index {
    fn from_value(value: &minijinja::Value) -> Result<Index, Complaint> {
        let text = value.to_string();
        let found = Index::WORDS.iter().find(|(word, _)| *word == text).map(|(_, index)| *index);
        found.ok_or_else(|| {
            let known: Vec<&str> = Index::WORDS.iter().map(|(word, _)| *word).collect();
            Complaint::unknown_word(Code::Expression, "kind of interrupt", &text, &known)
        })
    }
}

words! {
    /// A capability that has registers of its own in the configuration space.
    pub enum Structure {
        /// Power management.
        Pm = "pm",
        /// Message signalled interrupts.
        Msi = "msi",
        /// Message signalled interrupts, each with an address of its own.
        Msix = "msix",
        /// PCI Express.
        Pcie = "pcie",
        /// Advanced error reporting.
        Aer = "aer",
        /// Access control services.
        Acs = "acs",
        /// Alternative routing.
        Ari = "ari",
        /// Address translation services.
        Ats = "ats",
        /// Virtual functions.
        Sriov = "sriov",
        /// Page requests.
        Pri = "pri",
        /// BARs whose size can be set.
        Rebar = "rebar",
        /// Process address spaces.
        Pasid = "pasid",
    }
}

impl Structure {
    /// The capability of this name.
    pub fn capability(self) -> Capability {
        let named = Capability::ALL.into_iter().find(|(name, _)| *name == self.as_str());
        named.expect("each is a capability").1
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

impl Decode for Bits {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Integer(bits @ (8 | 16 | 32 | 64)) => Some(Bits(*bits as u8)),
            _ => at.wrong_type(node, "8, 16, 32 or 64"),
        }
    }

    fn made_up() -> Self {
        Bits::default()
    }
}

described!(Bits, |_| json_schema!({
    "description": "The width of a register in bits.",
    "enum": [8, 16, 32, 64],
    "default": 32,
    "examples": [32],
}));
