// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that the lab calls: Debian's packages, unpacked into the cache and run from there. Nothing is installed.
//!
//! Each bundle has a folder of its own with everything down to the C library. Where a program was, a script calls it with that folder's
//! loader and libraries, so that it runs on any distribution. What its compiler makes begins with that loader, too.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::apt::Archive;
use super::cache::{self, Cache};
use super::{arch::HOST, boot, error::LabError};
use crate::{language::Arch, model::fingerprint};

/// Packages that are unpacked together with all that they need.
#[derive(Debug)]
pub(super) struct Bundle {
    /// For the folder's name.
    name: &'static str,
    /// For people.
    what: &'static str,
    /// Those of another architecture have its name behind a colon.
    packages: &'static [&'static str],
}

pub(super) fn qemu(arch: Arch) -> Bundle {
    Bundle { name: "qemu", what: "QEMU", packages: arch.row().qemu_packages }
}

/// What a person's shell in the guest is.
pub(super) fn shell(arch: Arch) -> Bundle {
    Bundle { name: "shell", what: "busybox", packages: arch.row().shell_packages }
}

/// What builds a kernel, beside perl and the programs that every Debian has.
pub(super) const BUILD: Bundle = Bundle {
    name: "build",
    what: "the build tools",
    // libelf-dev: objtool reads the kernel's objects with it. xz-utils: tar calls it for the kernel's source.
    packages: &["bc", "binutils", "bison", "flex", "gcc", "libc6-dev", "libelf-dev", "m4", "make", "xz-utils"],
};

/// What builds for arm64, beside [`BUILD`].
pub(super) const CROSS: Bundle =
    Bundle { name: "cross", what: "the cross compiler", packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"] };

/// What shows the lines of the kernel that ran.
pub(super) const COVERAGE: Bundle = Bundle { name: "coverage", what: "grcov", packages: &["grcov"] };

/// What builds programs in Rust for arm64, where the machine's own cargo does not.
pub(super) const RUST: Bundle =
    Bundle { name: "rust", what: "Rust", packages: &["cargo", "libstd-rust-dev:arm64", "rustc"] };

/// What modules of a distribution's kernel are compressed with.
pub(super) const COMPRESSORS: Bundle =
    Bundle { name: "compressors", what: "xz and zstd", packages: &["xz-utils", "zstd"] };

/// What a bundle needs until it is unpacked, in MiB.
const SPACE_MIB: u64 = 512;

/// Folders that have programs.
const PROGRAMS: [&str; 3] = ["usr/bin", "usr/sbin", "usr/libexec"];

/// What Debian's base-files would link: packages have files below both names.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

impl Bundle {
    /// Where it is in the cache. With other packages it is another one.
    fn folder(&self, cache: &Cache) -> PathBuf {
        let packages = fingerprint(self.packages.join(" ").as_bytes());
        cache.path(format!("tools/{}-{:08x}", self.name, packages & 0xffff_ffff))
    }

    pub fn cached(&self, cache: &Cache) -> Option<PathBuf> {
        Some(self.folder(cache)).filter(|folder| folder.exists())
    }

    /// Gets it, unless it is in the cache.
    pub fn get(&self, archive: &Archive<'_>) -> Result<PathBuf, LabError> {
        let Archive { cache, progress, .. } = archive;
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        let foreign = self.packages.iter().find_map(|package| package.split_once(':'));
        let with_foreign = foreign.map(|(_, arch)| archive.with(arch));
        let archive = with_foreign.as_ref().unwrap_or(archive);
        let apt = archive.open(self.what)?;
        cache.needs(SPACE_MIB, &format!("get {}", self.what))?;
        let debs = apt.closure(self.what, self.packages)?;
        let finished = self.folder(cache);
        let unpacking = finished.with_extension("unpacking");
        cache::remove(&unpacking)?;
        for name in MERGED {
            cache::create(&unpacking.join("usr").join(name))?;
            let link = unpacking.join(name);
            std::os::unix::fs::symlink(format!("usr/{name}"), &link)
                .map_err(|error| LabError::io("create", &link, &error))?;
        }
        let mut bar = progress.bar(&format!("unpacking {}", self.what), debs.len() as u64);
        for deb in debs {
            apt.unpack(&deb, &unpacking)?;
            cache::remove(&deb)?;
            bar.step();
        }
        drop(bar);
        for folder in PROGRAMS {
            wrap_all(&unpacking, folder)?;
        }
        fs::rename(&unpacking, &finished).map_err(|error| LabError::io("rename", &unpacking, &error))?;
        Ok(finished)
    }
}

/// QEMU's program in the folder of its bundle.
pub(super) fn qemu_program(folder: &Path, arch: Arch) -> PathBuf {
    folder.join("usr/bin").join(arch.row().qemu)
}

/// The `PATH` on which the programs of bundles come first.
pub(super) fn path(folders: &[PathBuf]) -> String {
    let bundles: String = folders.iter().map(|folder| format!("{}:", folder.join("usr/bin").display())).collect();
    format!("{bundles}{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Puts a script in the place of each program below a folder of `root` that names a loader, and the program beside it, hidden.
fn wrap_all(root: &Path, folder: &str) -> Result<(), LabError> {
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let (path, kind, name) = (entry.path(), entry.file_type(), entry.file_name());
        let name = name.to_string_lossy();
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            wrap_all(root, &format!("{folder}/{name}"))?;
        } else if kind.is_ok_and(|kind| kind.is_file()) && boot::is_dynamic(&start_of(&path)?) {
            wrap(&path, folder, &name)?;
        }
    }
    Ok(())
}

/// The part of a file in which an ELF file has its program headers.
fn start_of(path: &Path) -> Result<Vec<u8>, LabError> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
    read.map_err(|error| LabError::io("read", path, &error))?;
    Ok(start)
}

