// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything up to the boot: programs, source, kernel.

use std::sync::atomic::AtomicBool;

use super::kernel::{self, Kernel};
use super::options::{KernelChoice, Options};
use super::{arch::ARCH, cache::Cache, error::LabError, progress::Progress, qemu, source, tools, version::Version};
use crate::host::facts;

#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) options: Options,
    pub(super) cache: Cache,
    pub(super) kernel: Kernel,
    pub(super) qemu: Version,
    pub(super) progress: Progress,
}

impl Prepared {
    pub fn kernel(&self) -> &str {
        &self.kernel.name
    }

    /// How many guests there is memory for; 0 if that is not known.
    pub fn room(&self) -> usize {
        let guests = facts::available_memory().unwrap_or(0) / (u64::from(self.options.memory_mib) << 20);
        usize::try_from(guests).unwrap_or(usize::MAX)
    }

    /// Fails if there is not enough memory for this many guests.
    pub fn check_room(&self, guests: usize) -> Result<(), LabError> {
        qemu::check_memory(&self.options, guests, facts::available_memory())
    }

    /// How many processors a guest has.
    pub fn cpus(&self) -> usize {
        self.options.cpus as usize
    }

    pub fn qemu(&self) -> &Version {
        &self.qemu
    }
}

/// Gets QEMU and the kernel. When all is in the cache this takes a fraction of a second and touches no network.
///
/// # Errors
/// The options cannot be met, programs are missing and this is not root,
/// something here failed, or `interrupt` was set.
pub fn prepare(options: &Options, progress: Progress, interrupt: &AtomicBool) -> Result<Prepared, LabError> {
    let (host, guest) = (std::env::consts::ARCH, ARCH.name);
    if host != guest {
        let what = format!("failed to set up a lab on {host}: the guest runs this very binary on {guest}");
        let help = format!("use an {guest} machine; `vfiospec run` works on this one's own devices");
        return Err(LabError::usage(what).help(help));
    }
    let cache = Cache::open(&qemu::usable(&options.cache)?)?;
    let kernel = match &options.kernel {
        KernelChoice::Image(path) => {
            if let [option, ..] = &options.kernel_config[..] {
                return Err(LabError::usage(format!(
                    "failed to set {option}: the image {} is built already",
                    path.display()
                ))
                .help("name a version with --kernel, which is built with the option; or leave --kernel-config out"));
            }
            let kernel = kernel::own(path)?;
            provide(false, &cache, progress, interrupt)?;
            kernel
        }
        choice => match kernel::cached(&cache, choice, &options.kernel_config) {
            Some(kernel) => {
                provide(false, &cache, progress, interrupt)?;
                kernel
            }
            None => build(options, &cache, progress, interrupt)?,
        },
    };
    let qemu = qemu::version()?;
    qemu::check(options, &qemu)?;
    qemu::check_memory(options, 1, facts::available_memory())?;
    Ok(Prepared { options: options.clone(), cache, kernel, qemu, progress })
}

/// One run at a time installs, downloads and builds; the others find what it left.
fn build(options: &Options, cache: &Cache, progress: Progress, interrupt: &AtomicBool) -> Result<Kernel, LabError> {
    let Options { kernel: choice, kernel_config: config, .. } = options;
    let _lock = cache.lock("prepare", progress, interrupt)?;
    if let Some(kernel) = kernel::cached(cache, choice, config) {
        return Ok(kernel);
    }
    tools::provide(true, cache, progress, interrupt)?;
    let source = source::get(cache, choice, progress, interrupt)?;
    kernel::build(cache, &source, config, progress, interrupt)
}

fn provide(build: bool, cache: &Cache, progress: Progress, interrupt: &AtomicBool) -> Result<(), LabError> {
    if tools::complete(build) {
        return Ok(());
    }
    let _lock = cache.lock("prepare", progress, interrupt)?;
    tools::provide(build, cache, progress, interrupt)
}
