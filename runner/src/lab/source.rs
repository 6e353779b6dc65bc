// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's source: a Debian package, downloaded and unpacked into the cache, not installed.

use std::{fs, path::PathBuf};

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
        KernelChoice::Newest | KernelChoice::Image(_) => true,
    }
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
    let Archive { cache, progress, interrupt, .. } = archive;
    if let Some(source) = cached(cache, choice) {
        return Ok(source);
    }
    cache.needs(SPACE_MIB, "get the kernel's source")?;
    let apt = archive.open("the kernel's source")?;
    let candidates = apt.candidates("^linux-source-[0-9.]+$")?;
    let candidate = pick(&candidates, choice)?;
    let deb = apt.download(candidate)?;

    let name = candidate.version.file_name();
    let unpacking = cache.path("sources").join(format!("{name}.unpacking"));
    cache::remove(&unpacking)?;
    let (package, tree) = (unpacking.join("package"), unpacking.join("tree"));
    cache::create(&package)?;
    cache::create(&tree)?;
    let doing = format!("unpacking the source of Linux {}", candidate.version);
    let mut bar = progress.bar(&doing, FILES);
    apt.unpack(&deb, &package)?;
    let archive = package.join(format!("usr/src/{}.tar.xz", candidate.package));
    let mut tar = child::command("tar", Ending::Killed);
    tar.arg("-xvJf").arg(&archive).arg("-C").arg(&tree).arg("--strip-components=1").env("PATH", tools::path(tools));
    Runner { doing: &doing, interrupt, ending: Ending::Killed, log: None }.succeed(tar, |line| {
        if line.is_some() {
            bar.step();
        }
    })?;
    if !tree.join("Kconfig").exists() {
        return Err(LabError::new(format!("failed while {doing}: there is no Kconfig in {}", tree.display()))
            .detail(format!("expected the kernel's tree in {}", archive.display()))
            .help("choose another version with --kernel"));
    }
    cache::remove(&package)?;
    cache::remove(&deb)?;
    cache::write(&unpacking.join("version"), candidate.version.as_str().as_bytes())?;
    let finished = cache.path("sources").join(&name);
    cache::remove(&finished)?;
    fs::rename(&unpacking, &finished).map_err(|error| LabError::io("rename", &unpacking, &error))?;
    Ok(Source { version: candidate.version.clone(), tree: finished.join("tree") })
}

fn pick<'a>(candidates: &'a [Candidate], choice: &KernelChoice) -> Result<&'a Candidate, LabError> {
    candidates.iter().rfind(|one| chosen(choice, &one.version)).ok_or_else(|| {
        let versions = candidates.iter().map(|one| one.version.to_string()).collect::<Vec<_>>().join(", ");
        let wanted = match choice {
            KernelChoice::Version(version) => format!("Linux {version}"),
            KernelChoice::Newest | KernelChoice::Image(_) => "a kernel's source".into(),
        };
        LabError::usage(format!("failed to find {wanted} among Debian's linux-source packages"))
            .detail(format!("there are: {}", if versions.is_empty() { "none" } else { &versions }))
            .help("choose one of them with --kernel, or a kernel image with --kernel ./bzImage")
    })
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
    }

    #[test]
    fn a_version_that_has_left_the_archive_is_told_with_those_that_are_there() {
        let error = pick(&candidates(), &"5.10".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("6.1.9-1, 6.12.3-1, 7.3.4-1~bpo13+1"), "{error}");
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
