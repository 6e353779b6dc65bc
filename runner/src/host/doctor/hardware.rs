// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device is made of: whether it is awake, and which of its BARs a program can map.

use super::{Fact, Root};
use crate::host::in_the_way::find_anew;
use crate::host::pci::{attribute, resources};
use crate::model::{Bdf, size};
use crate::uapi::system;

/// Whether it answers; `None` before Linux 5.11, which shows no power state.
///
/// To read its configuration space wakes a device, so that this is to be asked first.
pub fn power(root: &Root, bdf: Bdf) -> Option<Fact> {
    let state = root.text(attribute(bdf, "power_state"))?;
    // What does not answer reads as ones; a virtual function does so in its first bytes only.
    let config = std::fs::read(root.join(attribute(bdf, "config"))).unwrap_or_default();
    let is_silent = config.len() >= 64 && config[..64].iter().all(|byte| *byte == 0xff);
    let file = |name: &str| root.text(attribute(bdf, name));
    let says = match (is_silent, file("power/runtime_status").as_deref()) {
        (true, _) => format!("it does not answer: all of its registers read as ones (power state {state})"),
        (_, Some("error")) => format!("the kernel failed to wake it, and it cannot be opened (power state {state})"),
        _ => return Some(Fact::good("power", awake(&state, file("d3cold_allowed").as_deref() == Some("0")))),
    };
    Some(
        Fact::blocks("power", says)
            .by_root(format!("{} # if that does not help: switch the machine off and on", find_anew(bdf))),
    )
}

fn awake(state: &str, keeps_power: bool) -> String {
    let says = match state {
        "D0" => "it is awake (D0)".to_owned(),
        "D1" | "D2" | "D3hot" | "D3cold" => format!("it sleeps ({state}), and wakes when it is opened"),
        other => format!("its power state is not known ({other})"),
    };
    if keeps_power { format!("{says}, and D3cold is not allowed") } else { says }
}

/// Which BARs can be mapped (`vfio_pci_probe_mmaps`); ports are not memory, and are not named.
pub fn bars(root: &Root, bdf: Bdf) -> Option<Fact> {
    let text = root.text(attribute(bdf, "resource"))?;
    let (mut mappable, mut small, mut shared, mut without_address) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, bar) in resources(&text).take(6).enumerate().filter(|(_, bar)| bar.is_memory() && bar.size > 0) {
        let page = system::page_size();
        let list = match () {
            () if !bar.has_address() => &mut without_address,
            () if bar.size >= page => &mut mappable,
            // If something else is in the rest of its page, the kernel refuses this one, too: only root sees that.
            () if bar.start.is_multiple_of(page) => &mut small,
            () => &mut shared,
        };
        list.push(format!("{number} ({}{})", size(bar.size), if bar.size < 1024 { " bytes" } else { "" }));
    }
    let can_map = !mappable.is_empty() || !small.is_empty();
    let parts = [
        (mappable, "can be mapped"),
        (small, "can be mapped if nothing else is in the page"),
        (shared, "not, because it begins within a page"),
        (without_address, "not, because it has no address"),
    ];
    let told =
        parts.iter().filter(|(list, _)| !list.is_empty()).map(|(list, what)| format!("{} {what}", list.join(", ")));
    let says = told.collect::<Vec<_>>().join("; ");
    let fact = match (can_map, says.is_empty()) {
        (true, _) => Fact::good("bars", says),
        (false, true) => Fact::will_do("bars", "it has no memory to map: cases that map a BAR are skipped"),
        (false, false) => Fact::will_do("bars", format!("{says}: cases that map a BAR are skipped")),
    };
    match parts[3].0.is_empty() {
        true => Some(fact),
        false => Some(
            Fact { grade: super::Grade::WillDo, ..fact }
                .by_hand("boot with pci=realloc, so that the kernel gives addresses that the firmware did not"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::use_of::tests::Tree;
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_device_that_does_not_answer_blocks_and_one_that_sleeps_does_not() {
        let told = |tree: &Tree| power(&tree.root(), tree.bdf()).map(|fact| (fact.grade, fact.says));
        let tree = Tree::new("power");
        assert_eq!(told(&tree), None);
        let tree = tree.file("power_state", "D3cold\n").file("d3cold_allowed", "1\n");
        assert_eq!(told(&tree), Some((Grade::Good, "it sleeps (D3cold), and wakes when it is opened".into())));
        let tree = tree.file("power_state", "D0\n").file("d3cold_allowed", "0\n");
        let says = "it is awake (D0), and D3cold is not allowed";
        assert_eq!(told(&tree), Some((Grade::Good, says.into())));
        // A virtual function: only its ids read as ones.
        let mut config = vec![0xff; 4];
        config.resize(64, 0);
        tree.put_bytes("sys/bus/pci/devices/0000:03:00.0/config", &config);
        assert_eq!(told(&tree).map(|(grade, _)| grade), Some(Grade::Good));
        let tree = tree.file("power/runtime_status", "error\n");
        assert_eq!(told(&tree).map(|(grade, _)| grade), Some(Grade::Blocks));
        let tree = tree.file("power/runtime_status", "active\n").file("power_state", "D3cold\n");
        tree.put_bytes("sys/bus/pci/devices/0000:03:00.0/config", &[0xff; 64]);
        let fact = power(&tree.root(), tree.bdf()).expect("a fact");
        assert_eq!(fact.grade, Grade::Blocks);
        assert!(fact.mend.expect("a command").to_string().contains("/sys/bus/pci/devices/0000:03:00.0/remove"));
    }

    #[test]
    fn bars_are_told_by_whether_they_can_be_mapped() {
        let tree = Tree::new("bars");
        assert_eq!(bars(&tree.root(), tree.bdf()), None);
        let told = |lines: &[(u64, u64, u64)]| {
            let text: String = lines.iter().map(|(a, b, c)| format!("{a:#018x} {b:#018x} {c:#018x}\n")).collect();
            tree.put("sys/bus/pci/devices/0000:03:00.0/resource", &text);
            let fact = bars(&tree.root(), tree.bdf()).expect("a fact");
            (fact.grade, fact.says, fact.mend.is_some())
        };
        let none = (0, 0, 0);
        let igb = [(0xfebc_0000, 0xfebd_ffff, 0x4_0200), none, (0xc000, 0xc01f, 0x4_0101)];
        assert_eq!(told(&igb), (Grade::Good, "0 (128KiB) can be mapped".into(), false));
        let small = [(0xfebf_1000, 0xfebf_10ff, 0x4_0200), (0xfebf_2100, 0xfebf_21ff, 0x4_0200)];
        let says = "0 (256 bytes) can be mapped if nothing else is in the page; 1 (256 bytes) not, because it begins within a page";
        assert_eq!(told(&small), (Grade::Good, says.into(), false));
        let says = "0 (1MiB) not, because it has no address: cases that map a BAR are skipped";
        assert_eq!(told(&[(0, 0xf_ffff, 0x2004_0200)]), (Grade::WillDo, says.into(), true));
        assert_eq!(told(&[(0xc000, 0xc01f, 0x4_0101)]).0, Grade::WillDo, "ports are no memory");
        // What follows the six BARs is the ROM.
        let rom = [none, none, none, none, none, none, (0xfe00_0000, 0xfeff_ffff, 0x4_6200)];
        assert_eq!(
            told(&rom),
            (Grade::WillDo, "it has no memory to map: cases that map a BAR are skipped".into(), false)
        );
    }
}
