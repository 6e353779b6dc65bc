// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pack: what the scenarios of one folder have in common, and how to program devices.

use std::fmt;

use schemars::json_schema;

use crate::language::{
    At, Backends, Case, Complaint, Condition, Decode, Duration, Name, Node, Ordered, Region, Role, Scalar, Scenario,
    Size, Step, described, keys, words,
};
use crate::{language::text::suggest::shorten, model::DeviceKind, model::code::Code};

keys! {
    /// A pack, which is a folder with this file, `pack.yaml`, in it: what its scenarios have in common, and procedures that program devices.
    pub struct Pack {
        /// The pack's name; reports know its cases by it.
        #[example("acme_nic")]
        pub name: Name,
        /// What it is for, in one sentence.
        #[example("The 40G cards of Acme.")]
        pub summary: Option<String>,
        /// Who answers for it.
        #[example("Acme Ltd.")]
        pub vendor: Option<String>,
        /// Its version.
        #[example("1.2.0")]
        pub version: Option<Version>,
        /// The lowest version of vfiospec that understands it.
        #[example("0.1.0")]
        pub engine: Option<Version>,
        /// What its scenarios have unless they say otherwise.
        pub defaults: Defaults = default,
        /// The devices that it knows, each by a name of its own. A scenario of the pack runs on one by `device: NAME`.
        #[example({ "nic": { "ids": ["8086:10c9"] } })]
        pub devices: Ordered<Role> = empty,
        /// Values by name for its procedures and its scenarios, such as the offsets of registers.
        #[example({ "CTRL": "0x0" })]
        pub vars: Ordered<Scalar> = empty,
        /// Memory of the pack that its procedures share, such as a ring of descriptors. It is allocated at the first call in
        /// a case, and kept until the case ends.
        #[example({ "ring": { "memory": "anonymous", "size": "4KiB" } })]
        pub regions: Ordered<Region> = empty,
        /// Conditions by name, for `requires` of its scenarios and their cases.
        #[example({ "has_bar": { "that": "{{ bar is not none }}", "because": "the device has no BAR" } })]
        pub conditions: Ordered<Condition> = empty,
        /// How to do things with its devices: steps that any scenario may `call`.
        #[example({ "reset_nic": { "summary": "Reset the card.", "steps": [{ "reset": null }] } })]
        pub procedures: Ordered<Procedure> = empty,
    }
}

impl Pack {
    /// Whether it knows a device of this kind.
    pub fn is_for(&self, kind: &DeviceKind) -> bool {
        self.devices.iter().any(|(_, device)| device.matches(kind))
    }

    /// The procedure of this name for a device of this kind.
    pub fn procedure_for(&self, name: &str, kind: &DeviceKind) -> Option<&Procedure> {
        self.roles_with(name).any(|device| device.matches(kind)).then(|| self.procedures.get(name))?
    }

    /// The devices that its procedure of this name is for; none without one.
    pub fn roles_with(&self, name: &str) -> impl Iterator<Item = &Role> {
        let procedure = self.procedures.get(name);
        let meant = move |role: &str| {
            procedure.is_some_and(|it| it.devices.as_ref().is_none_or(|names| names.iter().any(|n| n.0 == role)))
        };
        self.devices.iter().filter(move |(role, _)| meant(role)).map(|(_, device)| device)
    }
}

keys! {
    /// What the scenarios of a pack have unless they say otherwise.
    #[derive(Default)]
    pub struct Defaults {
        /// The backends to run on.
        pub backends: Option<Backends>,
        /// Tags of all cases, beside those of scenarios and cases.
        #[example(["acme"])]
        pub tags: Vec<Name> = empty,
        /// How long each case may take.
        #[example("10s")]
        pub timeout: Option<Duration>,
    }
}

keys! {
    /// A procedure: steps that do one thing with a device of the pack.
    ///
    /// It knows its parameters, the pack's `regions` and `vars`, and what is known of the device and the backend; nothing of the case that
    /// calls it, but the regions that it is given.
    pub struct Procedure {
        /// What it does, in a sentence.
        #[example("Have the device copy memory by DMA.")]
        pub summary: String,
        /// Which of the pack's devices it is for. The default is all.
        #[example(["nic"])]
        pub devices: Option<Vec<Name>>,
        /// What it takes.
        #[example({ "source": { "type": "iova", "summary": "Where to read." } })]
        pub parameters: Ordered<Parameter> = empty,
        /// What to do.
        pub steps: Vec<Step> = empty,
        /// What `save` beside the call keeps, by name: text with expressions, evaluated after the last step.
        #[example({ "status": "{{ status.value }}" })]
        pub gives: Ordered<Scalar> = empty,
    }
}

