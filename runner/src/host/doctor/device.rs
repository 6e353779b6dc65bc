// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device: what has it, who uses it, and whether it can be reset.

use super::{Candidate, Fact, Mend, Root};
use crate::host::bind::VFIO;
use crate::host::in_the_way::{bridge, in_the_way_in, listed};
use crate::host::pci::{PciDevice, attribute, driver_in};
use crate::host::taken::{Holder, Left, Lock, Note};
use crate::host::use_of::{self, Use};
use crate::host::{grant, link};
use crate::model::Bdf;

pub const STORAGE: &str = "storage";

/// What devices of a class are (`include/linux/pci_ids.h`).
const KINDS: [(u8, &str); 9] = [
    (0x01, STORAGE),
    (0x02, "network"),
    (0x03, "display"),
    (0x04, "sound"),
    (0x07, "serial"),
    (0x08, "system"),
    (0x0c, "bus"),
    (0x0d, "wireless"),
    (0x12, "accelerator"),
];

/// Why the device cannot be tested: it is not there, or it is a bridge.
pub fn unfit(root: &Root, bdf: Bdf) -> Option<Fact> {
    let why = match root.join(attribute(bdf, "vendor")).exists() {
        false => "there is no such PCI device".to_owned(),
        true => format!("it is {}", bridge(root, bdf)?),
    };
    Some(Fact::blocks("device", why).mend(Mend::Run("vfiospec devices".into())))
}

pub fn facts(root: &Root, bdf: Bdf) -> Vec<Fact> {
    let driver = match (driver_in(root, bdf), Note::about(root, bdf)) {
        (Some(driver), Left::Note(_) | Left::Unreadable(..)) if driver == VFIO && Lock::take(root, bdf).is_ok() => {
            Fact::will_do("device", "a run that was killed left it on vfio-pci")
                .by_root(format!("vfiospec release {bdf}"))
        }
        (Some(driver), _) if driver == VFIO => match grant::user_in(root, bdf) {
            Some(user) => Fact::good("device", format!("it is on vfio-pci, and was handed over to {user}")),
            None => Fact::good("device", "it is on vfio-pci"),
        },
        (Some(driver), _) => match link::up(root, bdf) {
            up if up.is_empty() => Fact::good("device", format!("{driver} has it, and gets it back after a run")),
            up => Fact::good(
                "device",
                format!("{driver} has it, and gets it back after a run, with {} up as now", up.join(", ")),
            ),
        },
        (None, _) => Fact::good("device", "no driver has it"),
    };
    let used = match used_by(root, bdf) {
        Some(User::Vfiospec(holder)) => {
            Fact::blocks("use", format!("it is in use: {holder} has it")).by_hand("wait until that has ended")
        }
        Some(User::Other(found)) => {
            let fact = Fact::blocks("use", format!("it is in use: {found}"));
            match found.mend() {
                Mend::Run(command) | Mend::AsRoot(command) => fact.by_root(command),
                Mend::Do(what) => fact.by_hand(what),
            }
        }
        None => Fact::good("use", "nothing uses it"),
    };
    let resets = resets(root, bdf);
    let reset = match resets.is_empty() {
        true => Fact::will_do("reset", "the kernel has no way to reset it: what a case leaves in its registers stays"),
        false => Fact::good("reset", format!("the kernel can reset it: {}", resets.join(", "))),
    };
    vec![driver, used, reset]
}

enum User {
    Vfiospec(Holder),
    Other(Use),
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            User::Vfiospec(holder) => write!(f, "{holder} has it"),
            User::Other(found) => found.fmt(f),
        }
    }
}

fn used_by(root: &Root, bdf: Bdf) -> Option<User> {
    if let Err(holder) = Lock::take(root, bdf) {
        return Some(User::Vfiospec(holder));
    }
    let found = match driver_in(root, bdf).as_deref() {
        Some(VFIO) => use_of::opened(root, bdf),
        _ => use_of::find(root, bdf),
    };
    found.map(User::Other)
}

fn resets(root: &Root, bdf: Bdf) -> Vec<String> {
    let text = root.text(attribute(bdf, "reset_method")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// What there is to say of a device in a list; `None` for a bridge.
pub fn candidate(root: &Root, bdf: Bdf) -> Option<Candidate> {
    const BRIDGES: u32 = 0x06;
    let device = PciDevice::read_in(root, bdf).filter(|device| device.class >> 16 != BRIDGES)?;
    if bridge(root, bdf).is_some() {
        return None;
    }
    let class = (device.class >> 16) as u8;
    let kind = KINDS.iter().find(|(known, _)| *known == class).map_or("other", |(_, kind)| *kind);
    let mut obstacles = Vec::new();
    if device.group.is_none() {
        obstacles.push("no IOMMU is in front of it".to_owned());
    }
    obstacles.extend(used_by(root, bdf).map(|user| user.to_string()));
    let others = in_the_way_in(root, bdf, &[]);
    if !others.is_empty() {
        obstacles.push(format!("its group has devices that other drivers have: {}", listed(&others)));
    }
    Some(Candidate {
        device: bdf.to_string(),
        ids: device.ids(),
        kind,
        driver: device.driver.clone(),
        group: device.group,
        resets: resets(root, bdf),
        obstacles,
    })
}
