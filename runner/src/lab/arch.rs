// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab knows of the architectures of its guests, and of the machine that it runs on.

use crate::language::Arch;

/// The machine that the lab runs on: what programs it can start, and which guests need a kernel and a program of another kind.
pub(super) struct Host {
    /// As [`std::env::consts::ARCH`] has it.
    pub name: &'static str,
    pub arch: Arch,
    /// Debian's name for it.
    pub debian: &'static str,
    /// Where Debian's packages have their loader, and their libraries.
    pub loader: &'static str,
    pub libraries: &'static str,
}

pub(super) const HOST: Host = Host {
    name: "x86_64",
    arch: Arch::X86_64,
    debian: "amd64",
    loader: "usr/lib64/ld-linux-x86-64.so.2",
    libraries: "usr/lib/x86_64-linux-gnu",
};

pub(super) struct ArchRow {
    pub qemu: &'static str,
    /// Debian's packages that have QEMU, and a busybox for the guest.
    pub qemu_packages: &'static [&'static str],
    pub shell_packages: &'static [&'static str],
    pub machine: &'static str,
    /// The processor under software emulation.
    pub cpu: &'static str,
    /// Whether emulated processors can run at once only where the IOMMU takes the interrupts of an x2APIC.
    pub needs_x2apic: bool,
    /// What root ports need for their hot reset.
    pub ports: &'static [&'static str],
    /// The kernel's name for the console, below `/dev` too.
    pub console: &'static str,
    /// What the kernel's command line needs beside.
    pub kernel_parameters: &'static str,
    /// What switches the IOMMU off on the kernel's command line.
    pub no_iommu: &'static str,
    /// `ARCH` of the kernel's build.
    pub kernel: &'static str,
    /// The folder below `arch` in its objects.
    pub objects: &'static str,
    /// The target of the kernel's build, and the file that it makes.
    pub image: &'static str,
    pub image_file: &'static str,
    /// The kernel's options beside those of every architecture.
    pub options: &'static str,
    /// What programs that are built for it elsewhere need.
    pub cross: Option<Cross>,
}

pub(super) struct Cross {
    /// Rust's name for programs of its own.
    pub target: &'static str,
    /// What the names of the tools begin with that build for it.
    pub prefix: &'static str,
    /// What this program is called beside the one that starts the lab.
    pub program: &'static str,
}

impl Arch {
    pub(super) const fn row(self) -> ArchRow {
        match self {
            Self::X86_64 => ArchRow {
                qemu: "qemu-system-x86_64",
                qemu_packages: &["qemu-system-x86"],
                shell_packages: &["busybox-static"],
                machine: "-machine q35,kernel-irqchip=split",
                // Copying by `rep movsb` is slow under emulation. Linux 6.1 takes fsrm as a promise of erms (arch/x86/lib/memmove_64.S), and
                // copies wrongly with the one alone.
                cpu: "max,-erms,-fsrm",
                // Where the kernel drives the interrupt controller through memory, emulation loses the end of an interrupt when another
                // processor moves a BAR at that moment, as every reset does, and the first one gets no tick ever after. MSRs (x2APIC) are
                // free of that, but need the IOMMU's extended interrupt mode, which KVM sets by itself; without it the processors take turns.
                needs_x2apic: true,
                // With ACPI's hotplug the links of root ports are never up, and Linux gives up a hot reset of a PCIe device: ENOTTY.
                ports: &["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"],
                console: "ttyS0",
                // no_timer_check: on a busy host the ticks of software emulation can be too late for the kernel's test of them, which panics.
                kernel_parameters: "tsc=reliable no_timer_check 8250.nr_uarts=1",
                no_iommu: "intel_iommu=off",
                kernel: "x86_64",
                objects: "x86",
                // Booted by its PVH entry: nothing is decompressed, and the build needs no compressor.
                image: "vmlinux",
                image_file: "vmlinux",
                options: include_str!("kernel.x86-64.config"),
                cross: None,
            },
            Self::Arm64 => ArchRow {
                qemu: "qemu-system-aarch64",
                // ipxe-qemu: the ROMs of network cards.
                qemu_packages: &["ipxe-qemu", "qemu-system-arm"],
                shell_packages: &["busybox-static:arm64"],
                machine: "-machine virt,gic-version=3",
                cpu: "max,pauth-impdef=on",
                needs_x2apic: false,
                ports: &[],
                console: "ttyAMA0",
                kernel_parameters: "",
                no_iommu: "",
                kernel: "arm64",
                objects: "arm64",
                image: "Image",
                image_file: "arch/arm64/boot/Image",
                options: include_str!("kernel.arm64.config"),
                cross: Some(Cross {
                    target: "aarch64-unknown-linux-gnu",
                    prefix: "aarch64-linux-gnu-",
                    program: "vfiospec-arm64",
                }),
            },
        }
    }
}

/// That of this program, whose lab it is or whose guest.
pub(super) const OWN: Arch = if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::X86_64 };