impl Procedure {
    /// The procedure as what it is like: a case of a scenario whose variables are the pack's.
    pub fn as_case(&self, name: &str, pack: &Pack) -> (Scenario, Case) {
        let case = Case {
            regions: pack.regions.clone(),
            steps: (!self.steps.is_empty()).then(|| self.steps.clone()),
            ..Case::named(name)
        };
        (Scenario { vars: pack.vars.clone(), ..Scenario::named(&pack.name.0) }, case)
    }
}

keys! {
    /// What a procedure takes.
    pub struct Parameter {
        /// What kind of value it is.
        pub r#type: Type,
        /// What it is for, in a sentence.
        #[example("Where the device reads from.")]
        pub summary: String,
        /// What it is where a call does not say. A region has no default.
        #[example("4KiB")]
        pub default: Option<Scalar>,
        /// The least that it may be, of a size, an IOVA or a whole number. A call with less is a mistake; where that is known only as the case
        /// runs, the case has no verdict.
        #[example(60)]
        pub least: Option<Size>,
        /// The most that it may be.
        #[example("1KiB")]
        pub most: Option<Size>,
    }
}

impl Parameter {
    /// What it may be, such as `60 to 1KiB`, where this number is out of its bounds.
    pub fn bounds_against(&self, number: i128) -> Option<String> {
        let is_below = self.least.is_some_and(|least| number < least.0.into());
        let is_above = self.most.is_some_and(|most| number > most.0.into());
        if !is_below && !is_above {
            return None;
        }
        Some(match (self.least, self.most) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            (Some(least), None) => format!("{least} or more"),
            (_, most) => format!("{} at most", most.unwrap_or_default()),
        })
    }
}

words! {
    /// The kind of a value.
    pub enum Type {
        /// An address as the device uses it.
        Iova = "iova",
        /// A number of bytes.
        Size = "size",
        /// A whole number of 64 bits.
        Integer = "integer",
        /// True or false.
        Boolean = "boolean",
        /// Text.
        Text = "text",
        /// The name of a region of the case, which the procedure then knows by the parameter's name.
        Region = "region",
    }
}

impl Type {
    /// Whether it is a number, which may have bounds.
    pub fn is_number(self) -> bool {
        matches!(self, Type::Iova | Type::Size | Type::Integer)
    }

    /// What is expected, as a message says it.
    pub fn expected(self) -> &'static str {
        match self {
            Type::Iova => "an IOVA, such as \"{{ m.iova }}\"",
            Type::Size => "a size, such as 4KiB",
            Type::Integer => "a whole number",
            Type::Boolean => "true or false",
            Type::Text => "text",
            Type::Region => "the name of a region",
        }
    }
}

/// A version: up to three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl Version {
    /// A version as it is written; `None` for other text.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = [0; 3];
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() > numbers.len() {
            return None;
        }
        for (number, part) in numbers.iter_mut().zip(parts) {
            *number = part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        }
        Some(Version(numbers))
    }

    /// This program's.
    pub fn ours() -> Version {
        Version::parse(env!("CARGO_PKG_VERSION")).expect("our own version has three numbers")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl Decode for Version {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "text", |text| {
            Version::parse(text).ok_or_else(|| {
                Complaint::new(Code::InvalidVersion, format_args!("`{}` is no version", shorten(text)))
                    .expected("up to three numbers, such as 1.2.0")
            })
        })
    }

    fn made_up() -> Self {
        Version([0; 3])
    }
}

described!(Version, |_| json_schema!({
    "description": "A version: up to three numbers. With fewer it needs quotes, for YAML reads 1.0 as a number.",
    "type": "string",
    "pattern": r"^[0-9]+(\.[0-9]+){0,2}$",
    "examples": ["1.2.0"],
}));

/// The text that a name of a region is, in a call.
pub fn region_named(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::Text(text) if Name::is_valid(text) => Some(text),
        _ => None,
    }
}

/// Whether a text has expressions in it.
pub fn is_computed(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::Text(text) if text.contains("{{") => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("0.10") > version("0.9.9"));
        assert_eq!(version("1").to_string(), "1.0.0");
        for text in ["", "1.", "1.2.3.4", "v1", "1.2-rc1", "+1", "99999999999"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
