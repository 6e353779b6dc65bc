// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lab in a file, for machines without network or compiler: folders of the cache in a compressed archive, with the checksum of each file.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::apt::Archive;
use super::cache::{self, Cache};
use super::child::{self, Ending, Runner};
use super::{error::LabError, prepare::Prepared, progress::Progress, qemu, tools};
use crate::{model::Exit, sanitize};

const SUMS: &str = "SHA256SUMS";

/// Folders of the cache of which an archive may hold parts.
const KINDS: [&str; 3] = ["kernels", "images", "tools"];

/// Objects of a kernel, and what its build said, are not needed to run it.
const FILES: &str =
    r#"find "$@" -path 'kernels/*/build' -prune -o -type f ! -path 'kernels/*/log' -print0 | LC_ALL=C sort -z"#;

/// Writes what this lab is made of to a file, and returns the file's checksum as `sha256sum` prints it.
///
/// # Errors
/// The kernel or QEMU is a file of the user's, or the file cannot be written.
pub fn export(prepared: &Prepared, file: &Path, interrupt: &AtomicBool) -> Result<String, LabError> {
    let Prepared { cache, options, progress, .. } = prepared;
    let _lock = cache.lock("prepare", *progress, interrupt)?;
    let shell = tools::shell(options.machine.arch()).get(&Archive::new(cache, *progress, interrupt))?;
    let parts = [(&prepared.kernel.image, "--kernel"), (&prepared.qemu.program, "--qemu"), (&shell, "the shell")];
    let mut folders = Vec::new();
    for (path, option) in parts {
        folders.push(part(cache, path).ok_or_else(|| {
            LabError::usage(format!("failed to export {}: it is a file of yours", path.display()))
                .help(format!("leave out {option}, or copy that file yourself"))
        })?);
    }
    let runner = Runner { doing: "writing the lab to a file", interrupt, ending: Ending::Killed, log: None };
    progress.say(&format!("writing {}", file.display()));
    let shell = |script: String| {
        let mut command = child::command("sh", Ending::Killed);
        command.args(["-euc", &script, "sh"]).args(&folders).current_dir(cache.path(""));
        command
    };
    let sums = runner.read(shell(format!("{FILES} | xargs -0 sha256sum")))?;
    let staging = cache.folder("exporting")?;
    cache::write(&staging.join(SUMS), sums.as_bytes())?;
    let new = file.with_extension("new");
    let absolute = std::path::absolute(&new).map_err(|error| LabError::io("write", file, &error))?;
    let [staging, target] = [&staging, &absolute].map(|path| sanitize::word(&path.to_string_lossy()));
    let mut archive = child::command("sh", Ending::Killed);
    // Links are part of it, too: programs are called through some.
    let script = format!(
        "tar -czf {target} --exclude='kernels/*/build' --exclude='kernels/*/log' --owner=0 --group=0 --sort=name -C {staging} {SUMS} -C \"$PWD\" \"$@\""
    );
    archive.args(["-euc", &script, "sh"]).args(&folders).current_dir(cache.path(""));
    let written = runner.succeed(archive, |_| {});
    cache::remove(&cache.path("exporting"))?;
    if written.is_err() {
        cache::remove(&new)?;
    }
    written?;
    fs::rename(&new, file).map_err(|error| LabError::io("write", file, &error))?;
    let mut sum = child::command("sha256sum", Ending::Killed);
    sum.arg(file);
    runner.read(sum)
}

/// The folder of the cache that a file is in, such as `kernels/7.3.4-203286e4`.
fn part(cache: &Cache, path: &Path) -> Option<String> {
    let below = path.strip_prefix(cache.path("")).ok()?;
    let mut names = below.iter().map(|name| name.to_string_lossy());
    let (kind, name) = (names.next()?, names.next()?);
    KINDS.contains(&&*kind).then(|| format!("{kind}/{name}"))
}

