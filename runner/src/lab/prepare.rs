// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything up to the boot: programs, source, kernel.

use std::{path::PathBuf, sync::atomic::AtomicBool};

use super::kernel::{self, Kernel};
use super::options::{KernelChoice, Options};
use super::qemu::{self, Qemu};
use super::version::Version;
use super::{apt::Archive, arch::HOST, cache::Cache, error::LabError, program, progress::Progress, source, tools};
use crate::host::facts;

#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) options: Options,
    pub(super) cache: Cache,
    pub(super) kernel: Kernel,
    pub(super) qemu: Qemu,
    /// What the guest runs as its init.
    pub(super) program: PathBuf,
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

/// Gets QEMU, the kernel and the guest's program. When all is in the cache this takes a fraction of a second and touches no network.
///
/// # Errors
/// The options cannot be met, something here failed, or `interrupt` was set.
pub fn prepare(options: &Options, progress: Progress, interrupt: &AtomicBool) -> Result<Prepared, LabError> {
    let host = std::env::consts::ARCH;
    if host != HOST.name {
        let what = format!("failed to set up a lab on {host}: it starts programs of {}", HOST.name);
        let help = format!("use an {} machine; `vfiospec run` works on this one's own devices", HOST.name);
        return Err(LabError::usage(what).help(help));
    }
    let cache = Cache::open(&qemu::usable(&options.cache)?)?;
    if let (KernelChoice::Image(path), [option, ..]) = (&options.kernel, &options.kernel_config[..]) {
        return Err(LabError::usage(format!("failed to set {option}: the image {} is built already", path.display()))
            .help("name a version with --kernel, which is built with the option; or leave --kernel-config out"));
    }
    let arch = options.machine.arch();
    let found = |cache| Ok::<_, LabError>((own_qemu(options, cache)?, kernel(options, cache)?));
    let (qemu, kernel) = match found(&cache)? {
        (Some(qemu), Some(kernel)) => (qemu, kernel),
        _ => {
            // One run at a time downloads and builds; the others find what it left.
            let _lock = cache.lock("prepare", progress, interrupt)?;
            let (qemu, kernel) = found(&cache)?;
            let archive = Archive::new(&cache, progress, interrupt);
            let qemu = match qemu {
                Some(qemu) => qemu,
                None => tools::qemu_program(&tools::qemu(arch).get(&archive)?, arch),
            };
            let kernel = match kernel {
                Some(kernel) => kernel,
                None => build(options, &archive)?,
            };
            (qemu, kernel)
        }
    };
    let qemu = Qemu::ask(qemu)?;
    qemu::check(options, &qemu.version)?;
    qemu::check_memory(options, 1, facts::available_memory())?;
    let program = program::get(arch, &cache, progress, interrupt)?;
    Ok(Prepared { options: options.clone(), cache, kernel, qemu, program, progress })
}

/// QEMU's program, if it is here.
fn own_qemu(options: &Options, cache: &Cache) -> Result<Option<PathBuf>, LabError> {
    let arch = options.machine.arch();
    match &options.qemu {
        Some(path) => Ok(Some(qemu::own(path)?)),
        None => Ok(tools::qemu(arch).cached(cache).map(|folder| tools::qemu_program(&folder, arch))),
    }
}

/// The kernel, if it is here.
fn kernel(options: &Options, cache: &Cache) -> Result<Option<Kernel>, LabError> {
    match &options.kernel {
        KernelChoice::Image(path) => Ok(Some(kernel::own(path)?)),
        choice => Ok(kernel::cached(cache, options.machine.arch(), choice, &options.kernel_config)),
    }
}

fn build(options: &Options, archive: &Archive<'_>) -> Result<Kernel, LabError> {
    let arch = options.machine.arch();
    let mut tools = vec![tools::BUILD.get(archive)?];
    if arch.row().cross.is_some() {
        tools.push(tools::CROSS.get(archive)?);
    }
    let source = source::get(archive, &options.kernel, &tools)?;
    let Archive { cache, progress, interrupt, .. } = archive;
    kernel::build(cache, &source, &tools, arch, &options.kernel_config, *progress, interrupt)
}
