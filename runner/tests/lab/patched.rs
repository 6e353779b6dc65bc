// SPDX-License-Identifier: MIT OR Apache-2.0
//! `runner/patched-kernel`: which patches are killed, by which cases, and that the lab's own kernel stays as it is.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    NotTested, Test, Tested,
    common::{folder, text, top},
    guests::place,
    tests,
};

pub const TESTS: &[Test] = tests![
    a_table_says_which_cases_noticed_each_patch;
    ignored:
    a_case_notices_a_bug_that_is_put_back,
    an_unmap_that_leaves_the_entries_is_seen_in_every_page_table,
];

/// The "kernel" is one file, whose text decides how its cases end. Its Makefile finds out whether objects know where they are.
const MAKEFILE: &str = "vmlinux:\n\tgrep -q ^$(CURDIR)/ $(O)/.k.o.cmd\n\tcp $(CURDIR)/k.c $(O)/vmlinux\n";

/// Stands for `vfiospec`: one case that names the commit f00ba4c0ffee, and one that names none.
const PROGRAM: &str = r#"#!/bin/sh
case "$1 $2" in "lab prepare") echo "the lab is ready: Linux 1.0, QEMU 1"; exit ;; esac
echo "$*" | sed 's/.*--junit [^ ]* *//' >> "$0.runs"
while [ $# -gt 0 ]; do case $1 in --kernel) image=$2 ;; --json) json=$2 ;; esac; shift; done
named=passed other=passed code=0
case $(cat "$image") in
    *named*) named=failed code=1 ;;
    *elsewhere*) other=failed code=1 ;;
    *both*) named=error other=failed code=1 ;;
    *hang*) trap 'exit 130' INT; sleep 60 & wait ;;
esac
one() { echo "{\"id\":\"p.s.iommufd__edu.$1\",\"planned\":{\"pack\":\"p\",\"scenario\":\"s\",\"name\":\"$1\",\"fixes\":$3},\"result\":{\"verdict\":\"$2\",\"message\":\"it is $2\"}}"; }
echo "{\"cases\":[$(one n $named '[{"title":"vfio: Be good","commit":"f00ba4c0ffee"}]'),$(one o $other '[]')]}" > "$json"
exit $code
"#;

fn needs(programs: &[&str]) -> Result<(), NotTested> {
    let lacks = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    match programs.iter().find(lacks) {
        Some(program) => Err(NotTested::because(format!("there is no {program}"))),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, text).expect("writable");
}

/// A patch with these lines above it, which puts this text into the kernel.
fn patch(folder: &Path, name: &str, head: &str, text: &str) -> PathBuf {
    let path = folder.join(name).with_extension("patch");
    write(&path, &format!("{head}\n--- a/k.c\n+++ b/k.c\n@@ -1 +1 @@\n-good\n+{text}\n"));
    path
}

fn patched_kernel(arguments: &[&str], cache: Option<&Path>) -> Output {
    let mut command = Command::new(top().join("runner/patched-kernel"));
    command.args(arguments);
    if let Some(cache) = cache {
        command.env("VFIOSPEC_CACHE", cache);
    }
    command.output().expect("it starts")
}