/// Takes what such a file holds into the cache, and returns the folders that are new there.
///
/// # Errors
/// It is no such file, or one of its files is not what its checksum says.
pub fn import(folder: &Path, file: &Path, progress: Progress, interrupt: &AtomicBool) -> Result<Vec<String>, LabError> {
    let cache = Cache::open(&qemu::usable(folder)?)?;
    let file = file
        .canonicalize()
        .map_err(|error| LabError { exit: Exit::Usage, ..LabError::io("find the lab's file", file, &error) })?;
    let _lock = cache.lock("prepare", progress, interrupt)?;
    progress.say(&format!("taking the lab from {}", file.display()));
    let importing = cache.path("importing");
    cache::remove(&importing)?;
    cache::create(&importing)?;
    let runner = Runner { doing: "taking the lab from a file", interrupt, ending: Ending::Killed, log: None };
    let mut unpack = child::command("tar", Ending::Killed);
    unpack.arg("-xzf").arg(&file).args(["--no-same-owner", "-C"]).arg(&importing);
    let damaged = |error: LabError| {
        LabError::usage(format!(
            "failed to take the lab from {}: it is damaged, or no file of `lab prepare --export`",
            file.display()
        ))
        .detail(error.detail.unwrap_or_default())
        .help("copy it again, and compare its checksum with the one that the export printed")
    };
    runner.succeed(unpack, |_| {}).map_err(damaged)?;
    let folders = folders(&importing);
    // Each file is there as it was, and no other.
    let script = format!(
        "sha256sum --strict --quiet -c {SUMS}; {FILES} | tr '\\0' '\\n' > found; sed 's/^[0-9a-f]*  //' {SUMS} | diff - found"
    );
    let mut check = child::command("sh", Ending::Killed);
    check.args(["-euc", &script, "sh"]).args(&folders).current_dir(&importing);
    runner.succeed(check, |_| {}).map_err(damaged)?;
    let mut new = Vec::new();
    for folder in folders {
        let target = cache.path(&folder);
        if target.exists() {
            continue;
        }
        cache.folder(Path::new(&folder).parent().unwrap_or(Path::new("")))?;
        let from = importing.join(&folder);
        fs::rename(&from, &target).map_err(|error| LabError::io("rename", &from, &error))?;
        new.push(folder);
    }
    cache::remove(&importing)?;
    Ok(new)
}

fn folders(importing: &Path) -> Vec<String> {
    let below = |kind: &str| {
        let entries = fs::read_dir(importing.join(kind)).into_iter().flatten().flatten();
        let kind = kind.to_owned();
        entries.map(move |entry| format!("{kind}/{}", entry.file_name().to_string_lossy()))
    };
    let mut folders: Vec<String> = KINDS.iter().flat_map(|kind| below(kind)).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::super::cache::tests::scratch;
    use super::*;

    #[test]
    fn a_part_of_the_cache_is_the_folder_that_has_its_name() {
        let cache = scratch("parts");
        let part = |path: &str| part(&cache, &cache.path(path));
        assert_eq!(part("kernels/7.3.4/vmlinux").as_deref(), Some("kernels/7.3.4"));
        assert_eq!(part("tools/qemu-1/usr/bin/qemu").as_deref(), Some("tools/qemu-1"));
        assert_eq!(part("trees/mine/vmlinux"), None);
        assert_eq!(super::part(&cache, Path::new("/boot/vmlinuz")), None);
        cache::remove(&cache.path("")).unwrap();
    }

    #[test]
    fn what_is_damaged_is_not_taken() {
        let cache = scratch("damaged");
        let calm = AtomicBool::new(false);
        let folder = cache.folder("from/tools/qemu-1").unwrap();
        fs::write(folder.join("qemu"), "good").unwrap();
        let sh = |script: &str| {
            let mut command = child::command("sh", Ending::Killed);
            command.args(["-euc", script]).current_dir(cache.path("from"));
            Runner { doing: "testing", interrupt: &calm, ending: Ending::Killed, log: None }
                .succeed(command, |_| {})
                .unwrap();
        };
        let (to, file) = (cache.path("to"), cache.path("lab.tar.gz"));
        let import = || import(&to, &file, Progress::Quiet, &calm);
        let pack = "tar -czf ../lab.tar.gz SHA256SUMS tools";
        sh(&format!("sha256sum tools/qemu-1/qemu > SHA256SUMS; echo bad > tools/qemu-1/qemu; {pack}"));
        assert_eq!(import().unwrap_err().exit, Exit::Usage);
        assert!(!to.join("tools").exists());
        sh(&format!("sha256sum tools/qemu-1/qemu > SHA256SUMS; touch tools/qemu-1/more; {pack}"));
        assert!(import().is_err(), "nor is what has no checksum");
        sh(&format!("rm tools/qemu-1/more; {pack}"));
        assert_eq!(import().unwrap(), ["tools/qemu-1"]);
        assert_eq!(import().unwrap(), [""; 0], "it is there");
        fs::write(&file, "no archive").unwrap();
        assert!(import().is_err());
        cache::remove(&cache.path("")).unwrap();
    }
}
