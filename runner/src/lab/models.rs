// SPDX-License-Identifier: MIT OR Apache-2.0
//! What QEMU emulates for the lab: devices and IOMMUs, each one row of a table. Their names are words of the language, for a machine's file.

use std::path::Path;

use crate::language::{Arch, DeviceModel, IommuModel};
use crate::model::Capability::{Aer, Ari, Flr, Intx, Msi, Msix, Pcie, Pm, Sriov};
use crate::model::{Capability, DeviceKind};

struct DeviceRow {
    /// The first version of QEMU that has it, where the lab itself takes an older one.
    since: Option<&'static str>,
    /// What goes before `-device`; `NAME` in it and in the next is the device's name, and `FOLDER` that of the run.
    backend: &'static str,
    /// The argument of `-device`, without its place.
    qemu: &'static str,
    /// The slot on the guest's root bus of the first one, the same in every lab.
    slot: u8,
    /// The next four as QEMU has them; tests/lab/packs.rs compares them with what guests see.
    ids: &'static str,
    class: u32,
    capabilities: &'static [Capability],
    largest_bar: u64,
}

const DEVICE: DeviceRow =
    DeviceRow { since: None, backend: "", qemu: "", slot: 0, ids: "", class: 0, capabilities: &[], largest_bar: 0 };

impl DeviceModel {
    const fn row(self) -> DeviceRow {
        match self {
            Self::Edu => DeviceRow {
                qemu: "edu,dma_mask=0xffffffffffffffff",
                slot: 3,
                ids: "1234:11e8",
                class: 0x00ff00,
                capabilities: &[Intx, Msi],
                largest_bar: 1 << 20,
                ..DEVICE
            },
            Self::PciTestdev => DeviceRow {
                qemu: "pci-testdev,membar=2G",
                slot: 4,
                ids: "1b36:0005",
                class: 0x00ff00,
                largest_bar: 2 << 30,
                ..DEVICE
            },
            Self::Ivshmem => DeviceRow {
                backend: "-object memory-backend-memfd,id=shared-NAME,size=64M,share=on",
                qemu: "ivshmem-plain,memdev=shared-NAME",
                slot: 5,
                ids: "1af4:1110",
                class: 0x050000,
                largest_bar: 64 << 20,
                ..DEVICE
            },
            Self::Igb => DeviceRow {
                since: Some("8.0"),
                qemu: "igb",
                slot: 6,
                ids: "8086:10c9",
                class: 0x020000,
                capabilities: &[Intx, Pm, Msi, Msix, Pcie, Flr, Aer, Ari, Sriov],
                largest_bar: 128 << 10,
                ..DEVICE
            },
            Self::Nvme => DeviceRow {
                backend: "-blockdev driver=null-co,node-name=disk-NAME,size=67108864,read-zeroes=on",
                qemu: "nvme,serial=NAME,drive=disk-NAME",
                slot: 7,
                ids: "1b36:0010",
                class: 0x010802,
                capabilities: &[Intx, Pm, Msix, Pcie, Flr],
                largest_bar: 16 << 10,
                ..DEVICE
            },
            Self::E1000e => DeviceRow {
                qemu: "e1000e",
                slot: 8,
                ids: "8086:10d3",
                class: 0x020000,
                capabilities: &[Intx, Pm, Msi, Msix, Pcie, Aer],
                largest_bar: 128 << 10,
                ..DEVICE
            },
            Self::VirtioNet => DeviceRow {
                since: Some("7.2"),
                backend: "-netdev dgram,id=loop-NAME,local.type=unix,local.path=FOLDER/NAME.sock,remote.type=unix,remote.path=FOLDER/NAME.sock",
                qemu: "virtio-net-pci,netdev=loop-NAME,disable-legacy=on,iommu_platform=on,romfile=",
                slot: 9,
                ids: "1af4:1041",
                class: 0x020000,
                capabilities: &[Intx, Msix],
                largest_bar: 16 << 10,
            },
            // Behind those of the root ports: no slot is free before them. The ids are pci-testdev's, too.
            Self::IommuTestdev => DeviceRow {
                since: Some("11.0"),
                qemu: "iommu-testdev",
                slot: 0x19,
                ids: "1b36:0005",
                class: 0x00ff00,
                largest_bar: 4 << 10,
                ..DEVICE
            },
            Self::Vga => DeviceRow {
                qemu: "VGA",
                slot: 0x1b,
                ids: "1234:1111",
                class: 0x030000,
                largest_bar: 16 << 20,
                ..DEVICE
            },
        }
    }

