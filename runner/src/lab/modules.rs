// SPDX-License-Identifier: MIT OR Apache-2.0
//! Modules of a kernel that is not the lab's own build: which ones the guest loads, in which order, and how it loads them.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::kmod::{ModuleInitFlags, finit_module};

use super::child::{self, Ending, Runner};
use super::{error::LabError, tools};

/// What the guest loads of what there is: the others are built in, or the kernel has none.
const WANTED: [&str; 6] = ["virtio_console", "virtio_iommu", "iommufd", "vfio_iommu_type1", "vfio_pci", "pci_stub"];

/// Without this one, and not built in, there is nothing to test.
const NEEDED: &str = "vfio_pci";

/// The folder of a package's modules, which has its version as its name.
pub(super) fn folder(unpacked: &Path) -> Option<PathBuf> {
    let places = ["usr/lib/modules", "lib/modules"].map(|place| unpacked.join(place));
    let folders = places.into_iter().flat_map(|place| fs::read_dir(place).into_iter().flatten().flatten());
    folders.map(|folder| folder.path()).find(|folder| folder.join("kernel").is_dir())
}

/// Puts the modules, uncompressed, into the folder `to`, and returns their files in the order in which they can be loaded.
pub(super) fn keep(from: &Path, to: &Path, tools: &[PathBuf], runner: &Runner<'_>) -> Result<Vec<String>, LabError> {
    let mut all = BTreeMap::new();
    files(&from.join("kernel"), &mut all);
    let builtin = fs::read_to_string(from.join("modules.builtin")).unwrap_or_default();
    let builtin = builtin.lines().filter_map(|line| name(Path::new(line)));
    if !all.contains_key(NEEDED) && !builtin.into_iter().any(|name| name == NEEDED) {
        return Err(LabError::usage(format!("failed to find the module {NEEDED} in {}", from.display()))
            .help("name a package of a kernel that has VFIO: CONFIG_VFIO_PCI"));
    }
    let mut keeping = Keeping { all, to, tools, runner, order: Vec::new() };
    WANTED.iter().try_for_each(|module| keeping.with_dependencies(module))?;
    Ok(keeping.order)
}

struct Keeping<'a> {
    all: BTreeMap<String, PathBuf>,
    to: &'a Path,
    tools: &'a [PathBuf],
    runner: &'a Runner<'a>,
    order: Vec<String>,
}

impl Keeping<'_> {
    /// Each module once, behind those that it needs; each is removed from `all` before, so that a circle ends.
    fn with_dependencies(&mut self, module: &str) -> Result<(), LabError> {
        let Some(path) = self.all.remove(module) else { return Ok(()) };
        let file = uncompressed(&path, &self.to.join(format!("{module}.ko")), self.tools, self.runner)?;
        for dependency in depends(&file) {
            self.with_dependencies(&dependency)?;
        }
        self.order.push(format!("{module}.ko"));
        Ok(())
    }
}

/// Copies a module, and returns what is in it.
fn uncompressed(from: &Path, to: &Path, tools: &[PathBuf], runner: &Runner<'_>) -> Result<Vec<u8>, LabError> {
    let end = from.extension().unwrap_or_default().to_string_lossy().into_owned();
    let program = match &*end {
        "xz" => Some("xz"),
        "zst" => Some("zstd"),
        "gz" => Some("gzip"),
        _ => None,
    };
    let copy = if program.is_some() { to.with_extension(format!("ko.{end}")) } else { to.to_owned() };
    fs::copy(from, &copy).map_err(|error| LabError::io("copy", from, &error))?;
    if let Some(program) = program {
        let mut command = child::command(program, Ending::Killed);
        command.args(["-d", "-f"]).arg(&copy).env("PATH", tools::path(tools));
        runner.succeed(command, |_| {})?;
        let _ = fs::remove_file(&copy); // zstd leaves it
    }
    fs::read(to).map_err(|error| LabError::io("read", to, &error))
}

/// All modules below a folder by their names.
fn files(folder: &Path, into: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&path, into);
        } else if let Some(name) = name(&path) {
            into.insert(name, path);
        }
    }
}

/// The name of a module, as the kernel writes it, from its file: `vfio_pci` of `vfio-pci.ko.xz`.
fn name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    name.split_once(".ko").map(|(name, _)| name.replace('-', "_"))
}

/// The modules that this one needs: `depends=` among the texts of its section `.modinfo`, each of which ends with a zero.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else { return Vec::new() };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

/// In the guest: loads a module with its parameters from the kernel's command line, where modprobe would find them, too.
pub(super) fn load(path: &Path, command_line: &str) -> Result<(), String> {
    let module = name(path).unwrap_or_default();
    let parameters = CString::new(parameters(&module, command_line)).unwrap_or_default();
    let file = File::open(path).map_err(|error| format!("failed to open {}: {error}", path.display()))?;
    match finit_module(&file, &parameters, ModuleInitFlags::empty()) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
        Err(error) => Err(format!("failed to load the module {module}: {error}")),
    }
}

fn parameters(module: &str, command_line: &str) -> String {
    let its = command_line.split_whitespace().filter_map(|word| {
        let (name, parameter) = word.split_once('.')?;
        (name.replace('-', "_") == module).then_some(parameter)
    });
    its.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::cache;
    use super::*;

    #[test]
    fn a_module_names_what_it_needs() {
        assert_eq!(depends(b"\x7fELF\0license=GPL\0depends=vfio-pci-core,vfio\0name=x"), ["vfio_pci_core", "vfio"]);
        assert!(depends(b"\0depends=\0name=irqbypass").is_empty());
        assert!(depends(b"\x7fELF").is_empty());
    }

    #[test]
    fn modules_are_loaded_behind_what_they_need() {
        let cache = cache::tests::scratch("modules");
        let from = cache.folder("from/kernel/drivers/vfio").unwrap();
        for (file, depends) in [
            ("vfio-pci.ko", "vfio-pci-core,vfio"),
            ("vfio-pci-core.ko", "vfio,irqbypass"),
            ("vfio.ko", ""),
            ("irqbypass.ko", ""),
            ("other.ko", ""),
        ] {
            fs::write(from.join(file), format!("x\0depends={depends}\0")).unwrap();
        }
        let calm = AtomicBool::new(false);
        let runner = Runner { doing: "testing", interrupt: &calm, ending: Ending::Killed, log: None };
        let to = cache.folder("to").unwrap();
        let order = keep(&cache.path("from"), &to, &[], &runner).unwrap();
        assert_eq!(order, ["vfio.ko", "irqbypass.ko", "vfio_pci_core.ko", "vfio_pci.ko"]);
        assert!(order.iter().all(|module| to.join(module).exists()));
        let error = keep(&cache.path("to"), &to, &[], &runner).unwrap_err();
        assert!(error.what.contains("vfio_pci"), "{error}");
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn a_modules_parameters_are_on_the_kernels_command_line() {
        let line = "quiet vfio_pci.enable_sriov=1 vfio-pci.ids=1:2 vfio.x=1 root=a.b";
        assert_eq!(parameters("vfio_pci", line), "enable_sriov=1 ids=1:2");
        assert_eq!(parameters("pci_stub", line), "");
    }
}
