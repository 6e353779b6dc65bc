// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's own tools: got by an ordinary user, and nothing of the machine changes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    NotTested, Test, Tested,
    common::{command, folder_outside, text},
    guests::{lab, place},
    tests,
};

pub const TESTS: &[Test] = tests![an_ordinary_user_gets_qemu_and_nothing_of_the_machine_changes];

/// Files and links below a folder, with what they hold.
fn contents(folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type().expect("a kind") {
            kind if kind.is_dir() => contents(&path, into),
            kind if kind.is_symlink() => {
                let target = fs::read_link(&path).unwrap_or_default();
                into.insert(path, target.into_os_string().into_encoded_bytes());
            }
            _ => drop(into.insert(path.clone(), fs::read(&path).unwrap_or_default())),
        }
    }
}

/// The installed packages with their versions, and all files of /etc/apt and of apt's own folders.
fn machine() -> (String, BTreeMap<PathBuf, Vec<u8>>) {
    let packages = Command::new("dpkg-query").arg("-W").output().expect("this is Debian");
    let mut files = BTreeMap::new();
    for folder in ["/etc/apt", "/var/lib/apt", "/var/cache/apt"] {
        contents(Path::new(folder), &mut files);
    }
    (text(&packages.stdout), files)
}

fn an_ordinary_user_gets_qemu_and_nothing_of_the_machine_changes() -> Tested {
    lab()?;
    let there = folder_outside("tools");
    // The kernel takes minutes, and was built for the other tests.
    let cache = vfiospec::lab::default_cache().expect("a cache").join("kernels");
    let kernels = fs::read_dir(cache).expect("the lab's kernels").flatten().map(|kernel| kernel.path());
    let ours = concat!(include_str!("../../src/lab/kernel.config"), include_str!("../../src/lab/kernel.x86-64.config"));
    let image = kernels
        .filter(|kernel| fs::read_to_string(kernel.join("fragment")).is_ok_and(|fragment| fragment == ours))
        .find_map(|kernel| Some(kernel.join("vmlinux")).filter(|image| image.exists()))
        .expect("the lab is prepared");
    fs::copy(image, there.join("vmlinux")).unwrap();
    fs::copy(command().get_program(), there.join("vfiospec")).unwrap();

    let root = nix::unistd::geteuid().is_root();
    let mut as_user = if root { Command::new("setpriv") } else { Command::new("env") };
    if root {
        as_user.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        let chown = Command::new("chown").args(["-R", "65534:65534"]).arg(&there).status().unwrap();
        assert!(chown.success());
    }
    as_user.arg(there.join("vfiospec")).args([
        "lab",
        "exec",
        "--kernel",
        "./vmlinux",
        "--",
        "sh",
        "-c",
        "vfiospec --version",
    ]);
    as_user.current_dir(&there).env("VFIOSPEC_CACHE", there.join("cache")).env_remove("APT_CONFIG");
    let before = machine();
    let _place = place();
    let output = as_user.output().unwrap();
    let after = machine();
    let stderr = text(&output.stderr);
    if stderr.contains("help: check the network") {
        return Err(NotTested::because(stderr));
    }
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(text(&output.stdout).contains("vfiospec "), "{}", text(&output.stdout));
    assert!(stderr.contains("lab: unpacking QEMU") && stderr.contains("lab: unpacking busybox"), "{stderr}");
    assert_eq!(before, after);
    fs::remove_dir_all(there).unwrap();
    Ok(())
}
