// SPDX-License-Identifier: MIT OR Apache-2.0
//! What QEMU emulates for the lab: devices and IOMMUs, each one row of a table.

use clap::ValueEnum;

use super::arch::ARCH;
use crate::event::DeviceUsed;
use crate::model::Capability::{Aer, Ari, Flr, Intx, Msi, Msix, Pcie, Pm, Sriov};
use crate::model::{Capability, DeviceKind};

/// Declares an enum whose variants have a row each. The comment above a row is what `--help` says of it.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident: $Row:ident { $($(#[$about:meta])* $variant:ident: $row:expr,)+ }) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            const fn row(self) -> $Row {
                match self {
                    $(Self::$variant => $row,)+
                }
            }

            /// The name that the command line and reports use.
            pub fn name(self) -> &'static str {
                self.row().name
            }

            /// The first version of QEMU that has it, where the lab itself takes an older one.
            pub(super) fn since(self) -> Option<&'static str> {
                self.row().since
            }
        }
    };
}

struct DeviceRow {
    name: &'static str,
    since: Option<&'static str>,
    /// What goes before `-device`.
    backend: &'static str,
    /// The argument of `-device`, without the slot.
    qemu: &'static str,
    /// Its slot on the guest's root bus, the same in every lab.
    slot: u8,
    /// The next four as QEMU 10.0 has them; tests/lab/packs.rs compares them with what guests see.
    ids: &'static str,
    class: u32,
    capabilities: &'static [Capability],
    largest_bar: u64,
}

const DEVICE: DeviceRow = DeviceRow {
    name: "",
    since: None,
    backend: "",
    qemu: "",
    slot: 0,
    ids: "",
    class: 0,
    capabilities: &[],
    largest_bar: 0,
};

table! {
    /// A device that QEMU emulates.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
    DeviceModel: DeviceRow {
        /// QEMU's teaching device: real DMA through registers, MSI
        Edu: DeviceRow {
            name: "edu", qemu: "edu,dma_mask=0xffffffffffffffff", slot: 3,
            ids: "1234:11e8", class: 0x00ff00, capabilities: &[Intx, Msi], largest_bar: 1 << 20, ..DEVICE
        },
        /// a 2 GiB 64-bit BAR
        PciTestdev: DeviceRow {
            name: "pci-testdev", qemu: "pci-testdev,membar=2G", slot: 4,
            ids: "1b36:0005", class: 0x00ff00, largest_bar: 2 << 30, ..DEVICE
        },
        /// shared memory: a BAR with RAM behind it
        Ivshmem: DeviceRow {
            name: "ivshmem", backend: "-object memory-backend-memfd,id=shared,size=64M,share=on",
            qemu: "ivshmem-plain,memdev=shared", slot: 5,
            ids: "1af4:1110", class: 0x050000, largest_bar: 64 << 20, ..DEVICE
        },
        /// Intel 82576: MSI-X, FLR, SR-IOV (QEMU 8.0 or later)
        Igb: DeviceRow {
            name: "igb", since: Some("8.0"), qemu: "igb", slot: 6,
            ids: "8086:10c9", class: 0x020000, capabilities: &[Intx, Pm, Msi, Msix, Pcie, Flr, Aer, Ari, Sriov],
            largest_bar: 128 << 10, ..DEVICE
        },
        /// an NVMe controller with an empty disk: MSI-X, FLR
        Nvme: DeviceRow {
            name: "nvme", backend: "-blockdev driver=null-co,node-name=disk,size=67108864,read-zeroes=on",
            qemu: "nvme,serial=lab,drive=disk", slot: 7,
            ids: "1b36:0010", class: 0x010802, capabilities: &[Intx, Pm, Msix, Pcie, Flr], largest_bar: 16 << 10, ..DEVICE
        },
        /// Intel 82574: MSI-X
        E1000e: DeviceRow {
            name: "e1000e", qemu: "e1000e", slot: 8,
            ids: "8086:10d3", class: 0x020000, capabilities: &[Intx, Pm, Msi, Msix, Pcie, Aer], largest_bar: 128 << 10,
            ..DEVICE
        },
    }
}

