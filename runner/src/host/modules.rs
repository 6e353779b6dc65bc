// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading the modules of the kernel that tests need, by `modprobe`, which knows what each needs itself.

use std::process::Command;

use super::{Root, bind::BindError, bind::VFIO};
use crate::uapi::system;

/// The driver, and the backends. A distribution's kernel may be built without one of the backends.
const MODULES: [&str; 3] = [VFIO, "vfio_iommu_type1", "iommufd"];

/// Whether the kernel has something that may be a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Or built in.
    Loaded,
    Loadable,
    Missing,
}

pub(super) fn state(root: &Root, module: &str) -> State {
    let is_there = match module {
        VFIO => root.join(format!("sys/bus/pci/drivers/{VFIO}")).exists(),
        "iommufd" => root.join("dev/iommu").exists() || root.join("sys/class/misc/iommu").exists(),
        _ => root.join(format!("sys/module/{module}")).exists(),
    };
    if is_there {
        return State::Loaded;
    }
    // A line for each: its file, a colon, and the files that it needs (modules.dep(5)).
    let list = root.text(format!("lib/modules/{}/modules.dep", system::release())).unwrap_or_default();
    let file = format!("/{}.ko", module.replace('_', "-"));
    let other = format!("/{}.ko", module.replace('-', "_"));
    let files = list.lines().filter_map(|line| line.split(':').next());
    let is_file = |name: &str| name.contains(&file) || name.contains(&other);
    if files.into_iter().any(is_file) { State::Loadable } else { State::Missing }
}

/// Loads what is not loaded or built in, and returns what it loaded.
///
/// # Errors
/// The driver cannot be loaded. Without a backend its cases are skipped.
pub fn load() -> Result<Vec<&'static str>, BindError> {
    let root = Root::default();
    let mut loaded = Vec::new();
    for module in MODULES {
        if state(&root, module) == State::Loaded {
            continue;
        }
        match modprobe(module) {
            Ok(()) if state(&root, module) == State::Loaded => loaded.push(module),
            Ok(()) => {}
            Err(why) if module == VFIO => return Err(BindError::Module(module, why)),
            Err(_) => {}
        }
    }
    Ok(loaded)
}

fn modprobe(module: &str) -> Result<(), String> {
    // Rules of udev call this without the folders of the administrator's programs.
    let path = format!("{}:/usr/sbin:/sbin:/usr/bin:/bin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("modprobe").arg(module).env("PATH", path).output();
    let output = output.map_err(|error| format!("failed to start modprobe: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
    }
}
