// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest with an emulated IOMMU and devices, for machines that have none.
//!
//! ```text
//! prepare                              Guest::boot                         in the guest
//!
//! tools ── apt: QEMU, build tools      initramfs: a program + the job      guest_main, as process 1:
//! source ─ apt: the kernel's source    qemu: the command line              mounts, runs the job's command,
//! kernel ─ make, into the cache        accel: KVM or emulation             tells the host through a port
//!          or Debian's, a person's tree
//! program ─ this one, or one of the guest's architecture
//! ```
//!
//! [`prepare()`] downloads and builds what is missing, and touches no network when nothing is. [`Guest`] is a running guest: its lines, its
//! end and its last words. What QEMU can emulate is two tables, [`DeviceModel`](crate::language::DeviceModel) and
//! [`IommuModel`](crate::language::IommuModel); where devices are is `layout`; what depends on the architecture is
//! one row in `arch`.

mod accel;
mod apt;
mod arch;
mod attached;
mod boot;
mod cache;
mod child;
mod debian;
mod device_tree;
mod error;
mod export;
mod gcov;
mod guest;
mod initramfs;
mod kernel;
mod layout;
mod mirror;
mod mock;
mod models;
mod modules;
mod options;
mod prepare;
mod program;
mod progress;
mod protocol;
mod qemu;
mod shell;
mod source;
mod tools;
mod tree;
mod version;

pub use cache::default_cache;
pub use layout::{GuestDevice, HOST_DEVICES, HostDevice, devices};
pub(crate) use {
    boot::{Guest, Next, is_dynamic},
    error::LabError,
    export::{export, import},
    guest::{guest_main, is_guest_init, shell_of_guest},
    initramfs::Job,
    options::{Accel, KernelChoice, KernelOption, Options},
    prepare::{Prepared, prepare},
    progress::Progress,
    protocol::{Counters, JOURNAL_PORT},
    shell::{busybox, shell},
};
