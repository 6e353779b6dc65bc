// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab knows of its guests' architecture. The guest runs this same binary, so that it is the host's.

pub(super) struct Arch {
    /// As [`std::env::consts::ARCH`] has it.
    pub name: &'static str,
    pub qemu: &'static str,
    /// The Debian package that has it.
    pub qemu_package: &'static str,
    /// Debian's name for it.
    pub debian: &'static str,
    /// Where Debian's packages have their loader, and their libraries.
    pub loader: &'static str,
    pub libraries: &'static str,
    pub machine: &'static str,
    /// The kernel's name for the console, below `/dev` too.
    pub console: &'static str,
    /// What the kernel's command line needs beside.
    pub kernel_parameters: &'static str,
    /// What switches the IOMMU off on the kernel's command line.
    pub no_iommu: &'static str,
    /// `ARCH` of the kernel's build.
    pub kernel: &'static str,
    /// The target of the kernel's build, and its file.
    pub image: &'static str,
}

pub(super) const ARCH: Arch = Arch {
    name: "x86_64",
    qemu: "qemu-system-x86_64",
    qemu_package: "qemu-system-x86",
    debian: "amd64",
    loader: "usr/lib64/ld-linux-x86-64.so.2",
    libraries: "usr/lib/x86_64-linux-gnu",
    machine: "-machine q35,kernel-irqchip=split",
    console: "ttyS0",
    // no_timer_check: on a busy host the ticks of software emulation can be too late for the kernel's test of them, which panics.
    kernel_parameters: "tsc=reliable no_timer_check 8250.nr_uarts=1",
    no_iommu: "intel_iommu=off",
    kernel: "x86_64",
    // Booted by its PVH entry: nothing is decompressed, and the build needs no compressor.
    image: "vmlinux",
};
