// SPDX-License-Identifier: MIT OR Apache-2.0
//! The roles of devices: which devices a pack knows, by what their configuration spaces say.

use std::fmt;

use schemars::json_schema;

use crate::language::{At, Complaint, Decode, Node, Size, described, keys};
use crate::model::{Capability, DeviceKind};
use crate::{language::text::suggest::shorten, model::code::Code};

keys! {
    /// A device that a pack knows, by what its configuration space says. It has to be one of `ids` and of `class`, and to have all
    /// `capabilities`, the `bar` and the `largest_bar`, where these are given.
    #[derive(Default)]
    pub struct Role {
        /// What it is, in a sentence.
        #[example("The physical function of an 82576.")]
        pub summary: Option<String>,
        /// Its ids, of vendor and device.
        #[example(["8086:10c9"])]
        pub ids: Option<Vec<Ids>>,
        /// Its class: class and subclass in four digits, as `lspci -n` shows them, or in six with the programming interface, as sysfs does.
        #[example(["010802"])]
        pub class: Option<Vec<Class>>,
        /// What it can do: all of these.
        #[example(["flr", "msix"])]
        pub capabilities: Option<Vec<Capability>>,
        /// It has a memory BAR of at least this many bytes.
        #[example("1MiB")]
        pub bar: Option<Size>,
        /// The largest of its memory BARs has exactly this many bytes, which tells devices with the same ids apart.
        #[example("4KiB")]
        pub largest_bar: Option<Size>,
    }
}

impl Decode for Capability {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.word(node, &Capability::ALL)
    }

    fn made_up() -> Self {
        Capability::Intx
    }
}

impl Role {
    /// Whether a device of this kind is meant.
    pub fn matches(&self, kind: &DeviceKind) -> bool {
        self.ids.as_ref().is_none_or(|known| known.iter().any(|known| known.0 == kind.ids))
            && self.class.as_ref().is_none_or(|known| known.iter().any(|known| known.has(kind.class)))
            && self.capabilities.iter().flatten().all(|wanted| kind.capabilities.contains(wanted))
            && self.bar.is_none_or(|wanted| kind.largest_bar >= wanted.0)
            && self.largest_bar.is_none_or(|wanted| kind.largest_bar == wanted.0)
    }

    /// What a device has to have to be meant, for a sentence: `the ids 8086:10c9 and the capability flr`.
    pub fn wanted(&self) -> String {
        let mut wanted = Vec::new();
        if let Some(ids) = &self.ids {
            let ids: Vec<&str> = ids.iter().map(|ids| ids.0.as_str()).collect();
            wanted.push(format!("the ids {}", ids.join(" or ")));
        }
        if let Some(class) = &self.class {
            let class: Vec<String> = class.iter().map(Class::to_string).collect();
            wanted.push(format!("the class {}", class.join(" or ")));
        }
        if let Some(capabilities) = &self.capabilities {
            let plural = if capabilities.len() == 1 { "y" } else { "ies" };
            wanted.push(format!("the capabilit{plural} {}", names(capabilities)));
        }
        if let Some(size) = self.bar {
            wanted.push(format!("a BAR of {size} or more"));
        }
        if let Some(size) = self.largest_bar {
            wanted.push(format!("a largest BAR of {size}"));
        }
        wanted.join(", and ")
    }

    /// What a device of this kind has of what is asked for, for a sentence: `8086:10c9` or `8086:10c9, pm and msix`.
    pub fn had(&self, kind: &DeviceKind) -> String {
        let mut had = vec![kind.ids.clone()];
        if self.class.is_some() {
            had.push(format!("class {:06x}", kind.class));
        }
        if self.capabilities.is_some() {
            had.push(match kind.capabilities.is_empty() {
                true => "no capability".to_owned(),
                false => names(&kind.capabilities),
            });
        }
        if self.bar.is_some() || self.largest_bar.is_some() {
            had.push(match kind.largest_bar {
                0 => "no BAR of memory".to_owned(),
                size => format!("largest BAR {}", Size(size)),
            });
        }
        had.join("; ")
    }
}

fn names(capabilities: &[Capability]) -> String {
    capabilities.iter().map(|capability| capability.as_str()).collect::<Vec<_>>().join(" and ")
}

/// The ids of a device, such as `8086:10c9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids(pub String);

impl Ids {
    /// Whether a text is one.
    pub fn is_valid(text: &str) -> bool {
        let is_hex = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        text.split_once(':').is_some_and(|(vendor, device)| is_hex(vendor) && is_hex(device))
    }
}

impl Decode for Ids {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "text", |text| match Ids::is_valid(text) {
            true => Ok(Ids(text.to_ascii_lowercase())),
            false => {
                let title = format!("`{}` are no ids of a device", shorten(text));
                Err(Complaint::new(Code::InvalidIds, title)
                    .expected("vendor and device in four hexadecimal digits each, such as 8086:10c9"))
            }
        })
    }

    fn made_up() -> Self {
        Ids(String::new())
    }
}

