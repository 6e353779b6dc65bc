// SPDX-License-Identifier: MIT OR Apache-2.0
//! What watches every case: each observer sees what it is for, and fails the case; a known issue is neither pass nor failure.

use std::fs;

use crate::{
    NotTested, Test, Tested,
    common::folder,
    guests::{Ran, VIRTIO, events, lab_run, results, together},
    tests,
};
use serde_json::Value;

pub const TESTS: &[Test] = tests![
    what_virtio_iommu_was_told_is_read_without_a_file_that_stays_open,
    every_observer_is_named_in_every_result,
    files_that_a_request_makes_are_the_cases_own_and_go_with_it,
    what_another_address_space_still_holds_is_seen_once_the_device_is_on_it,
    a_known_issue_is_shown_as_known_until_its_day_and_only_as_it_is_known,
    the_first_warning_leaves_a_mark_that_a_case_allows_with_it,
    what_virtio_iommu_was_told_is_its_page_table_without_pages,
    a_limit_on_locked_memory_holds_even_for_root_and_ends_with_the_case,
];

/// Runs one scenario in the lab.
fn run(name: &str, text: &str) -> Result<Ran, NotTested> {
    let pack = folder(name).join("watched");
    fs::create_dir_all(&pack).unwrap();
    let file = pack.join(format!("{name}.yaml"));
    fs::write(&file, text).unwrap();
    lab_run(&format!("{name}-run"), &[file.to_str().unwrap()])
}

/// What an observer saw of a case.
fn seen<'v>(result: &'v Value, observer: &str) -> &'v str {
    let observers = result["observers"].as_array().unwrap();
    let found = observers.iter().find(|seen| seen["observer"] == observer);
    found.unwrap_or_else(|| panic!("no {observer} in {result}"))["state"].as_str().unwrap()
}

/// What looked at the page table.
pub fn by(result: &Value) -> Vec<&str> {
    let observers = result["observers"].as_array().unwrap();
    let leaves = observers.iter().find(|seen| seen["observer"] == "leaves");
    let by = leaves.and_then(|leaves| leaves["by"].as_array()).into_iter().flatten();
    by.map(|name| name.as_str().unwrap()).collect()
}

pub const NAMED: &str = r#"name: named
backends: [vfio_type1_iommu, iommufd]
cases:
  - name: maps
    region: { memory: anonymous, size: 4KiB }
    expect: { map: ok }
"#;

fn every_observer_is_named_in_every_result() -> Tested {
    let ran = together("named")?;
    ran.expect(0);
    for (result, counts) in events(&ran, "case_finished").iter().zip([true, false]) {
        for observer in
            ["kernel_log", "taint", "leaves", "locked_memory", "pinned_memory", "huge_pages", "open_files", "page_pins"]
        {
            assert_eq!(seen(result, observer), "held", "{result}");
        }
        assert_eq!(by(result), ["VT-d's debugfs", "VT-d's tables in memory"]);
        let told = result["observers"].as_array().unwrap().iter().any(|seen| seen["observer"] == "dma_avail");
        assert_eq!(told, counts, "only VFIO's own backends count mappings: {result}");
    }
    Ok(())
}

pub const FILES: &str = r#"name: files
backends: [iommufd]
cases:
  - name: makes_files
    steps:
      - ioctl: { request: IOMMU_FAULT_QUEUE_ALLOC, on: iommu }
      - ioctl: { request: IOMMU_FAULT_QUEUE_ALLOC, on: iommu }
        save: queue
      - irq_enable: { index: msi }
"#;

fn files_that_a_request_makes_are_the_cases_own_and_go_with_it() -> Tested {
    let ran = together("files")?;
    ran.expect(0);
    assert_eq!(seen(&results(&ran)["makes_files"], "open_files"), "held");
    Ok(())
}

