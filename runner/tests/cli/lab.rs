// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `vfiospec lab` says where there can be no lab.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use crate::common::{command, expect, folder, text};

/// `vfiospec lab prepare` with these arguments, with an empty cache and this environment.
fn prepare(cache: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command();
    command.args(["lab", "prepare", "--cache"]).arg(cache).args(arguments);
    command.envs(environment.iter().copied()).output().expect("the binary starts")
}

fn program(folder: &Path, name: &str, script: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.to_str().expect("UTF-8").to_owned()
}

#[test]
fn without_apt_the_error_names_the_container_and_what_else_there_is() {
    let output = prepare(&folder("no-apt"), &[], &[("PATH", "/nowhere")]);
    let (stdout, stderr) = expect(&output, 3);
    assert_eq!(stdout, "");
    assert_eq!(
        stderr,
        "\
vfiospec: failed to get QEMU from Debian's packages: there is no apt-get and dpkg-deb here
  the Containerfile of vfiospec's repository makes a container image with everything in it
  help: use that image, or what this machine has: --qemu FILE, --kernel ./bzImage, and a static busybox as /bin/busybox
"
    );
}

#[test]
fn a_mirror_that_cannot_be_read_is_named() {
    let folder = folder("no-mirror");
    // An apt-get that knows no list: the first word is the command.
    program(&folder, "apt-get", "echo 'E: Failed to fetch http://m.test/debian/dists/stable/InRelease'; exit 100");
    program(&folder, "dpkg-deb", "exit 1");
    let environment = [("PATH", folder.to_str().unwrap()), ("VFIOSPEC_MIRROR", "http://m.test/debian")];
    let (_, stderr) = expect(&prepare(&folder.join("cache"), &[], &environment), 3);
    assert!(
        stderr.ends_with(
            "\
lab: reading Debian's lists of packages
vfiospec: failed to read Debian's lists of packages
  E: Failed to fetch http://m.test/debian/dists/stable/InRelease
  help: check the network, and /etc/apt or the mirror that VFIOSPEC_MIRROR names
"
        ),
        "{stderr}"
    );
}

#[test]
fn a_qemu_of_the_users_own_is_checked() {
    let folder = folder("own-qemu");
    let none = folder.join("none").display().to_string();
    // No kernel is asked for its version.
    let kernel = program(&folder, "bzImage", "");
    let says = |qemu: &str, code| text(&prepare_code(&folder, qemu, &kernel, code).stderr);
    assert_eq!(
        says(&none, 2),
        format!("vfiospec: failed to find QEMU's program {none}: No such file or directory (os error 2)\n")
    );
    let other = program(&folder, "other", "echo other 1.0; echo usage >&2");
    assert_eq!(
        says(&other, 3),
        format!(
            "\
vfiospec: failed to read the version of {other}
  expected `QEMU emulator version 11.1.3`, read `other 1.0`
  usage
  help: check that this is QEMU's own program
"
        )
    );
    let old = program(&folder, "old", "echo 'QEMU emulator version 6.2.0 (Debian 1:6.2)'");
    assert_eq!(
        says(&old, 2),
        "\
vfiospec: failed to emulate the lab itself with QEMU 6.2.0: it needs 7.0 or later
  help: leave out --qemu, or name QEMU 7.0 or later with it
"
    );
}

fn prepare_code(folder: &Path, qemu: &str, kernel: &str, code: i32) -> Output {
    let output = prepare(&folder.join("cache"), &["--qemu", qemu, "--kernel", kernel], &[]);
    expect(&output, code);
    output
}
