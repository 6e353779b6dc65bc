// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guests of another architecture. Their kernel and program take minutes to build, so that only a machine that has them runs these tests:
//! `vfiospec lab prepare --arch arm64` gets them.

use std::fs;

use crate::{
    NotTested, Test, Tested,
    common::{folder, said, vfiospec},
    guests::{events, lab_run},
    machines::passed,
    observers, tests,
};

pub const TESTS: &[Test] = tests![
    an_arm64_guest_maps_and_says_what_it_is,
    smmuv3s_page_tables_are_read_from_memory,
    two_iommus_have_a_page_table_each,
    a_kernel_with_pages_of_64_kib_maps_such,
    what_arm64_does_not_have_is_told,
];

/// Whether `lab prepare --arch arm64` has been here; nobody else waits for it, not even CI.
fn prepared() -> Result<(), NotTested> {
    prepared_with("", "")
}

/// The same with an option, for the kernel with these lines beside ours in its configuration.
fn prepared_with(option: &str, lines: &str) -> Result<(), NotTested> {
    let cache = vfiospec::lab::default_cache().expect("a cache");
    let ours = concat!(include_str!("../../src/lab/kernel.config"), include_str!("../../src/lab/kernel.arm64.config"));
    let ours = format!("{ours}{lines}");
    let kernels = fs::read_dir(cache.join("kernels")).into_iter().flatten().flatten().map(|kernel| kernel.path());
    let kernel = kernels
        .filter(|kernel| fs::read_to_string(kernel.join("fragment")).is_ok_and(|fragment| fragment == ours))
        .any(|kernel| kernel.join("Image").exists());
    if kernel && cache.join("programs").exists() {
        return Ok(());
    }
    Err(NotTested(format!("arm64's kernel is not built here; `vfiospec lab prepare --arch arm64{option}` builds it")))
}

fn an_arm64_guest_maps_and_says_what_it_is() -> Tested {
    prepared()?;
    let files = ["scenarios/kernel/dma_mapping.yaml", "scenarios/uapi/dma.yaml", "scenarios/vendor/qemu-iommu-testdev"];
    let machine = ["--arch", "arm64", "--device", "edu", "--device", "iommu-testdev"];
    let ran = lab_run("arm64", &[machine.as_slice(), &files].concat())?;
    ran.expect(0);
    let started = &events(&ran, "run_started")[0];
    assert_eq!((&started["arch"], &started["iommu"]), (&"aarch64".into(), &"smmu3".into()));
    let lab = started["lab"].as_str().expect("a lab");
    assert!(lab.contains(" tcg, --arch arm64, --iommu smmuv3, kernel "), "{lab}");
    assert!(
        ran.stdout().starts_with(&format!("Linux {} aarch64, iommu smmu3, edu ", started["kernel"].as_str().unwrap()))
    );
    assert!(passed(&ran).len() > 10, "{}", ran.stdout());
    Ok(())
}

/// Pages of each size: with each access, and in a page table of the second stage.
fn leaves() -> String {
    let mut text = "name: leaves\nbackends: [iommufd]\ncases:\n".to_owned();
    let attach = "\n      - { hwpt: { flags: [nest_parent] }, save: table }\n      - attach: { to: table }";
    for (name, before, access) in [
        ("reads", "", "read"),
        ("writes", "", "write"),
        ("does_both", "", "read_write"),
        ("second", attach, "read_write"),
    ] {
        text += &format!(
            r#"  - name: {name}
    matrix: {{ page: [4KiB, 2MiB, 1GiB] }}
    regions: {{ buffer: {{ memory: anonymous, page: "{{{{ page }}}}", size: "{{{{ page }}}}" }} }}
    steps:{before}
      - {{ map: {{ region: buffer, access: {access} }}, save: m }}
      - pagesize: {{ iova: "{{{{ m.iova }}}}", size: "{{{{ m.size }}}}", is: "{{{{ page }}}}" }}
      - unmap: {{ iova: "{{{{ m.iova }}}}", size: "{{{{ m.size }}}}" }}
      - gone: {{ iova: "{{{{ m.iova }}}}", size: "{{{{ m.size }}}}" }}
"#
        );
    }
    text
}

