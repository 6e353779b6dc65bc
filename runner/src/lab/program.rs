// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program that a guest runs as its init: this one, or the same built for the guest's architecture.

use std::path::{Path, PathBuf};
use std::{env, process::Command, sync::atomic::AtomicBool};

use super::apt::Archive;
use super::arch::Cross;
use super::cache::{self, Cache};
use super::child::{self, Ending, Runner};
use super::tools::{self, Bundle};
use super::{error::LabError, progress::Progress};
use crate::{language::Arch, model::fingerprint};

/// Where this program's own source was when it was built.
const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// As large a build as ours, in MiB.
const SPACE_MIB: u64 = 1024;

/// For a guest of another architecture it is the file beside this program that a release has, or else it is built from this program's
/// source. What is built stays in the cache, and cargo builds again only what has changed.
pub(super) fn get(arch: Arch, cache: &Cache, progress: Progress, interrupt: &AtomicBool) -> Result<PathBuf, LabError> {
    let own = env::current_exe().map_err(|error| LabError::new(format!("failed to find this program: {error}")))?;
    let Some(cross) = arch.row().cross else { return Ok(own) };
    let places = of_release(&own, cross.program);
    if let Some(there) = places.iter().find(|place| place.exists()) {
        return Ok(there.clone());
    }
    let manifest = Path::new(SOURCE).join("Cargo.toml");
    if !manifest.exists() {
        return Err(not_there(arch, cross.program, &places));
    }
    let target = cache.path(format!("programs/{:08x}", fingerprint(SOURCE.as_bytes()) & 0xffff_ffff));
    let first = !target.exists();
    if first {
        cache.needs(SPACE_MIB, "build this program")?;
    }
    cache::create(&target)?;
    let bundle = |bundle: &Bundle| match bundle.cached(cache) {
        Some(folder) => Ok(folder),
        None => {
            let _lock = cache.lock("prepare", progress, interrupt)?;
            bundle.get(&Archive::new(cache, progress, interrupt))
        }
    };
    let cross_tools = bundle(&tools::CROSS)?;
    let linker = cross_tools.join("usr/bin").join(format!("{}gcc", cross.prefix));
    let mut path = vec![cross_tools];
    if !builds_for(&cross) {
        path.extend([bundle(&tools::RUST)?, bundle(&tools::BUILD)?]);
    }
    if first {
        progress
            .say(&format!("building this program for {}; this takes minutes, and only the first time", arch.as_str()));
    }
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let mut cargo = child::command("cargo", Ending::Killed);
    cargo.args(["build", "--locked", "--bin", "vfiospec", "--profile", profile, "--target", cross.target]);
    cargo.arg("--manifest-path").arg(&manifest).arg("--target-dir").arg(&target).current_dir(SOURCE);
    let variable = cross.target.to_uppercase().replace('-', "_");
    cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
    cargo.env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), "-C target-feature=+crt-static");
    cargo.env("PATH", tools::path(&path));
    // What a person has set for other programs.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC"] {
        cargo.env_remove(variable);
    }
    let log = target.join("log");
    let _ = std::fs::remove_file(&log);
    Runner { doing: "building this program", interrupt, ending: Ending::Killed, log: Some(&log) }
        .succeed(cargo, |_| {})?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target.join(cross.target).join(folder).join("vfiospec"))
}

/// Where the program for another architecture may be: beside this one, as in a release's folder, or where its package puts it.
fn of_release(own: &Path, name: &str) -> [PathBuf; 2] {
    let packaged = own.parent().and_then(Path::parent).unwrap_or(Path::new("/usr")).join("lib/vfiospec");
    [own.with_file_name(name), packaged.join(name)]
}

fn not_there(arch: Arch, name: &str, places: &[PathBuf; 2]) -> LabError {
    let [beside, packaged] = places.each_ref().map(|place| place.display());
    LabError::new(format!("failed to find this program for {}: there is neither {beside} nor {packaged}", arch.as_str()))
        .detail(format!("it cannot be built either: its source is not in {SOURCE}"))
        .help(format!(
            "the file {name} lies beside the packages of a release, and the package for x86-64 has it; copy it as root: install {name} {packaged}"
        ))
}

/// Whether the machine's own cargo has what a program of the target is made of.
fn builds_for(cross: &Cross) -> bool {
    if child::find("cargo").is_none() {
        return false;
    }
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", cross.target])
        .current_dir(SOURCE)
        .env_remove("RUSTC")
        .output();
    asked.is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_another_architecture_is_looked_for_where_a_package_puts_it_and_its_lack_says_what_to_do() {
        let places = of_release(Path::new("/usr/bin/vfiospec"), "vfiospec-arm64");
        assert_eq!(places, ["/usr/bin/vfiospec-arm64", "/usr/lib/vfiospec/vfiospec-arm64"].map(PathBuf::from));
        let told = not_there(Arch::Arm64, "vfiospec-arm64", &places).to_string();
        for told_of in [
            "for arm64: there is neither /usr/bin/vfiospec-arm64 nor /usr/lib/vfiospec/vfiospec-arm64",
            "install vfiospec-arm64 /usr/lib/vfiospec/vfiospec-arm64",
        ] {
            assert!(told.contains(told_of), "{told}");
        }
    }
}