fn wrap(program: &Path, folder: &str, name: &str) -> Result<(), LabError> {
    let beside = program.with_file_name(format!(".{name}"));
    fs::rename(program, &beside).map_err(|error| LabError::io("rename", program, &error))?;
    fs::write(program, script(folder, name)).map_err(|error| LabError::io("write", program, &error))?;
    fs::set_permissions(program, Permissions::from_mode(0o755)).map_err(|error| LabError::io("write", program, &error))
}

/// The script finds the bundle's folder by its own path, so that the cache may be moved. It may be called by a link from elsewhere in it.
fn script(folder: &str, name: &str) -> String {
    let (loader, libraries) = (HOST.loader, HOST.libraries);
    let arguments = if name.starts_with("aarch64-") && name.contains("-gcc") {
        r#"--sysroot="$root" "#.to_owned()
    } else if name.contains("-gcc") {
        format!(r#"--sysroot="$root" -Wl,--dynamic-linker="$root/{loader}" -Wl,-rpath,"$root/{libraries}" "#)
    } else if name == "rustc" {
        r#"--sysroot "$root/usr" "#.to_owned()
    } else if name.starts_with("qemu-system-") {
        r#"-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "#.to_owned()
    } else {
        String::new()
    };
    format!(
        r#"#!/bin/sh
# Written by vfiospec: runs the program beside it with the loader, the libraries and the data of its own folder.
folder=${{0%/*}}
root=${{folder%/usr/*}}
export QEMU_MODULE_DIR="$root/{libraries}/qemu" BISON_PKGDATADIR="$root/usr/share/bison" M4="$root/usr/bin/m4"
exec "$root/{loader}" --library-path "$root/{libraries}" --argv0 "$0" "$root/{folder}/.{name}" {arguments}"$@"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_names_a_loader_is_called_by_a_script_and_no_other_file_is() {
        let cache = cache::tests::scratch("wrapped");
        let folder = cache.folder("root/usr/libexec/gcc").unwrap();
        let elf = {
            let mut elf = vec![0; 64 + 56];
            (elf[32], elf[54], elf[56], elf[64]) = (64, 56, 1, 3);
            elf
        };
        fs::write(folder.join("cc1"), &elf).unwrap();
        fs::write(folder.join("script"), "#!/bin/sh\n").unwrap();
        wrap_all(&cache.path("root"), "usr/libexec").unwrap();
        assert_eq!(fs::read(folder.join(".cc1")).unwrap(), elf);
        assert!(fs::read_to_string(folder.join("cc1")).unwrap().contains("\"$root/usr/libexec/gcc/.cc1\" \"$@\"\n"));
        assert_eq!(fs::read_to_string(folder.join("script")).unwrap(), "#!/bin/sh\n");
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn the_compiler_and_qemu_get_what_they_find_their_data_with() {
        let script = |name| script("usr/bin", name);
        assert!(script("x86_64-linux-gnu-gcc-14").contains("--sysroot=\"$root\" -Wl,--dynamic-linker="));
        assert!(script("aarch64-linux-gnu-gcc-14").contains("--sysroot=\"$root\" \"$@\""));
        for arch in [Arch::X86_64, Arch::Arm64] {
            assert!(script(arch.row().qemu).contains("-L \"$root/usr/share/seabios\""));
        }
        assert!(!script("make").contains("--sysroot") && !script("make").contains("-L "));
    }

    #[test]
    fn other_packages_are_another_folder() {
        let cache = cache::tests::scratch("bundles");
        let qemu = qemu(Arch::X86_64);
        assert_eq!(qemu.cached(&cache), None);
        let more = Bundle { packages: &["qemu-system-x86", "more"], ..qemu };
        assert_ne!(qemu.folder(&cache), more.folder(&cache));
        cache::remove(&cache.path("")).unwrap();
    }
}
