// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's source: a Debian package, downloaded and unpacked into the cache, not installed.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{Archive, Candidate};
use super::cache::{self, Cache};
use super::child::{self, Ending, Runner};
use super::{error::LabError, options::KernelChoice, tools, version::Version};

/// Files in the archive of Linux 7.3, for the progress bar.
const FILES: u64 = 102_000;

/// What an unpacked source, its package and a build need together, in MiB.
const SPACE_MIB: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The package's version, such as `7.3.4-1~bpo13+1`.
    pub version: Version,
    pub tree: PathBuf,
}

pub(super) fn chosen(choice: &KernelChoice, version: &Version) -> bool {
    match choice {
        KernelChoice::Version(prefix) => version.begins_with(prefix),
        KernelChoice::Newest | KernelChoice::Debian(_) | KernelChoice::Path(_) => true,
    }
}

/// Where the source of this version is unpacked.
pub(super) fn tree(cache: &Cache, version: &Version) -> PathBuf {
    cache.path("sources").join(version.file_name()).join("tree")
}

/// The newest source in the cache that is what was asked for.
pub(super) fn cached(cache: &Cache, choice: &KernelChoice) -> Option<Source> {
    let folders = fs::read_dir(cache.path("sources")).ok()?.flatten();
    let sources = folders.filter_map(|folder| {
        let version: Version = fs::read_to_string(folder.path().join("version")).ok()?.parse().ok()?;
        // A folder that is still being unpacked has another name.
        let finished = folder.file_name().to_string_lossy() == version.file_name();
        (finished && chosen(choice, &version)).then(|| Source { version, tree: folder.path().join("tree") })
    });
    sources.max_by(|a, b| a.version.cmp(&b.version))
}

/// Gets the source, unless it is in the cache. The folders of `tools` have the program that unpacks it.
pub(super) fn get(archive: &Archive<'_>, choice: &KernelChoice, tools: &[PathBuf]) -> Result<Source, LabError> {
    let Archive { cache, .. } = archive;
    if let Some(source) = cached(cache, choice) {
        return Ok(source);
    }
    cache.needs(SPACE_MIB, "get the kernel's source")?;
    let apt = archive.open("the kernel's source")?;
    let packages = apt.candidates("^linux-source-[0-9.]+$")?;
    if let Some(candidate) = pick(&packages, choice) {
        return unpacked(archive, candidate, tools);
    }
    // Releases that have left the packages are in the archive as source packages: for those who ask what their binaries were built from.
    let all = apt.sources_of_linux()?;
    match pick(&all, choice) {
        Some(candidate) => upstream(archive, candidate, tools),
        None => Err(none(&all, choice)),
    }
}

/// From a package with Debian's source, patched as Debian's kernel is.
fn unpacked(archive: &Archive<'_>, candidate: &Candidate, tools: &[PathBuf]) -> Result<Source, LabError> {
    let apt = archive.open("the kernel's source")?;
    let deb = apt.download(candidate)?;
    let package = archive.cache.path("sources/package");
    cache::remove(&package)?;
    cache::create(&package)?;
    archive.progress.say(&format!("unpacking {}", candidate.package));
    apt.unpack(&deb, &package)?;
    let tar = package.join(format!("usr/src/{}.tar.xz", candidate.package));
    let source = untar(archive, &candidate.version, &tar, tools)?;
    cache::remove(&package)?;
    cache::remove(&deb)?;
    Ok(source)
}

/// From a source package: the release as upstream made it, without Debian's patches.
fn upstream(archive: &Archive<'_>, candidate: &Candidate, tools: &[PathBuf]) -> Result<Source, LabError> {
    let version = candidate.version.upstream();
    let tar = archive.open("the kernel's source")?.download_source(candidate)?;
    let source = untar(archive, &version, &tar, tools)?;
    cache::remove(&tar)?;
    Ok(source)
}