fn a_table_says_which_cases_noticed_each_patch() -> Tested {
    needs(&["python3", "make", "patch"])?;
    let folder = folder("patched");
    let (cache, program, out) = (folder.join("cache"), folder.join("vfiospec"), folder.join("out"));
    let (source, kernel) = (cache.join("sources/1.0"), cache.join("kernels/1.0-abc"));
    for (path, text) in [
        (source.join("version"), "1.0"),
        (source.join("tree/Makefile"), MAKEFILE),
        (source.join("tree/k.c"), "good\n"),
        (kernel.join("version"), "1.0"),
        (kernel.join("vmlinux"), "good\n"),
        (kernel.join("build/.k.o.cmd"), &format!("{}/k.c\n", source.join("tree").display())),
        (cache.join("locks/prepare"), ""),
        (program.clone(), PROGRAM),
    ] {
        write(&path, text);
    }
    let config = |name| fs::read_to_string(top().join("runner/src/lab").join(name)).expect("ours");
    write(&kernel.join("fragment"), &["kernel.config", "kernel.x86-64.config"].map(config).concat());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
    let commit = "Title: vfio: Be good\nCommit: f00ba4c0ffee1234\n";
    let patches = [
        patch(
            &folder,
            "named",
            &format!("{commit}Device: edu\nDevice: igb nvme\nIOMMU: virtio\nRun: --tag 'a b'\n"),
            "named",
        ),
        patch(&folder, "elsewhere", commit, "elsewhere"),
        patch(&folder, "both", commit, "both"),
        patch(&folder, "without-a-commit", "", "elsewhere"),
        patch(&folder, "nothing", commit, "better"),
        patch(&folder, "hangs", commit, "hang"),
    ];
    let misfit = folder.join("misfit.patch");
    write(&misfit, "--- a/k.c\n+++ b/k.c\n@@ -1 +1 @@\n-bad\n+worse\n");
    let own = ["--vfiospec", program.to_str().expect("UTF-8"), "--out", out.to_str().expect("UTF-8"), "--limit", "3"];
    let names = patches.iter().chain([&misfit]).map(|path| path.to_str().expect("UTF-8"));
    let rest = ["--", "--device", "edu", "scenarios/x"];
    let arguments: Vec<&str> = own.into_iter().chain(names).chain(rest).collect();
    let output = patched_kernel(&arguments, Some(&cache));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "one does not apply\n{said}{}", text(&output.stderr));
    for part in [
        "killed      both (",
        "              p.s.iommufd__edu.n: no verdict: it is error\n            red, and does not name it:\n              p.s.iommufd__edu.o: it is failed\n",
        "other       elsewhere (",
        ": no case that names it is red: 1 passed\n",
        ": a run took longer than 3 s\n",
        "no verdict  misfit (",
    ] {
        assert!(said.contains(part), "{part}\nis not in\n{said}");
    }
    let table = fs::read_to_string(out.join("patches.tsv")).expect("a table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let column = |name| rows[0].iter().position(|head| *head == name).expect("a column");
    let [verdict, killed_by, also] = ["verdict", "killed by", "also red"].map(column);
    let told: Vec<_> = rows[1..].iter().map(|row| (row[0], row[verdict], row[killed_by], row[also])).collect();
    assert_eq!(
        told,
        [
            ("named", "killed", "p.s.n", ""),
            ("elsewhere", "other", "", "p.s.o"),
            ("both", "killed", "p.s.n", "p.s.o"),
            ("without-a-commit", "killed", "p.s.o", ""),
            ("nothing", "survived", "", ""),
            ("hangs", "killed", "a hang", ""),
            ("misfit", "no verdict", "", ""),
        ],
        "{table}"
    );
    assert_eq!((rows[1][1], rows[1][2]), ("vfio: Be good", "f00ba4c0ffee"));

    let runs = fs::read_to_string(program.with_extension("runs")).expect("it ran");
    let with = |run: &str| runs.lines().filter(|line| *line == run).count();
    // Once without the patch, and once with it.
    assert_eq!(with("scenarios/x --device edu --iommu virtio --tag a b"), 2, "{runs}");
    assert_eq!(with("scenarios/x --device igb --device nvme --iommu virtio --tag a b"), 2, "{runs}");
    assert_eq!(with("--device edu scenarios/x"), 1 + 5, "once for all patches that need nothing else\n{runs}");
    // What it explores need not be named, and takes no options of scenarios.
    let [named, elsewhere] = [&patches[0], &patches[1]].map(|path| path.to_str().expect("UTF-8"));
    let arguments: Vec<&str> =
        own[..4].iter().copied().chain([named, elsewhere, "--", "explore", "--seed", "1"]).collect();
    let output = patched_kernel(&arguments, Some(&cache));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("killed      elsewhere (") && !said.contains("does not name it"), "{said}");
    // It may be told to explore for hours, and its cases have a limit of their own.
    assert!(said.lines().next().is_some_and(|line| line.ends_with(" patches, 1 built at a time")), "{said}");
    let runs = fs::read_to_string(program.with_extension("runs")).expect("it ran");
    let explored = |of: &str| runs.lines().filter(|run| *run == of).count();
    assert_eq!(explored("--seed 1 --device edu --iommu virtio"), 2, "{runs}");
    assert_eq!(explored("--seed 1"), 2, "{runs}");
    assert_eq!(fs::read_to_string(source.join("tree/k.c")).expect("there"), "good\n", "the lab's source is as it was");
    assert_eq!(fs::read_dir(cache.join("patched")).expect("there").count(), 0, "and nothing is left in the cache");
    Ok(())
}

