// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other kernels than the lab's newest. They are large, and one is built for minutes, so that only a machine that has them runs these tests:
//! `vfiospec lab prepare --kernel 6.1` and `vfiospec lab prepare --kernel debian` get them.

use std::fs;

use crate::{
    NotTested, Test, Tested,
    common::{folder_outside, said, text, vfiospec},
    guests::{events, lab_run},
    machines::passed,
    tests,
};

pub const TESTS: &[Test] = tests![
    an_older_release_runs_and_says_what_came_later,
    debians_own_kernel_runs_with_its_modules,
    a_kernel_that_is_locked_down_says_what_it_does_not_show,
    a_kernel_that_cannot_be_locked_down_is_told,
    what_is_built_already_or_no_kernel_is_told,
    bisect_hears_that_nothing_was_judged;
    ignored:
    coverage_says_what_ran_and_what_another_run_adds
];

/// Whether the cache has a folder `below`, with a file of this name, that begins like this.
fn prepared(below: &str, begin: &str, file: &str, option: &str) -> Result<(), NotTested> {
    let cache = vfiospec::lab::default_cache().expect("a cache").join(below);
    let mut folders = fs::read_dir(cache).into_iter().flatten().flatten();
    let ours = concat!(include_str!("../../src/lab/kernel.config"), include_str!("../../src/lab/kernel.x86-64.config"));
    let found = folders.any(|folder| {
        let fragment = fs::read_to_string(folder.path().join("fragment"));
        folder.file_name().to_string_lossy().starts_with(begin)
            && folder.path().join(file).exists()
            && !fragment.is_ok_and(|fragment| fragment != ours)
    });
    if found {
        return Ok(());
    }
    Err(NotTested(format!("that kernel is not here; `vfiospec lab prepare --kernel {option}` gets it")))
}

fn an_older_release_runs_and_says_what_came_later() -> Tested {
    prepared("kernels", "6.1.", "version", "6.1")?;
    let ran = lab_run("6.1", &["--kernel", "6.1", "scenarios/kernel/dma_mapping.yaml"])?;
    ran.expect(0);
    assert!(ran.stdout().starts_with("Linux 6.1."), "{}", ran.stdout());
    assert!(ran.junit().contains("(since Linux 6.2)"), "{}", ran.stdout());
    // All but `overflow`, which Linux 6.18 brought.
    assert_eq!(passed(&ran).len(), 5, "{}", ran.stdout());
    Ok(())
}

fn debians_own_kernel_runs_with_its_modules() -> Tested {
    prepared("images", "debian-", "list", "debian")?;
    let ran = lab_run("debian", &["--kernel", "debian", "scenarios/kernel/dma_mapping.yaml"])?;
    ran.expect(0);
    assert!(ran.stdout().contains("kernel Debian's "), "{}", ran.stdout());
    assert!(passed(&ran).len() >= 5, "{}", ran.stdout());
    Ok(())
}

fn a_kernel_that_is_locked_down_says_what_it_does_not_show() -> Tested {
    prepared("images", "debian-", "list", "debian")?;
    let scenario = "scenarios/kernel/dma_mapping.yaml";
    let ran = lab_run("lockdown", &["--kernel", "debian", "--lockdown", "confidentiality", scenario])?;
    ran.expect(0);
    assert!(passed(&ran).len() >= 5, "{}", ran.stdout());
    let forbidden = "the kernel's lockdown (confidentiality) forbids to read /proc/kcore";
    let finished = events(&ran, "case_finished");
    let passed: Vec<_> = finished.iter().filter(|case| case["verdict"] == "passed").collect();
    for case in &passed {
        let observers = case["observers"].as_array().expect("a list");
        let leaves = observers.iter().find(|seen| seen["observer"] == "leaves").expect("it watches every case");
        assert!(leaves["state"] == "unchecked" && leaves["detail"].to_string().contains(forbidden), "{case}");
    }
    let sizes = passed.iter().flat_map(|case| case["unchecked"].as_array().into_iter().flatten());
    let mut sizes = sizes.filter(|check| check["what"] == "pagesize" && check["by_choice"] == false).peekable();
    assert!(sizes.peek().is_some(), "{}", ran.stdout());
    assert!(sizes.all(|check| check["reason"].to_string().contains(forbidden)), "{}", ran.stdout());
    Ok(())
}