fn smmuv3s_page_tables_are_read_from_memory() -> Tested {
    prepared()?;
    let file = folder("arm64-leaves").join("leaves.yaml");
    fs::write(&file, leaves()).expect("writable");
    let ran = lab_run("arm64-leaves-run", &["--arch", "arm64", file.to_str().expect("UTF-8")])?;
    ran.expect(0);
    assert_eq!(passed(&ran).len(), 4 * 3, "{}", ran.stdout());
    for case in events(&ran, "case_finished") {
        assert!(case["unchecked"].as_array().is_none_or(Vec::is_empty), "{case}");
    }
    let by: Vec<_> = events(&ran, "case_finished").iter().map(|case| observers::by(case).join(" ")).collect();
    assert_eq!(by.iter().filter(|by| *by == "SMMUv3's tables in memory").count(), 4 * 3, "{by:?}");
    Ok(())
}

fn two_iommus_have_a_page_table_each() -> Tested {
    prepared()?;
    let files = [
        "scenarios/uapi/two_iommus.yaml",
        "scenarios/uapi/two_of_everything.yaml",
        // Interrupts arrive behind the second host bridge, too.
        "scenarios/vendor/qemu-edu/as_vfio_shows_it.yaml",
    ];
    let ran =
        lab_run("two-iommus", &[&["--lab", "scenarios/uapi/labs/two_iommus.lab.yaml"], files.as_slice()].concat())?;
    ran.expect(0);
    let devices = &events(&ran, "run_started")[0]["devices"];
    assert_eq!((&devices[0]["bdf"], &devices[1]["bdf"]), (&"0000:00:03.0".into(), &"0001:41:00.0".into()));
    let cases = [
        "both_reach_it",
        "mapped_before",
        "the_others_page_table",
        "unmapped_for_both",
        // In two address spaces.
        "copies",
        "mappings",
        "objects",
        "two_ioas",
    ];
    let passed = passed(&ran);
    assert!(cases.iter().all(|case| passed.contains(*case)), "{passed:?}\n{}", ran.stdout());
    Ok(())
}

fn a_kernel_with_pages_of_64_kib_maps_such() -> Tested {
    prepared_with(" --page-size 64KiB", "CONFIG_ARM64_64K_PAGES=y\n")?;
    let files = ["scenarios/uapi/map.yaml", "scenarios/uapi/unmap.yaml", "scenarios/uapi/dma.yaml"];
    let ran = lab_run("arm64-64k", &[&["--arch", "arm64", "--page-size", "64KiB"], files.as_slice()].concat())?;
    ran.expect(0);
    let started = &events(&ran, "run_started")[0];
    assert!(started["lab"].as_str().expect("a lab").ends_with(", --page-size 64KiB"), "{started}");
    let passed = passed(&ran);
    assert!(
        ["read_write", "hole[missing=7]", "neighbours[gap=1]"].iter().all(|case| passed.contains(*case)),
        "{passed:?}"
    );
    let by: Vec<_> = events(&ran, "case_finished").iter().map(|case| observers::by(case).join(" ")).collect();
    assert!(by.iter().filter(|by| *by == "SMMUv3's tables in memory").count() > 100, "{by:?}");
    Ok(())
}

fn what_arm64_does_not_have_is_told() -> Tested {
    for (options, told) in [
        (&["--arch", "arm64", "--iommu", "intel"][..], "arm64 has no IOMMU `intel` in the lab"),
        (&["--iommu", "smmuv3"], "x86-64 has no IOMMU `smmuv3` in the lab"),
        (&["--device", "edu,place=second-iommu"], "QEMU has only one `intel` in a machine"),
        (&["--page-size", "64KiB"], "x86-64 has no kernel with pages of 64KiB in the lab"),
        (&["--arch", "arm64", "--address-width", "39"], "`address_width` with `smmuv3`"),
    ] {
        let told_here = said(&vfiospec(&[&["lab", "prepare"], options].concat()), 2);
        assert!(told_here.contains(told), "{told_here}");
    }
    Ok(())
}
