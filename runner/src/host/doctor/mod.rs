// SPDX-License-Identifier: MIT OR Apache-2.0
//! What decides whether devices of this machine can be tested, found before anything is touched.
//!
//! Each room looks at one thing and tells facts: whether it is good, will do, or blocks, and what mends it. To add one, write a file with a
//! function that tells facts, and name it in [`of_host`] or [`of_device`].

mod device;
mod firmware;
mod group;
mod hardware;
mod kernel;
mod limits;
mod path;
mod rights;

use serde::Serialize;

use super::{Mend, Root};
use crate::{model::Bdf, uapi::system};

/// What a fact means for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Nothing to do.
    Good,
    /// Cases run, and some are skipped or prove less.
    WillDo,
    /// No case can run until it is mended.
    Blocks,
}

impl Grade {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::WillDo => "will do",
            Grade::Blocks => "blocks",
        }
    }
}

/// A fact of this machine, or of one of its devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about, such as `iommu` or `group`.
    pub about: &'static str,
    /// The device that it is about, if it is about one.
    pub device: Option<String>,
    pub grade: Grade,
    /// In one sentence.
    pub says: String,
    /// What mends it; `None` where nothing has to be done, or nothing can.
    pub mend: Option<Mend>,
    /// Whether `run --load-modules` mends it, too.
    pub loadable: bool,
}

impl Fact {
    fn new(about: &'static str, grade: Grade, says: impl Into<String>) -> Fact {
        Fact { about, device: None, grade, says: says.into(), mend: None, loadable: false }
    }

    fn good(about: &'static str, says: impl Into<String>) -> Fact {
        Fact::new(about, Grade::Good, says)
    }

    fn will_do(about: &'static str, says: impl Into<String>) -> Fact {
        Fact::new(about, Grade::WillDo, says)
    }

    fn blocks(about: &'static str, says: impl Into<String>) -> Fact {
        Fact::new(about, Grade::Blocks, says)
    }

    fn mend(self, mend: Mend) -> Fact {
        Fact { mend: Some(mend), ..self }
    }

    /// By a command that takes root.
    fn by_root(self, command: impl Into<String>) -> Fact {
        let command = command.into();
        self.mend(if system::is_root() { Mend::Run(command) } else { Mend::AsRoot(command) })
    }

    /// Also by `run --load-modules`.
    fn loadable(self) -> Fact {
        Fact { loadable: true, ..self }
    }

    /// By something that no command does.
    fn by_hand(self, what: impl Into<String>) -> Fact {
        self.mend(Mend::Do(what.into()))
    }
}

/// The facts of the machine, and of these devices as if they were tested together.
pub fn examine(devices: &[Bdf]) -> Vec<Fact> {
    examine_in(&Root::default(), devices)
}

/// The facts of the machine.
pub fn host() -> Vec<Fact> {
    of_host(&Root::default())
}

/// The facts of the IOMMU group of a device, and of its way to memory. They are read without a look at who uses the device.
pub fn group(bdf: Bdf) -> Vec<Fact> {
    of_group(&Root::default(), bdf, &[bdf])
}

fn examine_in(root: &Root, devices: &[Bdf]) -> Vec<Fact> {
    let mut facts = of_host(root);
    facts.extend(devices.iter().flat_map(|bdf| of_device(root, *bdf, devices)));
    facts
}

fn of_host(root: &Root) -> Vec<Fact> {
    [firmware::facts, kernel::facts, limits::facts, rights::facts].into_iter().flat_map(|room| room(root)).collect()
}

fn of_group(root: &Root, bdf: Bdf, tested: &[Bdf]) -> Vec<Fact> {
    let mut facts = group::facts(root, bdf, tested);
    facts.extend(path::acs(root, bdf).into_iter().chain(path::width(root, bdf)));
    facts
}

fn of_device(root: &Root, bdf: Bdf, tested: &[Bdf]) -> Vec<Fact> {
    // The others read registers, which wakes the device.
    let power = hardware::power(root, bdf);
    let facts = match device::unfit(root, bdf) {
        // Its group and its files say nothing then.
        Some(fact) => vec![fact],
        None => [
            device::facts(root, bdf),
            power.into_iter().chain(hardware::bars(root, bdf)).collect(),
            of_group(root, bdf, tested),
            rights::of_device(root, bdf),
        ]
        .concat(),
    };
    facts.into_iter().map(|fact| Fact { device: Some(bdf.to_string()), ..fact }).collect()
}

