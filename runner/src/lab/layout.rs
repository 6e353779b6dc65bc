// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a machine's devices are: QEMU's arguments for them, and their addresses in the guest.
//!
//! The firmware numbers the buses behind bridges in the order of the bridges' slots, so that addresses are known before there is a guest.

use std::path::{Path, PathBuf};

use super::device_tree::{SECOND_BUS, SECOND_DOMAIN};
use crate::event::DeviceUsed;
use crate::language::{LabDevice, Machine, Place};
use crate::model::{Bdf, Capability, DeviceKind};

/// The first slot on the root bus for a further device of a model. Virtual functions of an igb are 16 slots behind it.
const FURTHER: u8 = 0x0a;
/// The first slot for a root port; those for the port of `function` and for the bridge come after all of these.
const PORTS: u8 = 0x0e;
const FUNCTIONS: u8 = 0x18;
const BRIDGE: u8 = 0x1e;
/// That of the second host bridge, which is a device of the first.
const SECOND: u8 = 0x1c;
/// What QEMU calls the root bus of the second host bridge.
const SECOND_ROOT: &str = "second";
/// What QEMU calls the IOMMUFD of the host.
const IOMMUFD: &str = "host";

/// A device of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestDevice {
    /// As scenarios and reports know it.
    pub name: String,
    what: What,
    bus: Bus,
    slot: u8,
    function: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Emulated(LabDevice),
    Host(HostDevice),
}

/// A device of the machine that the lab runs on, which is bound to vfio-pci there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// As scenarios and reports know it.
    pub name: String,
    /// Where it is on that machine.
    pub bdf: Bdf,
    /// What it is there.
    pub kind: DeviceKind,
}

/// How many of them there is room for, beside what is at the place `port`.
pub const HOST_DEVICES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bus {
    Root,
    /// Behind a root port; the first has the number 1.
    Port(u8),
    Functions(u8),
    Bridge(u8),
    /// Behind a root port of the second host bridge; the first has the number 1.
    Second(u8),
}

impl Bus {
    /// The PCI domain, and the number there.
    fn number(self) -> (u16, u8) {
        match self {
            Bus::Root => (0, 0),
            Bus::Port(number) | Bus::Functions(number) | Bus::Bridge(number) => (0, number),
            Bus::Second(number) => (SECOND_DOMAIN, SECOND_BUS + number),
        }
    }

    /// What QEMU calls it.
    fn name(self) -> String {
        format!("bus{}", self.number().1)
    }

    /// The bridge that leads to it, as QEMU's argument.
    fn bridge(self) -> Option<String> {
        let (name, (_, number)) = (self.name(), self.number());
        let port = |slot: u8| format!("pcie-root-port,id={name},chassis={number},slot={number},addr={slot:02x}.0");
        match self {
            Bus::Root => None,
            Bus::Port(number) => Some(port(PORTS + number - 1)),
            Bus::Functions(_) => Some(port(FUNCTIONS)),
            Bus::Bridge(_) => Some(format!("pcie-pci-bridge,id={name},addr={BRIDGE:02x}.0")),
            // Linux numbers these buses itself, and would leave some free behind each port that takes devices at run time.
            Bus::Second(slot) => Some(format!("{},bus={SECOND_ROOT},hotplug=off", port(slot))),
        }
    }
}

