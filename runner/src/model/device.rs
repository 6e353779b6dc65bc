// SPDX-License-Identifier: MIT OR Apache-2.0
//! What kind of device it is, and what it is capable of.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bdf;

/// A capability of a PCI device, as its configuration space says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// The legacy interrupt line: an interrupt pin.
    Intx,
    /// Power management.
    Pm,
    /// Message signalled interrupts.
    Msi,
    /// Message signalled interrupts, each with an address of its own.
    Msix,
    /// PCI Express.
    Pcie,
    /// The function level reset, of PCI Express or of Advanced Features.
    Flr,
    /// Advanced error reporting.
    Aer,
    /// Access control services.
    Acs,
    /// Alternative routing: more than eight functions.
    Ari,
    /// Address translation services: it asks the IOMMU ahead, and keeps what it is told.
    Ats,
    /// Virtual functions (SR-IOV).
    Sriov,
    /// Page requests: it asks for pages that are not there.
    Pri,
    /// BARs whose size can be set.
    Rebar,
    /// Process address spaces: several in one device.
    Pasid,
}

impl Capability {
    /// All of them, each with its name as scenarios and packs write it.
    pub const ALL: [(&str, Capability); 14] = [
        ("intx", Capability::Intx),
        ("pm", Capability::Pm),
        ("msi", Capability::Msi),
        ("msix", Capability::Msix),
        ("pcie", Capability::Pcie),
        ("flr", Capability::Flr),
        ("aer", Capability::Aer),
        ("acs", Capability::Acs),
        ("ari", Capability::Ari),
        ("ats", Capability::Ats),
        ("sriov", Capability::Sriov),
        ("pri", Capability::Pri),
        ("rebar", Capability::Rebar),
        ("pasid", Capability::Pasid),
    ];

    /// As scenarios and packs write it.
    pub fn as_str(self) -> &'static str {
        Capability::ALL.iter().find(|(_, other)| *other == self).expect("all of them are listed").0
    }
}

/// What kind of device it is: what a role of a pack is matched with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceKind {
    /// Vendor and device, such as `8086:10c9`; empty where they are not known.
    pub ids: String,
    /// Class, subclass and programming interface; 0 where they are not known.
    pub class: u32,
    /// Its capabilities, sorted.
    pub capabilities: Vec<Capability>,
    /// The size of its largest BAR of memory, in bytes; 0 without one.
    pub largest_bar: u64,
}

/// By what a device is found in a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// Its PCI address.
    Address(Bdf),
    /// Its serial number, of PCI Express or of NVMe, and which function of the card if several have it.
    Serial(String, Option<u8>),
    /// The address of its network interface, in lower case.
    Mac(String),
    /// The slot that its card is in, and which function of the card.
    Slot(String, u8),
}

impl fmt::Display for Identity {
    /// For a sentence: `the slot 3, function 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Address(bdf) => write!(f, "the address {bdf}"),
            Identity::Serial(serial, None) => write!(f, "the serial number {serial}"),
            Identity::Serial(serial, Some(function)) => write!(f, "the serial number {serial}, function {function}"),
            Identity::Mac(mac) => write!(f, "the network address {mac}"),
            Identity::Slot(slot, function) => write!(f, "the slot {slot}, function {function}"),
        }
    }
}