    pub(super) fn since(self) -> Option<&'static str> {
        self.row().since
    }

    /// What goes before `-device`, and its argument there without the place, for a device of this name in a run of this folder.
    pub(super) fn qemu(self, name: &str, folder: &Path) -> (Vec<String>, String) {
        let DeviceRow { backend, qemu, .. } = self.row();
        let folder = folder.display().to_string();
        let word = |word: &str| word.replace("NAME", name).replace("FOLDER", &folder);
        (backend.split_whitespace().map(word).collect(), qemu.replace("NAME", name))
    }

    /// The slot on the root bus of the first one in a guest.
    pub(super) fn slot(self) -> u8 {
        self.row().slot
    }

    /// What kind of device it is. A run has to know this before there is a guest: a role's cases are planned for each device that fits it.
    pub fn kind(self) -> DeviceKind {
        let DeviceRow { ids, class, capabilities, largest_bar, .. } = self.row();
        DeviceKind { ids: ids.to_owned(), class, capabilities: capabilities.to_vec(), largest_bar }
    }
}

struct IommuRow {
    /// As of a device.
    since: Option<&'static str>,
    /// QEMU's arguments; empty for none.
    qemu: &'static str,
    /// What the kernel's command line needs for it.
    kernel: &'static str,
    /// What makes it remap the interrupts of an x2APIC; empty if it remaps none.
    x2apic: &'static str,
}

/// VFIO refuses devices whose interrupts are not remapped.
const UNSAFE_INTERRUPTS: &str = "vfio_iommu_type1.allow_unsafe_interrupts=1 iommufd.allow_unsafe_interrupts=1";

impl IommuModel {
    const fn row(self) -> IommuRow {
        match self {
            Self::Intel => IommuRow {
                since: None,
                x2apic: "eim=on",
                qemu: "-device intel-iommu,intremap=on",
                kernel: "intel_iommu=on",
            },
            // Older versions call them `x-scalable-mode` and `x-flts`.
            Self::IntelScalable => IommuRow {
                since: Some("11.1"),
                x2apic: "eim=on",
                qemu: "-device intel-iommu,intremap=on,scalable-mode=on",
                kernel: "intel_iommu=on,sm_on",
            },
            Self::IntelFirstStage => IommuRow {
                since: Some("11.1"),
                x2apic: "eim=on",
                qemu: "-device intel-iommu,intremap=on,scalable-mode=on,fsts=on",
                kernel: "intel_iommu=on,sm_on",
            },
            // Without `dma-remap` it translates nothing.
            Self::Amd => IommuRow {
                since: Some("10.2"),
                x2apic: "xtsup=on",
                qemu: "-device amd-iommu,intremap=on,dma-remap=on",
                kernel: UNSAFE_INTERRUPTS,
            },
            Self::Virtio => IommuRow {
                since: None,
                x2apic: "",
                qemu: "-device virtio-iommu-pci,addr=01.0",
                kernel: UNSAFE_INTERRUPTS,
            },
            // Kernels of distributions let only its driver read its registers, which say where its tables are (CONFIG_IO_STRICT_DEVMEM).
            Self::Smmuv3 => {
                IommuRow { since: None, x2apic: "", qemu: "-machine iommu=smmuv3", kernel: "iomem=relaxed" }
            }
            Self::None => IommuRow { since: None, x2apic: "", qemu: "", kernel: "" },
        }
    }

    pub(super) fn since(self) -> Option<&'static str> {
        self.row().since
    }

    /// Whether it remaps interrupts, so that the guest can use an x2APIC.
    pub(super) fn remaps(self) -> bool {
        !self.row().x2apic.is_empty()
    }

    /// QEMU's arguments for it. With `extended_interrupts` it takes those of an x2APIC.
    pub(super) fn arguments(self, extended_interrupts: bool) -> String {
        let IommuRow { qemu, x2apic, .. } = self.row();
        if extended_interrupts && !x2apic.is_empty() { format!("{qemu},{x2apic}") } else { qemu.to_owned() }
    }

    /// QEMU's arguments for one that is in front of the first root bus only, where there is another one.
    pub(super) const FIRST_OF_TWO: &str = "-device arm-smmuv3,primary-bus=pcie.0";

    /// What makes its driver tell of every new mapping, which QEMU has to pass on to the host's IOMMU.
    pub(super) fn tells_of_new_mappings(self) -> &'static str {
        match self {
            Self::Intel | Self::IntelScalable | Self::IntelFirstStage => ",caching-mode=on",
            Self::Amd | Self::Virtio | Self::Smmuv3 | Self::None => "",
        }
    }

    /// What a kernel of this architecture needs on its command line.
    pub(super) fn kernel_parameters(self, arch: Arch) -> &'static str {
        if self == Self::None { arch.row().no_iommu } else { self.row().kernel }
    }
}