fn untar(archive: &Archive<'_>, version: &Version, from: &Path, tools: &[PathBuf]) -> Result<Source, LabError> {
    let Archive { cache, progress, interrupt, .. } = archive;
    let name = version.file_name();
    let unpacking = cache.path("sources").join(format!("{name}.unpacking"));
    cache::remove(&unpacking)?;
    let tree = unpacking.join("tree");
    cache::create(&tree)?;
    let doing = format!("unpacking the source of Linux {version}");
    let mut bar = progress.bar(&doing, FILES);
    let mut tar = child::command("tar", Ending::Killed);
    tar.arg("-xvJf").arg(from).arg("-C").arg(&tree).arg("--strip-components=1").env("PATH", tools::path(tools));
    Runner { doing: &doing, interrupt, ending: Ending::Killed, log: None }.succeed(tar, |line| {
        if line.is_some() {
            bar.step();
        }
    })?;
    if !tree.join("Kconfig").exists() {
        return Err(LabError::new(format!("failed while {doing}: there is no Kconfig in {}", tree.display()))
            .detail(format!("expected the kernel's tree in {}", from.display()))
            .help("choose another version with --kernel"));
    }
    cache::write(&unpacking.join("version"), version.as_str().as_bytes())?;
    let finished = cache.path("sources").join(&name);
    cache::remove(&finished)?;
    fs::rename(&unpacking, &finished).map_err(|error| LabError::io("rename", &unpacking, &error))?;
    Ok(Source { version: version.clone(), tree: finished.join("tree") })
}

fn pick<'a>(candidates: &'a [Candidate], choice: &KernelChoice) -> Option<&'a Candidate> {
    candidates.iter().rfind(|one| chosen(choice, &one.version))
}

fn none(candidates: &[Candidate], choice: &KernelChoice) -> LabError {
    let mut versions: Vec<String> = candidates.iter().map(|one| one.version.upstream().to_string()).collect();
    versions.dedup();
    let wanted = match choice {
        KernelChoice::Version(version) => format!("Linux {version}"),
        KernelChoice::Newest | KernelChoice::Debian(_) | KernelChoice::Path(_) => "a kernel's source".into(),
    };
    LabError::usage(format!("failed to find {wanted} in Debian's archive"))
        .detail(format!("there are: {}", if versions.is_empty() { "none".to_owned() } else { versions.join(", ") }))
        .help("choose one of them with --kernel, or a kernel image with --kernel ./bzImage")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Exit;

    fn candidates() -> Vec<Candidate> {
        let one =
            |version: &str| Candidate { package: format!("linux-source-{version}"), version: version.parse().unwrap() };
        vec![one("6.1.9-1"), one("6.12.3-1"), one("7.3.4-1~bpo13+1")]
    }

    #[test]
    fn the_newest_or_the_asked_for_version_is_picked() {
        let all = candidates();
        assert_eq!(pick(&all, &KernelChoice::Newest).unwrap().version.as_str(), "7.3.4-1~bpo13+1");
        let asked = KernelChoice::Version("6.1".parse().unwrap());
        assert_eq!(pick(&all, &asked).unwrap().version.as_str(), "6.1.9-1");
        assert_eq!(pick(&all, &KernelChoice::Version("5.10".parse().unwrap())), None);
    }

    #[test]
    fn a_version_that_has_left_the_archive_is_told_with_those_that_are_there() {
        let error = none(&candidates(), &"5.10".parse().unwrap());
        assert!(error.to_string().contains("there are: 6.1.9, 6.12.3, 7.3.4\n"), "{error}");
        assert_eq!(error.exit, Exit::Usage);
    }

    #[test]
    fn a_half_unpacked_source_is_never_taken_for_a_whole_one() {
        let cache = cache::tests::scratch("source");
        for name in ["7.3.4-1", "6.12.3-1", "8.0-1.unpacking"] {
            let folder = cache.folder(format!("sources/{name}")).unwrap();
            cache::write(&folder.join("version"), name.trim_end_matches(".unpacking").as_bytes()).unwrap();
        }
        assert_eq!(cached(&cache, &KernelChoice::Newest).unwrap().version.as_str(), "7.3.4-1");
        assert_eq!(cached(&cache, &"6.12".parse().unwrap()).unwrap().version.as_str(), "6.12.3-1");
        assert_eq!(cached(&cache, &"6.1".parse().unwrap()), None);
        cache::remove(&cache.path("")).unwrap();
    }
}
