// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device: what has it, who uses it, and whether it can be reset.

use super::{Candidate, Fact, Root};
use crate::host::bind::{VFIO, in_the_way_in, is_bridge, listed};
use crate::host::pci::{PciDevice, attribute, driver_in};
use crate::host::{taken::Lock, use_of};
use crate::model::Bdf;

/// What devices of a class are (`include/linux/pci_ids.h`).
const KINDS: [(u8, &str); 9] = [
    (0x01, "storage"),
    (0x02, "network"),
    (0x03, "display"),
    (0x04, "sound"),
    (0x07, "serial"),
    (0x08, "system"),
    (0x0c, "bus"),
    (0x0d, "wireless"),
    (0x12, "accelerator"),
];

pub fn facts(root: &Root, bdf: Bdf) -> Vec<Fact> {
    if !root.join(attribute(bdf, "vendor")).exists() {
        return vec![Fact::blocks("device", "there is no such PCI device").mend("vfiospec devices")];
    }
    if is_bridge(root, bdf) {
        return vec![
            Fact::blocks("device", "it is a PCI bridge, and vfio-pci takes none").mend("name a device behind it"),
        ];
    }
    let driver = match driver_in(root, bdf) {
        Some(driver) if driver == VFIO => Fact::good("device", "it is on vfio-pci"),
        Some(driver) => Fact::good("device", format!("{driver} has it, and gets it back after a run")),
        None => Fact::good("device", "no driver has it"),
    };
    let used = match used_by(root, bdf) {
        Some(by) => Fact::blocks("use", format!("it is in use: {}", by.0)).mend(by.1),
        None => Fact::good("use", "nothing uses it"),
    };
    let resets = resets(root, bdf);
    let reset = match resets.is_empty() {
        true => Fact::will_do("reset", "the kernel has no way to reset it: what a case leaves in its registers stays"),
        false => Fact::good("reset", format!("the kernel can reset it: {}", resets.join(", "))),
    };
    vec![driver, used, reset]
}

/// What uses it, and what to do about that.
fn used_by(root: &Root, bdf: Bdf) -> Option<(String, String)> {
    if let Err(holder) = Lock::take(root, bdf) {
        return Some((format!("{holder} has it"), "wait until that has ended".to_owned()));
    }
    let found = match driver_in(root, bdf).as_deref() {
        Some(VFIO) => use_of::opened(root, bdf),
        _ => use_of::find(root, bdf),
    };
    let text = found?.to_string();
    let (what, mend) = text.split_once("; ").or_else(|| text.split_once(", then: ")).unwrap_or((&text, ""));
    Some((what.to_owned(), mend.to_owned()))
}

fn resets(root: &Root, bdf: Bdf) -> Vec<String> {
    let text = root.text(attribute(bdf, "reset_method")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// What there is to say of a device in a list; `None` for a bridge.
pub fn candidate(root: &Root, bdf: Bdf) -> Option<Candidate> {
    const BRIDGES: u32 = 0x06;
    let device = PciDevice::read_in(root, bdf).filter(|device| device.class >> 16 != BRIDGES)?;
    if is_bridge(root, bdf) {
        return None;
    }
    let class = (device.class >> 16) as u8;
    let kind = KINDS.iter().find(|(known, _)| *known == class).map_or("other", |(_, kind)| *kind);
    let mut obstacles = Vec::new();
    if device.group.is_none() {
        obstacles.push("no IOMMU is in front of it".to_owned());
    }
    obstacles.extend(used_by(root, bdf).map(|(what, _)| what));
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
