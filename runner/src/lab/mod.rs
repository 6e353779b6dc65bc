//! A guest with an emulated IOMMU and devices, for machines that have none: gets QEMU and a kernel, boots, and runs
//! this same binary inside.

mod accel;
mod apt;
mod arch;
mod boot;
mod cache;
mod child;
mod error;
mod guest;
mod initramfs;
mod kernel;
mod mirror;
mod models;
mod options;
mod prepare;
mod progress;
mod protocol;
mod qemu;
mod shell;
mod source;
mod tools;
mod version;

pub use boot::{Guest, Next, is_dynamic};
pub use cache::default_cache;
pub use error::{LabError, LabErrorKind};
pub use guest::{guest_main, is_guest, is_guest_init};
pub use initramfs::Job;
pub use models::{DeviceModel, IommuModel};
pub use options::{Accel, KernelChoice, KernelOption, Options};
pub use prepare::{Prepared, prepare};
pub use progress::{Bar, Progress};
pub use protocol::JOURNAL_PORT;
pub use shell::{busybox, shell};
pub use version::Version;