impl DeviceModel {
    pub(super) fn arguments(self) -> String {
        let DeviceRow { backend, qemu, slot, .. } = self.row();
        format!("{backend} -device {qemu},addr={slot:02x}.0").trim_start().to_owned()
    }

    /// What kind of device it is. A run has to know this before there is a guest: a role's cases are planned for each device that fits it.
    pub fn kind(self) -> DeviceKind {
        let DeviceRow { ids, class, capabilities, largest_bar, .. } = self.row();
        DeviceKind { ids: ids.to_owned(), class, capabilities: capabilities.to_vec(), largest_bar }
    }

    /// As runs know it, under a name that scenarios can write.
    pub fn used(self) -> DeviceUsed {
        DeviceUsed { name: self.name().replace('-', "_"), ..DeviceUsed::default() }.of_kind(self.kind())
    }

    /// Its PCI address in the guest, such as `0000:00:03.0`.
    pub fn bdf(self) -> String {
        format!("0000:00:{:02x}.0", self.row().slot)
    }
}

struct IommuRow {
    name: &'static str,
    since: Option<&'static str>,
    /// QEMU's arguments; empty for none.
    qemu: &'static str,
    kernel: &'static str,
    /// Whether it remaps interrupts, so that the guest can use an x2APIC.
    remaps: bool,
}

table! {
    /// The IOMMU that QEMU emulates.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
    IommuModel: IommuRow {
        /// VT-d in legacy mode: second-stage tables, 4K 2M 1G
        #[default]
        Intel: IommuRow {
            name: "intel", since: None, remaps: true,
            qemu: "-device intel-iommu,intremap=on", kernel: "intel_iommu=on",
        },
        /// VT-d in scalable mode: PASID tables, second stage
        IntelScalable: IommuRow {
            name: "intel-scalable", since: None, remaps: true,
            qemu: "-device intel-iommu,intremap=on,x-scalable-mode=on", kernel: "intel_iommu=on,sm_on",
        },
        /// VT-d in scalable mode with first-stage tables (QEMU 10.0 or later)
        IntelFirstStage: IommuRow {
            name: "intel-first-stage", since: Some("10.0"), remaps: true,
            qemu: "-device intel-iommu,intremap=on,x-scalable-mode=on,x-flts=on", kernel: "intel_iommu=on,sm_on",
        },
        /// virtio-iommu: no page-table dump, no interrupt remapping
        Virtio: IommuRow {
            name: "virtio", since: None, remaps: false,
            qemu: "-device virtio-iommu-pci,addr=01.0",
            // VFIO refuses devices whose interrupts are not remapped.
            kernel: "vfio_iommu_type1.allow_unsafe_interrupts=1 iommufd.allow_unsafe_interrupts=1",
        },
        /// no IOMMU: VFIO has no device then, and only cases run that open none, by themselves (`fixture: none`)
        None: IommuRow { name: "none", since: None, remaps: false, qemu: "", kernel: ARCH.no_iommu },
    }
}

impl IommuModel {
    pub(super) fn remaps(self) -> bool {
        self.row().remaps
    }

    /// QEMU's arguments for it. With `extended_interrupts` it takes those of an x2APIC.
    pub(super) fn arguments(self, extended_interrupts: bool) -> String {
        let eim = if extended_interrupts { "intremap=on,eim=on" } else { "intremap=on" };
        self.row().qemu.replace("intremap=on", eim)
    }

    pub(super) fn kernel_parameters(self) -> &'static str {
        self.row().kernel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line_and_slots_are_distinct() {
        let mut slots = std::collections::HashSet::new();
        for device in DeviceModel::value_variants() {
            assert_eq!(device.to_possible_value().unwrap().get_name(), device.name());
            assert!(slots.insert(device.row().slot));
        }
        for iommu in IommuModel::value_variants() {
            assert_eq!(iommu.to_possible_value().unwrap().get_name(), iommu.name());
        }
        assert_eq!(DeviceModel::Edu.bdf(), "0000:00:03.0");
    }
}