/// Whether something is not loaded that a run can load.
pub fn can_load(facts: &[Fact]) -> bool {
    facts.iter().any(|fact| fact.loadable)
}

/// A device that could be tested, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its address, as `--device` takes it.
    pub device: String,
    /// Vendor and device, such as `8086:10c9`.
    pub ids: String,
    /// What it is by its class, such as `network`.
    pub kind: &'static str,
    pub driver: Option<String>,
    pub group: Option<u32>,
    /// How the kernel can reset it.
    pub resets: Vec<String>,
    /// Why it cannot be tested as it is; empty if it can.
    pub obstacles: Vec<String>,
}

impl Candidate {
    /// For people: the option to type, or what is in the way.
    pub fn described(&self) -> String {
        let Candidate { device, ids, kind, driver, group, resets, obstacles } = self;
        let driver = driver.as_deref().unwrap_or("none");
        let group = group.map_or("none".to_owned(), |group| group.to_string());
        let resets = if resets.is_empty() { "no reset".to_owned() } else { format!("resets by {}", resets.join(", ")) };
        let facts = format!("{device}  {kind} {ids}, driver {driver}, group {group}, {resets}");
        match obstacles.is_empty() {
            true => format!("--device {facts}"),
            false => format!("in the way: {facts}\n    {}", obstacles.join("\n    ")),
        }
    }
}

/// The devices of this machine that are no bridges, those first that can be tested at once; of these, those that are no disks, and can be
/// reset.
pub fn candidates() -> Vec<Candidate> {
    candidates_in(&Root::default())
}

fn candidates_in(root: &Root) -> Vec<Candidate> {
    let names = root.names("sys/bus/pci/devices");
    let all: Vec<Bdf> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let mut candidates: Vec<Candidate> = all.into_iter().filter_map(|bdf| device::candidate(root, bdf)).collect();
    // A disk that nobody has mounted now may have what somebody keeps.
    candidates.sort_by_key(|one| {
        (!one.obstacles.is_empty(), one.group.is_none(), one.kind == device::STORAGE, one.resets.is_empty())
    });
    candidates
}

#[cfg(test)]
mod tests {
    use super::super::use_of::tests::Tree;
    use super::*;