/// The machine's devices, in its order, and those of the host behind root ports.
pub fn devices(machine: &Machine, host: &[HostDevice]) -> Vec<GuestDevice> {
    // With one of the host's, the usual device is there only if it is asked for.
    let all = if machine.devices.is_empty() && !host.is_empty() { Vec::new() } else { machine.devices() };
    let place = |device: &LabDevice| device.place.unwrap_or(Place::Root);
    let count = |wanted| (1..).zip(all.iter().filter(|(_, device)| place(device) == wanted)).map(|(n, _)| n).last();
    let emulated_ports: u8 = count(Place::Port).unwrap_or(0);
    let ports = emulated_ports + u8::try_from(host.len()).expect("the command line knows how many there can be");
    let functions = ports + 1;
    let bridge = functions + u8::from(count(Place::Function).unwrap_or(0) > 0);
    let mut placed: Vec<GuestDevice> = Vec::new();
    for (name, device) in &all {
        let emulated = || placed.iter().filter_map(GuestDevice::emulated);
        let before = |wanted| emulated().filter(|other| place(other) == wanted).count();
        let before = |wanted| u8::try_from(before(wanted)).expect("the check knows the places' room");
        let (bus, slot, function) = match place(device) {
            Place::Root => {
                let on_root = || placed.iter().filter(|other| other.bus == Bus::Root);
                let is_first = on_root().filter_map(GuestDevice::emulated).all(|other| other.model != device.model);
                let further = on_root().filter(|other| other.slot >= FURTHER).count();
                let further = FURTHER + u8::try_from(further).expect("the check knows the places' room");
                (Bus::Root, if is_first { device.model.slot() } else { further }, 0)
            }
            Place::Port => (Bus::Port(before(Place::Port) + 1), 0, 0),
            Place::SecondIommu => (Bus::Second(before(Place::SecondIommu) + 1), 0, 0),
            Place::Function => (Bus::Functions(functions), 0, before(Place::Function)),
            // The first slot is the bridge's own, for its hotplug controller.
            Place::Bridge => (Bus::Bridge(bridge), before(Place::Bridge) + 1, 0),
        };
        placed.push(GuestDevice { name: name.clone(), what: What::Emulated(device.clone()), bus, slot, function });
    }
    for (port, device) in (emulated_ports + 1..).zip(host) {
        let what = What::Host(device.clone());
        placed.push(GuestDevice { name: device.name.clone(), what, bus: Bus::Port(port), slot: 0, function: 0 });
    }
    placed
}

/// QEMU's arguments for the devices. One with a ROM finds it in the folder, where [`roms`] has put it.
pub(super) fn arguments(machine: &Machine, host: &[HostDevice], folder: &Path) -> Vec<String> {
    let mut devices = devices(machine, host);
    // QEMU puts a device that names no bus on the last root bus that was made.
    devices.sort_by_key(|device| matches!(device.bus, Bus::Second(_)));
    let mut arguments = Vec::new();
    let mut bridges = Vec::new();
    if devices.iter().any(|device| matches!(device.bus, Bus::Port(_) | Bus::Functions(_))) {
        arguments.extend(machine.arch().row().ports.iter().map(|&word| word.to_owned()));
    }
    if !host.is_empty() {
        arguments.extend(["-object".to_owned(), format!("iommufd,id={IOMMUFD}")]);
    }
    for GuestDevice { name, what, bus, slot, function } in &devices {
        if matches!(bus, Bus::Second(1)) {
            let bridge = format!("pxb-pcie,id={SECOND_ROOT},bus_nr={SECOND_BUS},addr={SECOND:02x}.0");
            let iommu = format!("arm-smmuv3,primary-bus={SECOND_ROOT}");
            arguments.extend(["-device".to_owned(), bridge, "-device".to_owned(), iommu]);
        }
        if let Some(bridge) = bus.bridge()
            && !bridges.contains(&bridge)
        {
            arguments.extend(["-device".to_owned(), bridge.clone()]);
            bridges.push(bridge);
        }
        let mut qemu = match what {
            What::Emulated(device) => {
                let (backend, qemu) = device.model.qemu(name, folder);
                arguments.extend(backend);
                qemu
            }
            What::Host(device) => format!("vfio-pci,host={},iommufd={IOMMUFD}", device.bdf),
        };
        if *bus != Bus::Root {
            qemu += &format!(",bus={}", bus.name());
        }
        qemu += &format!(",addr={slot:02x}.{function}");
        if matches!(bus, Bus::Functions(_)) && *function == 0 {
            qemu += ",multifunction=on";
        }
        if let What::Emulated(device) = what {
            if device.ats {
                qemu += ",ats=on";
            }
            if device.rom.is_some() {
                qemu += &format!(",romfile={}", rom_file(name, folder).display());
            }
        }
        arguments.extend(["-device".to_owned(), qemu]);
    }
    arguments
}

