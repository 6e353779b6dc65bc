// SPDX-License-Identifier: MIT OR Apache-2.0
//! A developer's own source tree: built outside of it, and only what changed since the last time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::cache::{self, Cache};
use super::kernel::{self, Fragment, Kernel};
use super::{error::LabError, progress::Progress};
use crate::model::fingerprint;

/// How long the image of a build is kept that a later one replaced. A run boots it again where a guest dies.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What the names of images begin with.
const IMAGE: &str = "image-";

/// What a build inside of the tree left there, which the kernel's build outside of it does not accept.
fn built_inside(tree: &Path) -> Option<PathBuf> {
    let architectures = fs::read_dir(tree.join("arch")).into_iter().flatten().flatten();
    let generated = architectures.map(|arch| arch.path().join("include/generated"));
    [".config", "include/config"].map(|left| tree.join(left)).into_iter().chain(generated).find(|left| left.exists())
}

/// The tree at this path, known to be one that can be built from outside.
pub(super) fn own(path: &Path) -> Result<PathBuf, LabError> {
    let tree = path.canonicalize().map_err(|error| LabError::io("find the kernel's source", path, &error))?;
    let shown = tree.display();
    if !tree.join("Kconfig").is_file() || !tree.join("Kbuild").is_file() {
        return Err(LabError::usage(format!("failed to find a kernel's source in {shown}"))
            .detail("it has no file Kconfig or Kbuild")
            .help("name the top folder of the kernel's source with --kernel"));
    }
    if tree.to_string_lossy().contains(|c: char| c.is_whitespace() || c == ':') {
        return Err(LabError::usage(format!("failed to use the kernel's source in {shown}"))
            .detail("the kernel cannot be built from a path with spaces or colons"));
    }
    if let Some(left) = built_inside(&tree) {
        return Err(LabError::usage(format!("failed to use the kernel's source in {shown}: it was built in place"))
            .detail(format!("{} is there, and the kernel's build outside of its source would use it", left.display()))
            .help(format!(
                "make another checkout, which shares its history: git -C {shown} worktree add ../lab; or clean this one with `make mrproper`, which \
                 removes its .config, too"
            )));
    }
    Ok(tree)
}

/// Builds what changed. The tree is only read.
pub(super) fn build(
    cache: &Cache,
    tree: &Path,
    tools: &[PathBuf],
    fragment: &Fragment,
    progress: Progress,
    interrupt: &AtomicBool,
) -> Result<Kernel, LabError> {
    let text = format!("{} {:016x}", tree.display(), fingerprint(fragment.text.as_bytes()));
    let name = format!("{:016x}", fingerprint(text.as_bytes()));
    let _lock = cache.lock(&format!("tree-{name}"), progress, interrupt)?;
    let folder = cache.folder(format!("trees/{name}"))?;
    // For people who clean up.
    cache::write(&folder.join("tree"), format!("{}\n", tree.display()).as_bytes())?;
    let objects = folder.join("build");
    cache::create(&objects)?;
    let built = kernel::Build { tree, tools, objects: &objects, folder: &folder, cache, progress, interrupt };
    let release = built.make(&format!("the kernel of {}", tree.display()), fragment)?;
    let image = kept(&folder, &objects.join(fragment.arch.row().image_file))?;
    let described = describe(tree).map(|described| format!(" at {described}")).unwrap_or_default();
    Ok(Kernel {
        name: format!("{release} of {}{described}{}", tree.display(), fragment.words()),
        image,
        modules: Vec::new(),
        counted: fragment.counted(tree, &objects),
    })
}

/// Puts the image beside the objects under a name of its own: a guest may still boot the one of an earlier build.
fn kept(folder: &Path, image: &Path) -> Result<PathBuf, LabError> {
    let old = fs::read_dir(folder).into_iter().flatten().flatten();
    for file in old.filter(|file| file.file_name().to_string_lossy().starts_with(IMAGE)) {
        let modified = file.metadata().and_then(|data| data.modified());
        if modified.is_ok_and(|modified| modified + KEPT < SystemTime::now()) {
            let _ = fs::remove_file(file.path());
        }
    }
    let bytes = fs::read(image).map_err(|error| LabError::io("read", image, &error))?;
    let kept = folder.join(format!("{IMAGE}{:016x}", fingerprint(&bytes)));
    cache::write(&kept, &bytes)?;
    Ok(kept)
}

/// What git calls the commit, and whether the files differ from it; nothing where there is no git.
fn describe(tree: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        // Neither writes an index: the tree is only read.
        git.arg("-C").arg(tree).arg("--no-optional-locks").args(arguments);
        let output = git.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["describe", "--always", "--tags"])?;
    let modified = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|changes| !changes.is_empty());
    Some(format!("{commit}{}", if modified { ", modified" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Exit;

    #[test]
    fn a_folder_that_is_no_clean_tree_is_told_what_is_wrong_with_it() {
        let cache = cache::tests::scratch("tree");
        let tree = cache.folder("linux").unwrap();
        let wrong = |path: &Path| own(path).unwrap_err();
        assert_eq!(wrong(&tree).exit, Exit::Usage);
        for file in ["Kconfig", "Kbuild"] {
            fs::write(tree.join(file), "").unwrap();
        }
        assert_eq!(own(&tree).unwrap(), tree);
        fs::write(tree.join(".config"), "").unwrap();
        assert!(wrong(&tree).to_string().contains("built in place"), "{}", wrong(&tree));
        let spaces = cache.folder("my linux").unwrap();
        for file in ["Kconfig", "Kbuild"] {
            fs::write(spaces.join(file), "").unwrap();
        }
        assert!(wrong(&spaces).to_string().contains("spaces"));
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn the_image_of_an_earlier_build_stays_for_guests_that_boot_it() {
        let cache = cache::tests::scratch("kept");
        let (folder, image) = (cache.folder("trees/x").unwrap(), cache.path("image"));
        let build = |bytes: &str| {
            fs::write(&image, bytes).unwrap();
            kept(&folder, &image).unwrap()
        };
        let (one, other) = (build("one"), build("other"));
        assert_ne!(one, other);
        assert_eq!(fs::read(&one).unwrap(), b"one");
        let old = SystemTime::now() - 2 * KEPT;
        fs::File::options().append(true).open(&one).unwrap().set_modified(old).unwrap();
        assert_eq!(build("other"), other);
        assert!(!one.exists() && other.exists());
        cache::remove(&cache.path("")).unwrap();
    }
}
