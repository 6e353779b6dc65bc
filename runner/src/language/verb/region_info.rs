// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verb `region_info`.

use super::prelude::*;
use crate::{
    language::text::{keys::Kind, words::Word},
    uapi::request,
};

verb! {
    /// A region of the device.
    pub struct RegionInfo {
        /// Which region: `bar0` to `bar5`, `rom`, `config` (the configuration space), `vga`, or its number.
        #[example("config")] #[example(7)]
        pub region: RegionNumber,
    }
}

/// A region of a device, by its name or its number.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only for writing
pub enum RegionNumber {
    /// One that every PCI device may have.
    Named(PciRegion),
    /// A number, or an expression for one.
    Number(Dynamic<Size>),
}

words! {
    /// A region, as VFIO numbers them for PCI.
    pub enum PciRegion {
        /// The first BAR.
        Bar0 = "bar0",
        /// The second BAR.
        Bar1 = "bar1",
        /// The third BAR.
        Bar2 = "bar2",
        /// The fourth BAR.
        Bar3 = "bar3",
        /// The fifth BAR.
        Bar4 = "bar4",
        /// The sixth BAR.
        Bar5 = "bar5",
        /// The expansion ROM.
        Rom = "rom",
        /// The configuration space.
        Config = "config",
        /// The legacy memory and ports of a VGA device.
        Vga = "vga",
    }
}

impl PciRegion {
    /// Its number.
    pub fn number(self) -> u64 {
        let index = request::find("VFIO_DEVICE_GET_REGION_INFO").and_then(|request| request.field("index"));
        index.and_then(|index| index.word(&self.as_str().to_uppercase())).expect("the request knows the regions of PCI")
    }
}

impl Decode for RegionNumber {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Text(text) if Name::is_valid(text) => at.word(node, PciRegion::WORDS).map(RegionNumber::Named),
            Value::Text(_) | Value::Unquoted(_) | Value::Integer(_) => Number::read(node, at).map(RegionNumber::Number),
            _ => at.wrong_type(node, "the name of a region such as `bar0` or `config`, or its number"),
        }
    }

    fn made_up() -> Self {
        RegionNumber::Named(PciRegion::Config)
    }
}

described!(RegionNumber, |generator| {
    let name = generator.subschema_for::<PciRegion>();
    let number = generator.subschema_for::<Dynamic<Number>>();
    json_schema!({
        "description": "A region of the device: one that PCI has by name, or its number.",
        "anyOf": [name, number],
        "examples": ["config", 7, "{{ bar.index }}"],
    })
});

impl Known for RegionInfo {
    const ABOUT: About = About {
        does: "Read what a region of the device is. Saves `size` and, in the device's file, `offset`, in bytes, whether it \
            is `readable`, `writable` and `mappable`, its `flags` by name, and its `capabilities` by name, each with its fields.",
        examples: &["{ region: config }", "{ region: bar0 }"],
        saves: Saves::Fields(&["size", "offset", "readable", "writable", "mappable", "flags", "capabilities"]),
        device: true,
        reads: true,
        ..About::CALL
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_regions_are_those_of_the_header() {
        let numbers: Vec<u64> = PciRegion::WORDS.iter().map(|(_, region)| region.number()).collect();
        assert_eq!(numbers, (0..9).collect::<Vec<_>>());
    }
}
