// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tables of the README: what passes on each IOMMU with each device, and how much of it could not look at a page table.
//!
//! `cargo test --release --test lab table -- --ignored --nocapture` prints them. It runs all packs some fifty times, which takes an hour.

use serde_json::Value;

use crate::{
    Test, Tested,
    guests::{Ran, events, lab_run},
    tests,
};

pub const TESTS: &[Test] = tests![; ignored: what_passes_on_each_iommu_with_each_device];

const DEVICES: [&str; 8] = ["edu", "igb", "pci-testdev", "ivshmem", "nvme", "e1000e", "virtio-net", "iommu-testdev"];

/// The IOMMUs by name, and the options that choose each. On arm64 the kernel's page size is part of the machine.
const IOMMUS: [(&str, &[&str]); 8] = [
    ("intel", &["--iommu", "intel"]),
    ("intel-scalable", &["--iommu", "intel-scalable"]),
    ("intel-first-stage", &["--iommu", "intel-first-stage"]),
    ("amd", &["--iommu", "amd"]),
    ("virtio", &["--iommu", "virtio"]),
    ("smmuv3", &["--arch", "arm64"]),
    ("smmuv3, 64 KiB pages", &["--arch", "arm64", "--page-size", "64KiB"]),
    ("none", &["--iommu", "none", "--parameter", "vfio.enable_unsafe_noiommu_mode=1"]),
];

/// What a run came to.
struct Sum {
    passed: usize,
    known: usize,
    /// Cases in which a check of the page table was planned and not made.
    blind: usize,
    /// Everything else but skips.
    bad: Vec<String>,
}

fn what_passes_on_each_iommu_with_each_device() -> Tested {
    let left_out = |name: &str, variable: &str| {
        std::env::var(variable).is_ok_and(|only| !only.is_empty() && !only.split(',').any(|one| one == name))
    };
    let header = format!("| IOMMU | `{}` |\n|{}", DEVICES.join("` | `"), "---|".repeat(DEVICES.len() + 1));
    let (mut passed, mut blind, mut bad) = (header.clone(), header, Vec::new());
    for (iommu, options) in IOMMUS {
        if left_out(iommu, "IOMMUS") {
            continue;
        }
        let mut cells = (Vec::new(), Vec::new());
        for device in DEVICES {
            let name = format!("table-{}-{device}", iommu.replace([' ', ','], "-"));
            let select = ["--device", device, "--filter", "'slow' not in tags", "scenarios"];
            let sum = sum(&lab_run(&name, &[options, &select].concat())?);
            println!(
                "{iommu}, {device}: {} passed, {} known issues, {} without a page table",
                sum.passed, sum.known, sum.blind
            );
            cells.0.push(thousands(sum.passed));
            cells.1.push(thousands(sum.blind));
            bad.extend(sum.bad.into_iter().map(|case| format!("{iommu}, {device}: {case}")));
        }
        passed += &format!("\n| `{iommu}` | {} |", cells.0.join(" | "));
        blind += &format!("\n| `{iommu}` | {} |", cells.1.join(" | "));
    }
    println!("\ncases that passed\n\n{passed}\n\ncases in which the page table was not seen\n\n{blind}\n");
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}

fn sum(ran: &Ran) -> Sum {
    let planned = events(ran, "case_planned");
    let results = events(ran, "case_finished");
    assert!(!results.is_empty(), "{}", ran.stdout());
    let has = |verdict: &str| results.iter().filter(|result| result["verdict"] == verdict).count();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let is_blind = |result: &&Value| {
        list(&result["observers"]).iter().any(|saw| saw["observer"] == "leaves" && saw["state"] == "unchecked")
            || list(&result["unchecked"]).iter().any(|check| check["by_choice"] != true)
    };
    let bad =
        results.iter().filter(|result| !["passed", "known_issue", "skipped"].iter().any(|ok| result["verdict"] == *ok));
    let bad = bad.map(|result| {
        let case = planned.iter().find(|case| case["case"] == result["case"]).expect("every result was planned");
        format!("{} {}: {}: {}", case["name"], case["backend"], result["verdict"], result["message"])
    });
    Sum {
        passed: has("passed"),
        known: has("known_issue"),
        blind: results.iter().filter(is_blind).count(),
        bad: bad.collect(),
    }
}

fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