described!(Ids, |_| json_schema!({
    "description": "The ids of vendor and device, in four hexadecimal digits each.",
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$",
    "examples": ["8086:10c9"],
}));

/// The class of a device: class and subclass, of any programming interface or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Four digits, as `lspci -n` shows them: class and subclass.
    OfAnyInterface(u32),
    /// Six digits, as sysfs shows them: class, subclass and programming interface.
    Whole(u32),
}

impl Class {
    /// As sysfs shows it; of any programming interface, that of 0.
    pub fn number(self) -> u32 {
        match self {
            Class::OfAnyInterface(class) => class << 8,
            Class::Whole(class) => class,
        }
    }

    /// Whether a device has it; `class` is what sysfs shows.
    fn has(self, class: u32) -> bool {
        match self {
            Class::OfAnyInterface(known) => known == class >> 8,
            Class::Whole(known) => known == class,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Class::OfAnyInterface(class) => write!(f, "{class:04x}"),
            Class::Whole(class) => write!(f, "{class:06x}"),
        }
    }
}

impl Decode for Class {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "text", |text| {
            let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let class = u32::from_str_radix(text, 16).ok().filter(|_| is_hex);
            let class = class.and_then(|class| match text.len() {
                4 => Some(Class::OfAnyInterface(class)),
                6 => Some(Class::Whole(class)),
                _ => None,
            });
            class.ok_or_else(|| {
                Complaint::new(Code::InvalidClass, format_args!("`{}` is no class of devices", shorten(text)))
                    .expected("four or six hexadecimal digits in quotes, such as \"0108\" or \"010802\"")
            })
        })
    }

    fn made_up() -> Self {
        Class::Whole(0)
    }
}

described!(Class, |_| json_schema!({
    "description": "The class of a device in four hexadecimal digits, quoted, or in six with the programming interface.",
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{4}([0-9A-Fa-f]{2})?$",
    "examples": ["010802"],
}));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Problems, decode, parse};

    fn kind(ids: &str, class: u32, capabilities: &[Capability], largest_bar: u64) -> DeviceKind {
        DeviceKind { ids: ids.into(), class, capabilities: capabilities.to_vec(), largest_bar }
    }

    fn role(text: &str) -> Role {
        let mut problems = Problems::new();
        decode(&parse(text).unwrap(), &mut problems).unwrap_or_else(|| panic!("{:?}", problems.as_slice()))
    }

    #[test]
    fn a_device_has_to_be_all_that_its_role_says() {
        let igb = kind("8086:10c9", 0x020000, &[Capability::Msix, Capability::Flr], 128 << 10);
        for (text, is_meant) in [
            ("{ ids: ['8086:10C9', '8086:1526'] }", true),
            ("{ ids: ['8086:10c9'], class: ['010802'] }", false),
            ("{ class: ['0200'] }", true),
            ("{ class: ['0201'] }", false),
            ("{ class: ['010802', '020000'] }", true),
            ("{ capabilities: [flr] }", true),
            ("{ capabilities: [flr, sriov] }", false),
            ("{ class: ['020000'], capabilities: [msix, flr], bar: 128KiB }", true),
            ("{ bar: 1MiB }", false),
            ("{ largest_bar: 128KiB }", true),
            ("{ largest_bar: 64KiB }", false),
        ] {
            assert_eq!(role(text).matches(&igb), is_meant, "{text}");
        }
        assert!(!role("{ class: ['010802'] }").matches(&DeviceKind::default()));
        assert!(!role("{ bar: 1 }").matches(&DeviceKind::default()));
    }

    #[test]
    fn what_is_asked_for_and_what_a_device_has_are_said_alike() {
        let all = role("{ ids: ['8086:10c9', '8086:1526'], class: ['010802'], capabilities: [msi, flr], bar: 1MiB }");
        assert_eq!(
            all.wanted(),
            "the ids 8086:10c9 or 8086:1526, and the class 010802, and the capabilities msi and flr, and a BAR of 1MiB or more"
        );
        let edu = kind("1234:11e8", 0x00ff00, &[Capability::Intx, Capability::Msi], 1 << 20);
        assert_eq!(all.had(&edu), "1234:11e8; class 00ff00; intx and msi; largest BAR 1MiB");
        let small = role("{ ids: ['1b36:0005'], largest_bar: 4KiB }");
        assert_eq!(small.wanted(), "the ids 1b36:0005, and a largest BAR of 4KiB");
        assert_eq!(small.had(&kind("1b36:0005", 0, &[], 2 << 30)), "1b36:0005; largest BAR 2GiB");
        assert_eq!(role("{ capabilities: [flr] }").had(&kind("1234:11e8", 0, &[], 0)), "1234:11e8; no capability");
    }
}
