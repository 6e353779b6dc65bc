// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything up to the boot: programs, source, kernel.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::gcov::Gcov;
use super::kernel::{self, Checks, Fragment, Kernel};
use super::options::{KernelChoice, KernelOption, Options};
use super::qemu::{self, Qemu};
use super::version::Version;
use super::{
    apt::Archive, arch::HOST, cache::Cache, debian, error::LabError, program, progress::Progress, source, tools, tree,
};
use crate::{host::facts, language::Arch};

#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) options: Options,
    pub(super) cache: Cache,
    pub(super) kernel: Kernel,
    pub(super) qemu: Qemu,
    /// What the guest runs as its init.
    pub(super) program: PathBuf,
    /// What reads the kernel's counters, if it counts which of its lines run.
    pub(super) gcov: Option<Gcov>,
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
    let arch = options.machine.arch();
    let wanted = Wanted::of(options)?;
    let found = |cache| Ok::<_, LabError>((own_qemu(options, cache)?, wanted.found(cache)?));
    let (qemu, ready) = match found(&cache)? {
        (Some(qemu), Some(ready)) => (qemu, ready),
        _ => {
            // One run at a time downloads and builds; the others find what it left.
            let _lock = cache.lock("prepare", progress, interrupt)?;
            let (qemu, ready) = found(&cache)?;
            let archive = Archive::new(&cache, progress, interrupt);
            let qemu = match qemu {
                Some(qemu) => qemu,
                None => tools::qemu_program(&tools::qemu(arch).get(&archive)?, arch),
            };
            let ready = match ready {
                Some(ready) => ready,
                None => wanted.get(&archive)?,
            };
            (qemu, ready)
        }
    };
    let kernel = match ready {
        Ready::Kernel(kernel) => kernel,
        Ready::Tree { tree, tools, fragment } => tree::build(&cache, &tree, &tools, &fragment, progress, interrupt)?,
    };
    let qemu = Qemu::ask(qemu)?;
    qemu::check(options, &qemu.version)?;
    qemu::check_memory(options, 1, facts::available_memory())?;
    let program = program::get(arch, &cache, progress, interrupt)?;
    let gcov = kernel.counted.as_ref().map(|counted| Gcov::get(counted, &cache, progress, interrupt)).transpose()?;
    Ok(Prepared { options: options.clone(), cache, kernel, qemu, program, gcov, progress })
}

/// QEMU's program, if it is here.
fn own_qemu(options: &Options, cache: &Cache) -> Result<Option<PathBuf>, LabError> {
    let arch = options.machine.arch();
    match &options.qemu {
        Some(path) => Ok(Some(qemu::own(path)?)),
        None => Ok(tools::qemu(arch).cached(cache).map(|folder| tools::qemu_program(&folder, arch))),
    }
}

/// What the user named as the kernel.
enum Wanted<'a> {
    /// Built from Debian's source.
    Built(&'a KernelChoice, Fragment),
    /// A source tree of the user's.
    Tree(PathBuf, Fragment),
    Debian(Option<&'a Version>),
    Package(&'a Path),
    Image(&'a Path),
}

/// What there is of it.
enum Ready {
    Kernel(Kernel),
    /// A tree with what builds it.
    Tree {
        tree: PathBuf,
        tools: Vec<PathBuf>,
        fragment: Fragment,
    },
}

impl<'a> Wanted<'a> {
    fn of(options: &'a Options) -> Result<Self, LabError> {
        let Options { kernel, kernel_config, debug, coverage, machine, .. } = options;
        let arch = machine.arch();
        let checks = Checks { debug: *debug, coverage: *coverage };
        let fragment = || Fragment::new(machine, kernel_config, checks);
        let wanted = match kernel {
            KernelChoice::Newest | KernelChoice::Version(_) => Self::Built(kernel, fragment()),
            KernelChoice::Path(path) if path.is_dir() => Self::Tree(tree::own(path)?, fragment()),
            KernelChoice::Path(path) if path.extension().is_some_and(|end| end == "deb") => Self::Package(path),
            KernelChoice::Path(path) => Self::Image(path),
            KernelChoice::Debian(version) => Self::Debian(version.as_ref()),
        };
        let options = [(*debug, "--debug"), (*coverage, "--coverage")].into_iter().find(|(wanted, _)| *wanted);
        let pages = machine.page_size.map(|size| format!("--page-size {size}"));
        let change = options
            .map(|(_, option)| option.to_owned())
            .or(pages)
            .or_else(|| kernel_config.first().map(KernelOption::to_string));
        match (&wanted, change) {
            (Self::Debian(_), _) if arch != HOST.arch => {
                let what = format!("failed to take the kernel {kernel} for {}", arch.as_str());
                Err(LabError::usage(what).help("name a version, a source tree, a package or an image with --kernel"))
            }
            (Self::Debian(_) | Self::Package(_) | Self::Image(_), Some(change)) => {
                let what = format!("failed to build the kernel {kernel} with {change}: it is built already");
                Err(LabError::usage(what)
                    .help("name a version or a source tree with --kernel, or leave the option out"))
            }
            _ => Ok(wanted),
        }
    }

    /// The kernel, if it is here.
    fn found(&self, cache: &Cache) -> Result<Option<Ready>, LabError> {
        match self {
            Self::Built(choice, fragment) => Ok(kernel::cached(cache, choice, fragment).map(Ready::Kernel)),
            Self::Tree(tree, fragment) => {
                let tools: Option<_> = builders(fragment.arch).iter().map(|bundle| bundle.cached(cache)).collect();
                Ok(tools.map(|tools| Ready::Tree { tree: tree.clone(), tools, fragment: fragment.clone() }))
            }
            Self::Debian(version) => Ok(debian::cached(cache, *version).map(Ready::Kernel)),
            Self::Package(path) => Ok(debian::own_cached(cache, path)?.map(Ready::Kernel)),
            Self::Image(path) => Ok(Some(Ready::Kernel(kernel::own(path)?))),
        }
    }

    /// Gets it, or what builds it.
    fn get(&self, archive: &Archive<'_>) -> Result<Ready, LabError> {
        let Archive { cache, progress, interrupt, .. } = archive;
        let tools = |arch| builders(arch).iter().map(|bundle| bundle.get(archive)).collect::<Result<Vec<_>, _>>();
        match self {
            Self::Built(choice, fragment) => {
                let tools = tools(fragment.arch)?;
                let source = source::get(archive, choice, &tools)?;
                kernel::build(cache, &source, &tools, fragment, *progress, interrupt).map(Ready::Kernel)
            }
            Self::Tree(tree, fragment) => {
                let tools = tools(fragment.arch)?;
                Ok(Ready::Tree { tree: tree.clone(), tools, fragment: fragment.clone() })
            }
            Self::Debian(version) => debian::get(archive, *version).map(Ready::Kernel),
            Self::Package(path) => debian::own(archive, path).map(Ready::Kernel),
            Self::Image(path) => Ok(Ready::Kernel(kernel::own(path)?)),
        }
    }
}

/// What builds a kernel.
pub(super) fn builders(arch: Arch) -> Vec<tools::Bundle> {
    [tools::BUILD].into_iter().chain(arch.row().cross.map(|_| tools::CROSS)).collect()
}