/// The ROMs that the devices are to have, by their files in the folder.
pub(super) fn roms(devices: &[GuestDevice], folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let with_rom = devices.iter().filter_map(|it| Some((it, it.emulated()?, it.emulated()?.rom?)));
    with_rom.map(|(it, device, size)| (rom_file(&it.name, folder), rom(device, size.0))).collect()
}

fn rom_file(name: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{name}.rom"))
}

/// A ROM as PCI Firmware 3.3 has it, which no firmware executes: its code is of the type that is for nobody. Its last byte is 0x5a.
fn rom(device: &LabDevice, size: u64) -> Vec<u8> {
    const HEADER: usize = 0x20;
    let kind = device.model.kind();
    let ids = kind.ids.split(':').map(|id| u16::from_str_radix(id, 16).unwrap_or(0));
    let mut rom = vec![0xa5; usize::try_from(size).expect("16 MiB at most")];
    rom[..2].copy_from_slice(&[0x55, 0xaa]);
    let data = device.rom_data.and_then(|data| u16::try_from(data.0).ok()).unwrap_or(HEADER as u16);
    rom[0x18..0x1a].copy_from_slice(&data.to_le_bytes());
    let mut header = b"PCIR".to_vec();
    ids.for_each(|id| header.extend(id.to_le_bytes()));
    header.extend([0, 0, 24, 0, 0]);
    header.extend(&kind.class.to_le_bytes()[..3]);
    header.extend(u16::try_from(size / 512).unwrap_or(u16::MAX).to_le_bytes());
    header.extend([0, 0, 0xff, 0x80, 0, 0]);
    rom[HEADER..HEADER + header.len()].copy_from_slice(&header);
    if let Some(last) = rom.last_mut() {
        *last = 0x5a;
    }
    rom
}

impl GuestDevice {
    fn emulated(&self) -> Option<&LabDevice> {
        match &self.what {
            What::Emulated(device) => Some(device),
            What::Host(_) => None,
        }
    }

    /// Its address in the guest, such as `0000:00:03.0`.
    pub fn bdf(&self) -> String {
        let Self { bus, slot, function, .. } = self;
        let (domain, bus) = bus.number();
        format!("{domain:04x}:{bus:02x}:{slot:02x}.{function}")
    }

