// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything up to the boot: programs, source, kernel.

use std::{path::PathBuf, sync::atomic::AtomicBool};

use super::kernel::{self, Kernel};
use super::options::{KernelChoice, Options};
use super::qemu::{self, Qemu};
use super::version::Version;
use super::{apt::Archive, arch::ARCH, cache::Cache, error::LabError, progress::Progress, source, tools};
use crate::host::facts;

#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) options: Options,
    pub(super) cache: Cache,
    pub(super) kernel: Kernel,
    pub(super) qemu: Qemu,
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
        &self.qemu.version
    }
}

/// Gets QEMU and the kernel. When all is in the cache this takes a fraction of a second and touches no network.
///
/// # Errors
/// The options cannot be met, something here failed, or `interrupt` was set.
pub fn prepare(options: &Options, progress: Progress, interrupt: &AtomicBool) -> Result<Prepared, LabError> {
    let (host, guest) = (std::env::consts::ARCH, ARCH.name);
    if host != guest {
        let what = format!("failed to set up a lab on {host}: the guest runs this very binary on {guest}");
        let help = format!("use an {guest} machine; `vfiospec run` works on this one's own devices");
        return Err(LabError::usage(what).help(help));
    }
    let cache = Cache::open(&qemu::usable(&options.cache)?)?;
    if let (KernelChoice::Image(path), [option, ..]) = (&options.kernel, &options.kernel_config[..]) {
        return Err(LabError::usage(format!("failed to set {option}: the image {} is built already", path.display()))
            .help("name a version with --kernel, which is built with the option; or leave --kernel-config out"));
    }
    let found = |cache| Ok::<_, LabError>((program(options, cache)?, kernel(options, cache)?));
    let (program, kernel) = match found(&cache)? {
        (Some(program), Some(kernel)) => (program, kernel),
        _ => {
            // One run at a time downloads and builds; the others find what it left.
            let _lock = cache.lock("prepare", progress, interrupt)?;
            let (program, kernel) = found(&cache)?;
            let archive = Archive::new(&cache, progress, interrupt);
            let program = match program {
                Some(program) => program,
                None => tools::qemu(&tools::QEMU.get(&archive)?),
            };
            let kernel = match kernel {
                Some(kernel) => kernel,
                None => build(options, &archive)?,
            };
            (program, kernel)
        }
    };
    let qemu = Qemu::ask(program)?;
    qemu::check(options, &qemu.version)?;
    qemu::check_memory(options, 1, facts::available_memory())?;
    Ok(Prepared { options: options.clone(), cache, kernel, qemu, progress })
}

/// QEMU's program, if it is here.
fn program(options: &Options, cache: &Cache) -> Result<Option<PathBuf>, LabError> {
    match &options.qemu {
        Some(path) => Ok(Some(qemu::own(path)?)),
        None => Ok(tools::QEMU.cached(cache).map(|folder| tools::qemu(&folder))),
    }
}

/// The kernel, if it is here.
fn kernel(options: &Options, cache: &Cache) -> Result<Option<Kernel>, LabError> {
    match &options.kernel {
        KernelChoice::Image(path) => Ok(Some(kernel::own(path)?)),
        choice => Ok(kernel::cached(cache, choice, &options.kernel_config)),
    }
}

fn build(options: &Options, archive: &Archive<'_>) -> Result<Kernel, LabError> {
    let tools = tools::BUILD.get(archive)?;
    let source = source::get(archive, &options.kernel, &tools)?;
    kernel::build(archive.cache, &source, &tools, &options.kernel_config, archive.progress, archive.interrupt)
}