pub const PINNED: &str = r#"name: pinned
backends: [iommufd]
cases:
  - name: mapped_where_no_device_is
    regions: { buffer: { memory: anonymous, size: 16KiB } }
    steps:
      - ioctl: { request: IOMMU_IOAS_ALLOC, on: iommu }
        save: other
      - ioctl:
          request: IOMMU_IOAS_MAP
          on: iommu
          fields: { flags: [FIXED_IOVA, WRITEABLE, READABLE], ioas_id: "{{ other.out_ioas_id }}", user_va: "{{ buffer.vaddr }}", length: 16KiB, iova: 0 }
  - name: attached_and_left_so
    regions: { buffer: { memory: anonymous, size: 16KiB } }
    steps:
      - ioctl: { request: IOMMU_IOAS_ALLOC, on: iommu }
        save: other
      - ioctl:
          request: IOMMU_IOAS_MAP
          on: iommu
          fields: { flags: [FIXED_IOVA, WRITEABLE, READABLE], ioas_id: "{{ other.out_ioas_id }}", user_va: "{{ buffer.vaddr }}", length: 16KiB, iova: 0 }
      - ioctl: { request: VFIO_DEVICE_ATTACH_IOMMUFD_PT, on: device, fields: { pt_id: "{{ other.out_ioas_id }}" } }
"#;

fn what_another_address_space_still_holds_is_seen_once_the_device_is_on_it() -> Tested {
    let ran = together("pinned")?;
    ran.expect(1);
    let results = results(&ran);
    assert_eq!(results["mapped_where_no_device_is"]["verdict"], "passed");
    // What it pinned is still pinned after everything of the address space that the runner knows was unmapped.
    let left = &results["attached_and_left_so"];
    assert_eq!(left["verdict"], "failed", "{left}");
    let states = ["leaves", "pinned_memory"].map(|observer| seen(left, observer));
    assert!(states.contains(&"broken"), "{left}");
    Ok(())
}

/// A mapping without any access, which the compat backends let through to VT-d, where the kernel warns.
fn warns(name: &str, more: &str) -> String {
    format!(
        "  - name: {name}\n{more}    regions: {{ buffer: {{ memory: anonymous, size: 4KiB }} }}\n    \
         steps: [{{ map: {{ region: buffer, access: none }}, expect: EINVAL }}]\n"
    )
}

fn known(until: &str, message: &str) -> String {
    format!("    known_issue: {{ reason: it warns, message: \"{message}\", until: {until} }}\n")
}

pub fn known_issues() -> String {
    format!(
        "name: known\nbackends: [iommufd_compat_type1]\ncases:\n{}{}{}{}{}",
        warns("known", &known("2999-12-31", "the kernel logged: WARNING")),
        warns("ran_out", &known("2020-12-31", "the kernel logged: WARNING")),
        warns("fails_otherwise", &known("2999-12-31", "map gave success")),
        warns("not_here", &known("2999-12-31", "").replace("{ reason", "{ when: \"{{ iommu == 'amd' }}\", reason")),
        "  - name: passes\n    region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n    \
         known_issue: { reason: it was broken, until: 2999-12-31 }\n",
    )
}

fn a_known_issue_is_shown_as_known_until_its_day_and_only_as_it_is_known() -> Tested {
    let ran = together("known")?;
    ran.expect(1);
    let results = results(&ran);
    let verdict = |name: &str| (results[name]["verdict"].as_str().unwrap(), results[name]["message"].as_str().unwrap());
    let (state, message) = verdict("known");
    assert!(
        state == "known_issue" && message.starts_with("known issue: it warns (the kernel logged: WARNING"),
        "{message}"
    );
    assert_eq!(seen(&results["known"], "kernel_log"), "broken");
    for (name, part) in [
        ("ran_out", "it was known until 2020-12-31: it warns"),
        ("fails_otherwise", "it is known to fail, but with `map gave success`"),
        ("not_here", "the kernel logged: WARNING"),
    ] {
        assert_eq!(verdict(name).0, "failed", "{}", results[name]);
        assert!(results[name]["detail"].as_str().unwrap().contains(part), "{}", results[name]);
    }
    assert_eq!(verdict("passes"), ("failed", "the case passed, and is known to fail"));
    assert!(ran.stdout().contains("1 as a known issue"), "{}", ran.stdout());
    // Jenkins has no third colour: neither green nor red.
    let junit = ran.junit();
    let document = roxmltree::Document::parse(&junit).unwrap();
    let case = document.descendants().find(|node| node.attribute("name") == Some("known")).unwrap();
    let skipped = case.children().find(|node| node.has_tag_name("skipped")).expect("it is skipped there");
    assert!(skipped.attribute("message").unwrap().starts_with("known issue: it warns"), "{junit}");
    Ok(())
}

