// SPDX-License-Identifier: MIT OR Apache-2.0
//! A distribution's own kernel as it is: the image of a Debian package, with the modules that the lab needs of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{Apt, Archive, Candidate};
use super::cache::{self, Cache};
use super::child::{Ending, Runner};
use super::kernel::Kernel;
use super::{arch::HOST, error::LabError, modules, tools, version::Version};
use crate::model::{Exit, fingerprint};

/// What an unpacked package and what is kept of it need together, in MiB.
const SPACE_MIB: u64 = 1024;

/// Debian's own kernel in the cache: the newest one whose version begins like this.
pub(super) fn cached(cache: &Cache, wanted: Option<&Version>) -> Option<Kernel> {
    let folders = fs::read_dir(cache.path("images")).ok()?.flatten();
    let kernels = folders.filter_map(|folder| {
        let version: Version = fs::read_to_string(folder.path().join("debian")).ok()?.parse().ok()?;
        let finished = folder.file_name().to_string_lossy() == name(&version);
        (finished && chosen(wanted, &version)).then(|| (version, folder.path()))
    });
    let (version, folder) = kernels.max_by(|a, b| a.0.cmp(&b.0))?;
    kept(&folder, format!("Debian's {version}"))
}

fn name(version: &Version) -> String {
    format!("debian-{}", version.file_name())
}

fn chosen(wanted: Option<&Version>, version: &Version) -> bool {
    wanted.is_none_or(|wanted| version.begins_with(wanted))
}

/// Gets it from Debian's archive.
pub(super) fn get(archive: &Archive<'_>, wanted: Option<&Version>) -> Result<Kernel, LabError> {
    archive.cache.needs(SPACE_MIB, "get Debian's kernel")?;
    let apt = archive.open("Debian's kernel")?;
    // Neither the unsigned ones nor those for clouds or with real-time patches, whose names have one more word.
    let plain = format!("^linux-image-[0-9][^-]*(-[0-9]+)?-{}$", HOST.debian);
    let candidates = apt.candidates(&plain)?;
    let Some(image) = candidates.iter().rfind(|one| chosen(wanted, &one.version)) else {
        return Err(none(&candidates, wanted));
    };
    let version = &image.version;
    let unpacking = archive.cache.path("images/unpacking");
    cache::remove(&unpacking)?;
    cache::create(&unpacking)?;
    for package in packages(apt, image)? {
        let deb = apt.download(&package)?;
        archive.progress.say(&format!("unpacking {}", package.package));
        apt.unpack(&deb, &unpacking)?;
        cache::remove(&deb)?;
    }
    let folder = archive.cache.path("images").join(name(version));
    keep(archive, &unpacking, &folder, &image.package)?;
    cache::write(&folder.join("debian"), version.as_str().as_bytes())?;
    kept(&folder, format!("Debian's {version}")).ok_or_else(|| incomplete(&image.package))
}

/// The package of an image, or those that it is divided into since Linux 7.0: `linux-image-X` then only names `linux-binary-X` and `linux-modules-X`.
fn packages(apt: &Apt<'_>, image: &Candidate) -> Result<Vec<Candidate>, LabError> {
    let suffix = image.package.trim_start_matches("linux-image");
    let escaped: String =
        suffix.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("[{c}]") }).collect();
    let parts = apt.candidates(&format!("^linux-(binary|modules){escaped}$"))?;
    let parts: Vec<Candidate> = parts.into_iter().filter(|part| part.version == image.version).collect();
    Ok(if parts.is_empty() { vec![image.clone()] } else { parts })
}

fn none(candidates: &[Candidate], wanted: Option<&Version>) -> LabError {
    let mut versions: Vec<String> = candidates.iter().map(|one| one.version.upstream().to_string()).collect();
    versions.dedup();
    let wanted = wanted.map(|version| format!(" {version}")).unwrap_or_default();
    LabError::usage(format!("failed to find Debian's own Linux{wanted} among its linux-image packages"))
        .detail(format!("there are: {}", if versions.is_empty() { "none".to_owned() } else { versions.join(", ") }))
        .help("choose one of them, such as --kernel debian:6.12; or leave out `debian:`, and the lab builds it")
}

/// Where the kernel of a user's package is kept, and what it is called. Another file of the same name is another kernel.
fn place(cache: &Cache, deb: &Path) -> Result<(PathBuf, String), LabError> {
    let find = |error| LabError { exit: Exit::Usage, ..LabError::io("find the package", deb, &error) };
    let path = deb.canonicalize().map_err(find)?;
    let data = fs::metadata(&path).map_err(find)?;
    let text = format!("{} {} {:?}", path.display(), data.len(), data.modified().ok());
    let folder = cache.path(format!("images/package-{:016x}", fingerprint(text.as_bytes())));
    Ok((folder, path.file_name().unwrap_or_default().to_string_lossy().into_owned()))
}

/// The kernel of a package that the user names, if it was unpacked before.
pub(super) fn own_cached(cache: &Cache, deb: &Path) -> Result<Option<Kernel>, LabError> {
    let (folder, name) = place(cache, deb)?;
    Ok(kept(&folder, name))
}