/// With a real kernel: IOMMUFD answers to unknown flags as others do.
fn a_case_notices_a_bug_that_is_put_back() -> Tested {
    needs(&["python3", "make", "patch"])?;
    let _place = place();
    let folder = folder("patched-for-real");
    let patch = folder.join("unknown-flags.patch");
    write(&patch, UNKNOWN_FLAGS);
    let (patch, out) = (patch.display().to_string(), folder.join("out").display().to_string());
    let program = env!("CARGO_BIN_EXE_vfiospec");
    let output = patched_kernel(&["--vfiospec", program, "--out", &out, &patch, "--", "scenarios/uapi"], None);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("killed      unknown-flags (") && said.contains("expected EOPNOTSUPP"), "{said}");
    Ok(())
}

/// With a real kernel: IOMMUFD's unmap answers as it should and leaves the entries. The device does no DMA.
fn an_unmap_that_leaves_the_entries_is_seen_in_every_page_table() -> Tested {
    needs(&["python3", "make", "patch"])?;
    let _place = place();
    let folder = folder("patched-unmap");
    let iommus = ["intel", "intel-first-stage", "amd", "virtio"];
    let patches = iommus.map(|iommu| {
        let patch = folder.join(format!("unmap-{iommu}.patch"));
        write(&patch, &format!("IOMMU: {iommu}\n{LEFT_ENTRIES}"));
        patch.display().to_string()
    });
    let out = folder.join("out").display().to_string();
    let own = ["--vfiospec", env!("CARGO_BIN_EXE_vfiospec"), "--out", &out];
    let case = "kernel.dma_mapping.iommufd__edu.map_unmap[page=4KiB]";
    let rest = ["--", "--case", case, "scenarios/kernel"];
    let arguments: Vec<&str> = own.into_iter().chain(patches.iter().map(String::as_str)).chain(rest).collect();
    let output = patched_kernel(&arguments, None);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    let seen = "the IOMMU's page table has an entry of 4KiB at iova";
    assert_eq!(said.matches(seen).count(), iommus.len(), "{said}");
    Ok(())
}

const LEFT_ENTRIES: &str = "\
Device: edu
--- a/drivers/iommu/iommufd/pages.c
+++ b/drivers/iommu/iommufd/pages.c
@@ -227,5 +227,5 @@
 {
 \tsize_t ret;
 
-\tret = iommu_unmap(domain, iova, size);
+\tret = size;
 \t/*
";

const UNKNOWN_FLAGS: &str = "\
Device: edu
--- a/drivers/iommu/iommufd/ioas.c
+++ b/drivers/iommu/iommufd/ioas.c
@@ -260,5 +260,5 @@
 \t       IOMMU_IOAS_MAP_READABLE)) ||
 \t    cmd->__reserved)
-\t\treturn -EOPNOTSUPP;
+\t\treturn -EINVAL;
 \tif (cmd->iova >= ULONG_MAX || cmd->length >= ULONG_MAX)
 \t\treturn -EOVERFLOW;
";