    /// As runs know it. They have to know this before there is a guest: a role's cases are planned for each device that fits it.
    pub fn used(&self) -> DeviceUsed {
        let kind = match &self.what {
            What::Emulated(device) => {
                let mut kind = device.model.kind();
                if device.ats {
                    kind.capabilities.push(Capability::Ats);
                    kind.capabilities.sort();
                }
                kind
            }
            // QEMU does not show these two (vfio_add_ext_cap in its hw/vfio/pci.c): a guest cannot make virtual functions.
            What::Host(device) => {
                let mut kind = device.kind.clone();
                kind.capabilities.retain(|it| ![Capability::Sriov, Capability::Ari].contains(it));
                kind
            }
        };
        DeviceUsed { name: self.name.clone(), ..DeviceUsed::default() }.of_kind(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Source;

    fn read(text: &str) -> Machine {
        Machine::read(Source::new("a.lab.yaml", text)).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
    }

    fn machine(text: &str) -> Vec<GuestDevice> {
        devices(&read(text), &[])
    }

    #[test]
    fn every_device_has_an_address_of_its_own_and_the_first_of_a_model_the_usual_one() {
        let all = machine(
            "devices:\n  a: { model: edu }\n  b: { model: edu }\n  c: { model: e1000e, place: function }\n  d: { model: edu, place: port }\n  \
             e: { model: edu, place: bridge }\n  f: { model: nvme, place: function }\n  g: { model: ivshmem, place: bridge }\n  \
             h: { model: edu, place: port }\n  i: { model: igb }\n",
        );
        let found: Vec<String> = all.iter().map(|device| format!("{} {}", device.name, &device.bdf()[5..])).collect();
        assert_eq!(
            found,
            [
                "a 00:03.0",
                "b 00:0a.0",
                "c 03:00.0",
                "d 01:00.0",
                "e 04:01.0",
                "f 03:00.1",
                "g 04:02.0",
                "h 02:00.0",
                "i 00:06.0"
            ]
        );
        assert!(all.iter().all(|device| device.bdf().parse::<Bdf>().is_ok()));
        assert_eq!(machine("devices: { e: { model: edu, place: bridge } }")[0].bdf(), "0000:01:01.0");
    }

    #[test]
    fn a_bridge_is_there_once_and_before_its_devices() {
        let all = read(
            "devices:\n  a: { model: edu, place: bridge }\n  b: { model: ivshmem, place: bridge }\n  c: { model: edu, place: port, rom: 2KiB }\n  \
             d: { model: e1000e, place: function }\n  e: { model: nvme, place: function }\n",
        );
        assert_eq!(
            arguments(&all, &[], Path::new("/run")).join(" "),
            "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -device pcie-pci-bridge,id=bus3,addr=1e.0 -device edu,dma_mask=0xffffffffffffffff,bus=bus3,addr=01.0 \
             -object memory-backend-memfd,id=shared-b,size=64M,share=on -device ivshmem-plain,memdev=shared-b,bus=bus3,addr=02.0 \
             -device pcie-root-port,id=bus1,chassis=1,slot=1,addr=0e.0 \
             -device edu,dma_mask=0xffffffffffffffff,bus=bus1,addr=00.0,romfile=/run/c.rom \
             -device pcie-root-port,id=bus2,chassis=2,slot=2,addr=18.0 -device e1000e,bus=bus2,addr=00.0,multifunction=on \
             -blockdev driver=null-co,node-name=disk-e,size=67108864,read-zeroes=on \
             -device nvme,serial=e,drive=disk-e,bus=bus2,addr=00.1"
        );
        let roms = roms(&devices(&all, &[]), Path::new("/run"));
        assert_eq!((roms.len(), roms[0].1.len(), &roms[0].0), (1, 2 << 10, &PathBuf::from("/run/c.rom")));
        // Signature, pointer to the header, ids, length, and the mark of the last image (PCI Firmware 3.3, 5.1).
        let bytes = &roms[0].1;
        assert_eq!(
            (&bytes[..2], bytes[0x18], &bytes[0x20..0x28]),
            (&[0x55, 0xaa][..], 0x20, &b"PCIR\x34\x12\xe8\x11"[..])
        );
        assert_eq!((bytes[0x2a], bytes[0x30], bytes[0x35], bytes[2047]), (24, 4, 0x80, 0x5a));
    }

    #[test]
    fn a_second_iommu_comes_last_with_the_devices_behind_it() {
        let machine = read(
            "arch: arm64\ndevices: { a: { model: edu, place: second-iommu }, b: { model: edu }, c: { model: edu, place: second-iommu } }",
        );
        let all = devices(&machine, &[]);
        let found: Vec<String> = all.iter().map(GuestDevice::bdf).collect();
        assert_eq!(found, ["0001:41:00.0", "0000:00:03.0", "0001:42:00.0"]);
        assert_eq!(
            arguments(&machine, &[], Path::new("/run")).join(" "),
            "-device edu,dma_mask=0xffffffffffffffff,addr=03.0 \
             -device pxb-pcie,id=second,bus_nr=64,addr=1c.0 -device arm-smmuv3,primary-bus=second \
             -device pcie-root-port,id=bus65,chassis=65,slot=65,addr=01.0,bus=second,hotplug=off \
             -device edu,dma_mask=0xffffffffffffffff,bus=bus65,addr=00.0 \
             -device pcie-root-port,id=bus66,chassis=66,slot=66,addr=02.0,bus=second,hotplug=off \
             -device edu,dma_mask=0xffffffffffffffff,bus=bus66,addr=00.0"
        );
    }

    #[test]
    fn a_device_of_the_host_is_behind_a_port_and_shows_what_qemu_shows_of_it() {
        let kind = DeviceKind { capabilities: vec![Capability::Flr, Capability::Sriov], ..DeviceKind::default() };
        let host = HostDevice { name: "nic".to_owned(), bdf: "0000:5e:00.1".parse().unwrap(), kind };
        let alone = devices(&Machine::default(), std::slice::from_ref(&host));
        assert_eq!(alone.iter().map(GuestDevice::bdf).collect::<Vec<_>>(), ["0000:01:00.0"]);
        assert_eq!(alone[0].used().capabilities, [Capability::Flr]);
        let machine = read("devices: { a: { model: edu, place: port }, b: { model: edu, place: bridge } }");
        let host = [host];
        let addresses: Vec<_> = devices(&machine, &host).iter().map(|it| format!("{} {}", it.name, it.bdf())).collect();
        assert_eq!(addresses, ["a 0000:01:00.0", "b 0000:03:01.0", "nic 0000:02:00.0"]);
        let line = arguments(&machine, &host, Path::new("/run")).join(" ");
        assert!(line.contains(" -object iommufd,id=host "), "{line}");
        assert!(line.ends_with(" -device vfio-pci,host=0000:5e:00.1,iommufd=host,bus=bus2,addr=00.0"), "{line}");
    }

    #[test]
    fn a_device_has_ats_and_a_rom_that_misleads_if_it_is_to() {
        let machine = read(
            "devices: { a: { model: edu, rom: 2KiB, rom_data: 0x8000 }, b: { model: virtio-net, place: function, ats: true } }",
        );
        let all = devices(&machine, &[]);
        assert_eq!(roms(&all, Path::new("/run"))[0].1[0x18..0x1a], [0x00, 0x80]);
        let line = arguments(&machine, &[], Path::new("/run")).join(" ");
        assert!(line.ends_with(",bus=bus1,addr=00.0,multifunction=on,ats=on"), "{line}");
        let has_ats = |device: &GuestDevice| device.used().capabilities.contains(&Capability::Ats);
        assert_eq!([has_ats(&all[0]), has_ats(&all[1])], [false, true]);
    }

    #[test]
    fn the_usual_devices_are_where_they_always_were() {
        for (model, expected) in [
            ("edu", "-device edu,dma_mask=0xffffffffffffffff,addr=03.0"),
            ("pci-testdev", "-device pci-testdev,membar=2G,addr=04.0"),
            ("ivshmem", "share=on -device ivshmem-plain,memdev=shared-it,addr=05.0"),
            ("igb", "-device igb,addr=06.0"),
            ("nvme", "read-zeroes=on -device nvme,serial=it,drive=disk-it,addr=07.0"),
            ("e1000e", "-device e1000e,addr=08.0"),
            ("iommu-testdev", "-device iommu-testdev,addr=19.0"),
            ("vga", "-device VGA,addr=1b.0"),
            (
                "virtio-net",
                "/run/it.sock -device virtio-net-pci,netdev=loop-it,disable-legacy=on,iommu_platform=on,romfile=,addr=09.0",
            ),
        ] {
            let line =
                arguments(&read(&format!("devices: {{ it: {{ model: {model} }} }}")), &[], Path::new("/run")).join(" ");
            assert!(line.ends_with(expected), "{line}");
        }
    }
}