/// The same, unpacked.
pub(super) fn own(archive: &Archive<'_>, deb: &Path) -> Result<Kernel, LabError> {
    let (folder, name) = place(archive.cache, deb)?;
    archive.cache.needs(SPACE_MIB, "unpack the kernel's package")?;
    let unpacking = archive.cache.path("images/unpacking");
    cache::remove(&unpacking)?;
    cache::create(&unpacking)?;
    archive.unpack(deb, &unpacking)?;
    keep(archive, &unpacking, &folder, &name)?;
    kept(&folder, name.clone()).ok_or_else(|| incomplete(&name))
}

fn incomplete(package: &str) -> LabError {
    LabError::new(format!("failed to take the kernel out of {package}: it has no image or no modules"))
}

/// Keeps of an unpacked package the image, its configuration, and the modules that a guest needs, with their dependencies.
fn keep(archive: &Archive<'_>, unpacked: &Path, folder: &Path, package: &str) -> Result<(), LabError> {
    let Archive { cache, progress, interrupt, .. } = archive;
    let found = modules::folder(unpacked);
    let image = found.as_deref().and_then(|folder| image(unpacked, folder));
    let (Some(found), Some(image)) = (found, image) else {
        return Err(LabError::usage(format!("failed to find a kernel in {package}"))
            .detail(
                "expected boot/vmlinuz-VERSION or usr/lib/modules/VERSION/vmlinuz, and usr/lib/modules/VERSION/kernel",
            )
            .help("name a package with both, or Debian's own kernel by its version, such as --kernel debian:6.12"));
    };
    let keeping = cache.path("images/keeping");
    cache::remove(&keeping)?;
    cache::create(&keeping.join("modules"))?;
    progress.say("taking the kernel and its modules from the package");
    let tools = [tools::COMPRESSORS.get(archive)?];
    let runner = Runner { doing: "uncompressing a module", interrupt, ending: Ending::Killed, log: None };
    let list = modules::keep(&found, &keeping.join("modules"), &tools, &runner)?;
    cache::write(&keeping.join("list"), list.join("\n").as_bytes())?;
    fs::copy(&image, keeping.join("image")).map_err(|error| LabError::io("copy", &image, &error))?;
    cache::remove(folder)?;
    fs::rename(&keeping, folder).map_err(|error| LabError::io("rename", &keeping, &error))?;
    cache::remove(unpacked)
}

/// The image of the package whose modules are in this folder.
fn image(unpacked: &Path, modules: &Path) -> Option<PathBuf> {
    let version = modules.file_name()?.to_string_lossy();
    [modules.join("vmlinuz"), unpacked.join(format!("boot/vmlinuz-{version}"))].into_iter().find(|path| path.is_file())
}

fn kept(folder: &Path, name: String) -> Option<Kernel> {
    let list = fs::read_to_string(folder.join("list")).ok()?;
    let modules = list.lines().map(|module| folder.join("modules").join(module)).collect();
    Some(folder.join("image")).filter(|image| image.exists()).map(|image| Kernel {
        name,
        image,
        modules,
        counted: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_was_asked_for_is_taken_from_the_cache() {
        let cache = cache::tests::scratch("images");
        for version in ["6.12.117-1", "6.12.95-1", "7.3.4-1"] {
            let folder = cache.folder(format!("images/debian-{version}/modules")).unwrap();
            let folder = folder.parent().unwrap();
            for (file, text) in [("debian", version), ("list", "vfio.ko\nvfio-pci.ko"), ("image", "")] {
                cache::write(&folder.join(file), text.as_bytes()).unwrap();
            }
        }
        cache.folder("images/unpacking").unwrap();
        let kernel = cached(&cache, Some(&"6.12".parse().unwrap())).unwrap();
        assert_eq!(kernel.name, "Debian's 6.12.117-1");
        assert!(kernel.modules[1].ends_with("images/debian-6.12.117-1/modules/vfio-pci.ko"));
        assert_eq!(cached(&cache, None).unwrap().name, "Debian's 7.3.4-1");
        assert_eq!(cached(&cache, Some(&"6.1".parse().unwrap())), None);
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn what_debian_does_not_have_is_told_with_what_it_has() {
        let one = |version: &str| Candidate { package: "linux-image".into(), version: version.parse().unwrap() };
        let all = ["6.1.170-3", "6.1.176-1", "6.12.117-1"].map(one);
        let error = none(&all, Some(&"5.4".parse().unwrap()));
        assert!(error.to_string().contains("Linux 5.4 among") && error.to_string().contains("6.1.176, 6.12.117\n"));
        assert_eq!(error.exit, Exit::Usage);
    }

    #[test]
    fn the_image_lies_below_boot_or_beside_the_modules() {
        let cache = cache::tests::scratch("vmlinuz");
        let old = cache.folder("old/usr/lib/modules/6.1.0-50-amd64/kernel").unwrap();
        cache.folder("old/boot").unwrap();
        cache::write(&cache.path("old/boot/vmlinuz-6.1.0-50-amd64"), b"").unwrap();
        let modules = old.parent().unwrap();
        assert_eq!(modules::folder(&cache.path("old")).as_deref(), Some(modules));
        assert_eq!(image(&cache.path("old"), modules), Some(cache.path("old/boot/vmlinuz-6.1.0-50-amd64")));
        cache::write(&modules.join("vmlinuz"), b"").unwrap();
        assert_eq!(image(&cache.path("old"), modules), Some(modules.join("vmlinuz")));
        cache::remove(&cache.path("")).unwrap();
    }
}