    /// A machine on which a device can be tested.
    fn machine(name: &str) -> Tree {
        let tree = Tree::new(name).driver("e1000e");
        tree.put("sys/class/iommu/dmar0/name", "");
        tree.put("sys/firmware/acpi/tables/DMAR", "");
        tree.put("proc/interrupts", "  24:  0  0  IR-PCI-MSI-0000:03:00.0  0-edge  eth0\n");
        tree.put("sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "65535\n");
        tree.put("dev/vfio/vfio", "");
        tree.put("dev/iommu", "");
        tree.put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "16\n");
        tree.put("sys/kernel/iommu_groups/7/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
        tree.link("sys/kernel/iommu_groups/7/devices/0000:03:00.0", "sys/bus/pci/devices/0000:03:00.0");
        tree.file("reset_method", "flr bus\n").file("device", "0x10d3\n").file("class", "0x020000\n")
    }

    /// What blocks, each with what mends it.
    fn blocking(tree: &Tree) -> Vec<(&'static str, String)> {
        let all = examine_in(&tree.root(), &[tree.bdf()]);
        // What this process may is not the tree's.
        let blocks = all.into_iter().filter(|fact| fact.grade == Grade::Blocks && fact.about != "rights");
        blocks.map(|fact| (fact.about, fact.mend.map(|mend| mend.to_string()).unwrap_or_default())).collect()
    }

    #[test]
    fn a_machine_that_is_fit_has_no_obstacle() {
        let tree = machine("fit");
        assert_eq!(blocking(&tree), []);
        let facts = of_group(&tree.root(), tree.bdf(), &[]);
        let reserved = facts.into_iter().find(|fact| fact.about == "reserved").map(|fact| fact.says);
        assert_eq!(reserved.as_deref(), Some("no program maps 0xfee00000 to 0xfeefffff (interrupts)"));
        let all = candidates_in(&tree.root());
        assert_eq!(
            (all.len(), &all[0].obstacles[..], &all[0].resets[..]),
            (1, &[][..], &["flr".into(), "bus".into()][..])
        );
    }

    #[test]
    fn a_disk_that_nothing_uses_is_no_first_choice() {
        let tree = machine("disk");
        for (file, text) in
            [("vendor", "0x1b36\n"), ("device", "0x0010\n"), ("class", "0x010802\n"), ("reset_method", "flr\n")]
        {
            tree.put(&format!("sys/bus/pci/devices/0000:02:00.0/{file}"), text);
        }
        tree.link("sys/bus/pci/devices/0000:02:00.0/iommu_group", "sys/kernel/iommu_groups/8");
        tree.put("sys/kernel/iommu_groups/8/type", "DMA\n");
        let tree = tree.file("reset_method", "");
        let all = candidates_in(&tree.root());
        assert_eq!(all.iter().map(|one| one.kind).collect::<Vec<_>>(), ["network", "storage"]);
        assert!(all.iter().all(|one| one.obstacles.is_empty() && one.group.is_some()), "{all:?}");
    }

    #[test]
    fn what_blocks_is_named_with_what_mends_it() {
        let told = |tree: Tree, about: &str, mend: &str| {
            let all = blocking(&tree);
            assert!(all.iter().any(|(a, m)| *a == about && m.contains(mend)), "{about}, {mend}: {all:?}");
        };
        told(machine("no-iommu-on").without("sys/class/iommu"), "iommu", "intel_iommu=on");
        let off = machine("iommu-off").without("sys/class/iommu");
        off.put("proc/cmdline", "quiet iommu=off\n");
        told(off, "iommu", "boot without iommu=off");
        told(machine("no-vfio-pci").without("sys/bus/pci/drivers/vfio-pci"), "vfio-pci", "CONFIG_VFIO_PCI");
        told(machine("no-backend").without("dev").without("sys/module"), "backends", "CONFIG_IOMMUFD");
        let unloaded = machine("unloaded").without("dev").without("sys/module");
        let list = format!("lib/modules/{}/modules.dep", system::release());
        unloaded.put(&list, "kernel/drivers/vfio/vfio_iommu_type1.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n");
        told(unloaded, "backends", "modprobe vfio_iommu_type1");
        let unsafe_interrupts = machine("interrupts");
        unsafe_interrupts.put("proc/interrupts", "  24:  0  0  PCI-MSI-0000:03:00.0  0-edge  eth0\n");
        if cfg!(target_arch = "x86_64") {
            told(unsafe_interrupts, "interrupts", "allow_unsafe_interrupts");
        }
        let up = machine("up").file("net/eth0/operstate", "up\n");
        assert!(!candidates_in(&up.root())[0].obstacles.is_empty());
        told(up, "use", "ip link set eth0 down");
        let shared = machine("shared");
        shared.put("sys/bus/pci/devices/0000:03:00.1/vendor", "0x8086\n");
        shared.link("sys/bus/pci/devices/0000:03:00.1/driver", "sys/bus/pci/drivers/e1000e");
        shared.link("sys/kernel/iommu_groups/7/devices/0000:03:00.1", "sys/bus/pci/devices/0000:03:00.1");
        told(shared, "group", "--device e1000e=0000:03:00.1");
        let reserved = machine("reserved");
        reserved.put("sys/kernel/iommu_groups/7/reserved_regions", "0x0000000000000000 0x0000000000ffffff direct\n");
        told(reserved, "reserved", "");
        told(machine("no-group").without("sys/kernel/iommu_groups"), "group", "");
        let mut bridge = vec![0; 64];
        bridge[0x0e] = 1;
        let port = machine("port");
        port.put_bytes("sys/bus/pci/devices/0000:03:00.0/config", &bridge);
        assert_eq!(candidates_in(&port.root()), [], "a bridge is no device to test");
        told(port, "device", "vfiospec devices");
        assert_eq!(
            blocking(&machine("no-device").without("sys/bus/pci/devices")),
            [("device", "vfiospec devices".to_owned())]
        );
    }
}