fn a_kernel_that_cannot_be_locked_down_is_told() -> Tested {
    let ran = lab_run("no-lockdown", &["--lockdown", "integrity", "scenarios/kernel/dma_mapping.yaml"])?;
    ran.expect(3);
    assert!(ran.stderr().contains("this kernel has no lockdown"), "{}", ran.stderr());
    Ok(())
}

fn what_is_built_already_or_no_kernel_is_told() -> Tested {
    let folder = folder_outside("no-tree");
    let folder = folder.to_str().expect("a path of ours");
    for (options, told) in [
        (
            &["--kernel", "debian:6.12", "--debug"][..],
            "failed to build the kernel debian:6.12 with --debug: it is built already",
        ),
        (&["--kernel", "debian:6.12", "--coverage"], "with --coverage: it is built already"),
        (&["--kernel", "debian:6.12", "--kernel-config", "KASAN=y"], "with KASAN=y: it is built already"),
        (&["--kernel", folder], "it has no file Kconfig or Kbuild"),
        (&["--kernel", "./no-such-package.deb"], "failed to find the package"),
        (&["--kernel", "linux"], "`linux` is not a kernel: expected `newest`"),
    ] {
        let told_here = said(&vfiospec(&[&["lab", "prepare"], options].concat()), 2);
        assert!(told_here.contains(told), "{told_here}");
    }
    Ok(())
}

/// Ignored: it builds a kernel of its own, which takes minutes.
fn coverage_says_what_ran_and_what_another_run_adds() -> Tested {
    let folder = folder_outside("coverage");
    let run = |name: &str, scenario: &str| {
        let place = folder.join(name).display().to_string();
        lab_run(name, &[&format!("--coverage={place}"), scenario]).map(|ran| (ran, place))
    };
    let (mapping, little) = run("coverage-mapping", "scenarios/kernel/dma_mapping.yaml")?;
    mapping.expect(0);
    assert!(mapping.stdout().contains("--coverage ran\n"), "{}", mapping.stdout());
    assert!(folder.join("coverage-mapping/html/index.html").exists());
    let (device, more) = run("coverage-device", "scenarios/kernel")?;
    device.expect(0);

    let table = text(&vfiospec(&["coverage", &little]).stdout);
    let row =
        |file: &str| table.lines().find(|line| line.starts_with(file)).unwrap_or_else(|| panic!("{file}: {table}"));
    for file in
        ["drivers/vfio/vfio_iommu_type1.c", "drivers/iommu/iommufd/pages.c", "drivers/iommu/generic_pt/iommu_pt.h"]
    {
        assert!(row(file).contains(" % of "), "{table}");
    }
    // Mapping asks for no interrupt.
    let compared = text(&vfiospec(&["coverage", &little, "--against", &more]).stdout);
    assert!(compared.contains("  vfio_virqfd_enable: "), "{compared}");
    let nothing = text(&vfiospec(&["coverage", &more, "--against", &more]).stdout);
    assert!(nothing.contains(" reaches no line that "), "{nothing}");
    Ok(())
}

fn bisect_hears_that_nothing_was_judged() -> Tested {
    let folder = folder_outside("bisect");
    let scenario = folder.join("s.yaml");
    fs::write(&scenario, "name: s\n").unwrap();
    said(&vfiospec(&["lab", "run", "--bisect", scenario.to_str().expect("a path of ours")]), 128);
    said(&vfiospec(&["lab", "run", "--bisect", "--no-such-option"]), 128);
    Ok(())
}