fn the_first_warning_leaves_a_mark_that_a_case_allows_with_it() -> Tested {
    // In a fresh guest the kernel is not tainted: the first case taints it, and the taint is found with the warning itself allowed
    // nowhere else.
    let text = format!(
        "name: taint\nbackends: [iommufd_compat_type1]\ncases:\n{}{}",
        warns("allowed", "    kernel_log: { allow: [\"WARNING: drivers/iommu/\"] }\n"),
        warns("not_allowed", "")
            + &warns("named", "    kernel_log: { allow: [\"WARNING\"], never: [\"drivers/iommu/\"] }\n"),
    );
    let ran = run("taint", &text)?;
    ran.expect(1);
    let results = results(&ran);
    assert_eq!(results["allowed"]["verdict"], "passed", "{}", results["allowed"]);
    assert_eq!(seen(&results["allowed"], "taint"), "held");
    for name in ["not_allowed", "named"] {
        assert_eq!(results[name]["verdict"], "failed");
        assert_eq!(seen(&results[name], "kernel_log"), "broken");
    }
    Ok(())
}

pub const TOLD: &str = r#"name: told
backends: [vfio_type1v2_iommu, iommufd]
cases:
  - name: maps
    regions: { buffer: { memory: hugetlb, size: 2MiB } }
    steps:
      - { map: { region: buffer, iova: 2MiB, access: read } }
      - pagesize: { iova: 2MiB, size: 2MiB, is: 2MiB }
      - unmap: { iova: 2MiB, size: 2MiB }
      - gone: { iova: 2MiB, size: 2MiB }
  - name: checks_only_what_cannot_be_seen
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - { map: { region: buffer, iova: 2MiB }, expect: either }
      - pagesize: { iova: 2MiB, size: 4KiB, is: 4KiB }
  - name: not_gone
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - map: { region: buffer, iova: 2MiB }
      - gone: { iova: 2MiB, size: 4KiB }
"#;

fn what_virtio_iommu_was_told_is_its_page_table_without_pages() -> Tested {
    let ran = VIRTIO.pack("told")?;
    ran.expect(1);
    let all = results(&ran);
    assert_eq!((seen(&all["maps"], "leaves"), by(&all["maps"])), ("held", vec!["what virtio-iommu was told"]));
    assert_eq!(all["maps"]["verdict"], "passed", "{}", all["maps"]);
    let why = "the IOMMU is told ranges, which have no page size";
    assert_eq!(all["maps"]["unchecked"][0]["reason"], why, "{}", all["maps"]);
    assert!(ran.stdout().contains(&format!("4 pagesize checks not made: {why}")), "{}", ran.stdout());
    // A pass that looked at nothing would be a lie.
    let nothing = &all["checks_only_what_cannot_be_seen"];
    assert_eq!(nothing["verdict"], "skipped", "{nothing}");
    let message = nothing["message"].as_str().unwrap();
    assert!(message.starts_with("nothing of it can be checked here: pagesize"), "{nothing}");
    let left = all["not_gone"]["message"].as_str().unwrap();
    assert!(left.starts_with("the IOMMU's page table still has an entry of 4KiB at iova 0x200000"), "{left}");
    Ok(())
}

pub const LIMIT: &str = r#"name: limit
backends: all
cases:
  - name: limited
    limits: { memlock: 8KiB }
    regions: { buffer: { memory: anonymous, size: 12KiB } }
    steps: [{ map: { region: buffer }, expect: ENOMEM }]
  - name: unlimited
    region: { memory: anonymous, size: 16MiB }
    expect: { map: ok }
"#;

fn a_limit_on_locked_memory_holds_even_for_root_and_ends_with_the_case() -> Tested {
    let ran = together("limit")?;
    ran.expect(0);
    Ok(())
}

/// The first case of a process opens its device by itself, and so everything that looks at it.
fn what_virtio_iommu_was_told_is_read_without_a_file_that_stays_open() -> Tested {
    let scenario = "scenarios/vendor/qemu-edu/as_vfio_shows_it.yaml";
    lab_run("told-files", &["--iommu", "virtio", "--case", "opened_again", scenario])?.expect(0);
    Ok(())
}
