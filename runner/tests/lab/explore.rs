// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that nobody wrote down, on a real kernel.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    Test, Tested,
    common::{command, folder, text, vfiospec},
    guests::{Ran, VIRTIO, events, lab, lab_run, place, results, together},
    tests,
};

pub const TESTS: &[Test] = tests![
    the_kernel_answers_as_the_model_says,
    where_no_allocation_fails_the_result_says_so,
    what_is_wrong_is_found_and_becomes_a_short_scenario,
    a_device_that_does_not_copy_is_noticed,
    a_device_whose_dma_no_pack_knows_is_told,
    the_command_writes_what_it_runs,
    two_kernels_are_given_the_same_calls_and_what_they_choose_is_told,
];

pub const EXPLORE: &str = r#"
name: explore
backends: all
fixture: none
cases:
  - name: as_it_should_be
    regions:
      small: { memory: anonymous, size: 256KiB }
      huge: { memory: hugetlb, size: 4MiB }
      read_only: { memory: memfd, size: 16KiB, protection: read }
      mixed: { memory: anonymous, size: 2MiB, align: 2MiB }
      file: { memory: memfd, size: 64KiB }
    steps:
      - explore: { seed: 1, steps: 400 }
"#;

/// Memory is taken away of which the model does not know.
pub const TAKEN: &str = r#"
name: taken
backends: [vfio_type1v2_iommu, iommufd]
fixture: none
cases:
  - name: memory_is_taken_away
    regions: { small: { memory: anonymous, size: 64KiB } }
    steps:
      - munmap: { region: small, offset: 32KiB, size: 4KiB }
      - explore: { seed: 1, for: 20s }
"#;

/// A pack for a device that says that it copies, and does not.
const IDLE_PACK: &str = r#"
name: idle
devices: { edu: { ids: ["1234:11e8"] } }
procedures:
  dma_limits: { summary: What it can copy., gives: { least: 1, most: 4096, rounds: 1 } }
  dma_start:
    summary: Nothing is copied.
    steps: [{ config_write: { offset: command, set: [bus_master] } }]
  dma_copy:
    summary: Nothing is copied.
    parameters:
      source: { type: iova, summary: Where nothing is read. }
      destination: { type: iova, summary: Where nothing is written. }
      size: { type: size, summary: How much is not copied. }
    steps: [{ config_write: { offset: command, set: [bus_master] } }]
  dma_stop:
    summary: Nothing is copied.
    steps: [{ config_write: { offset: command, clear: [bus_master] } }]
"#;

const IDLE: &str = r#"
name: idle
backends: [vfio_type1v2_iommu, iommufd]
fixture: none
cases:
  - name: nothing_is_copied
    regions: { small: { memory: anonymous, size: 64KiB } }
    steps:
      - explore: { seed: 1, steps: 300 }
"#;

fn the_kernel_answers_as_the_model_says() -> Tested {
    let ran = together("explore")?;
    let results = events(&ran, "case_finished");
    assert_eq!(results.len(), 5);
    // The device tried to reach what it must not.
    let has_fault = |result: &Value| {
        let lines = result["kernel_log"].as_array().unwrap().iter();
        lines.filter_map(Value::as_str).any(|line| line.contains("DMAR: [DMA Write"))
    };
    assert!(results.iter().filter(|result| has_fault(result)).count() >= 3, "{results:#?}");
    for result in results {
        assert_eq!(result["verdict"], "passed", "{result}");
        assert!(!result["unchecked"].to_string().contains("DMA"), "{result}");
        assert!(result["checks"].as_u64() >= Some(200), "{result}");
        let leaves = result["observers"].as_array().unwrap().iter().find(|seen| seen["observer"] == "leaves");
        assert_eq!(leaves.unwrap()["state"], "held", "{result}");
    }
    Ok(())
}

fn where_no_allocation_fails_the_result_says_so() -> Tested {
    let ran = VIRTIO.part("explore-virtio-run", |case| case["pack"] == "explore")?;
    let results = events(&ran, "case_finished");
    assert_eq!(results.len(), 5);
    let why = "no allocation was made to fail: virtio-iommu allocates for the message that it sends of each mapping";
    for result in results {
        assert_eq!(result["verdict"], "passed", "{result}");
        let said = result["unchecked"][0]["reason"].as_str().unwrap_or_default();
        assert_eq!(said, why, "{result}");
    }
    // It is as wide as a terminal.
    let said = ran.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("5 explore checks not made: {why}")), "{}", ran.stdout());
    Ok(())
}

fn what_is_wrong_is_found_and_becomes_a_short_scenario() -> Tested {
    let ran = together("taken")?;
    let results = events(&ran, "case_finished");
    assert_eq!(results.len(), 2);
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result["verdict"], "failed", "{result}");
        assert_eq!(result["message"], "map gave EFAULT (bad address), expected success");
        let scenario = result["scenario"].as_str().unwrap();
        assert_eq!(scenario.matches("\n      - ").count(), 1, "{scenario}");
        assert!(scenario.contains("\n      - map: { region: small, iova: 0x"), "{scenario}");
        assert!(result["detail"].as_str().unwrap().ends_with(scenario), "{result}");
        // The calls are those of the scenario, and of opening the device for it.
        let trace: Vec<&str> = result["trace"].as_array().unwrap().iter().filter_map(|line| line.as_str()).collect();
        let maps = trace.iter().filter(|line| line.contains("_MAP")).count();
        assert!((1..=2).contains(&maps) && trace.len() < 40, "{trace:#?}");
        let file = folder(&format!("explore-found-{number}")).join("found.yaml");
        fs::write(&file, scenario).expect("written");
        let checked = vfiospec(&["check", file.to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    }
    Ok(())
}

fn a_device_that_does_not_copy_is_noticed() -> Tested {
    // Alone: another pack for the same device leaves it open which of them copies.
    let pack = folder("explore-idle");
    for (name, text) in [("pack.yaml", IDLE_PACK), ("idle.yaml", IDLE)] {
        fs::write(pack.join(name), text).expect("written");
    }
    let ran = lab_run("explore-idle-run", &[pack.to_str().unwrap()])?;
    ran.expect(1);
    let results = events(&ran, "case_finished");
    assert_eq!(results.len(), 2);
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result["verdict"], "failed", "{result}");
        let message = result["message"].as_str().unwrap();
        assert_eq!(message, "reach gave EFAULT (bad address), expected success");
        let scenario = result["scenario"].as_str().unwrap();
        // Two mappings, or one of two pages, and the copy.
        let maps = scenario.matches("\n      - map: ").count();
        assert!((1..=2).contains(&maps), "{scenario}");
        assert_eq!(scenario.matches("\n      - ").count(), maps + 1, "{scenario}");
        assert!(!scenario.contains("iommu_fault"), "{scenario}");
        let file = folder(&format!("explore-idle-{number}")).join("found.yaml");
        fs::write(&file, scenario).expect("written");
        let checked = vfiospec(&["check", file.to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(0), "{}{scenario}", text(&checked.stderr));
    }
    Ok(())
}

fn a_device_whose_dma_no_pack_knows_is_told() -> Tested {
    let file = folder("explore-no-dma").join("explore.yaml");
    fs::write(&file, EXPLORE).expect("written");
    let ran = lab_run("explore-no-dma-run", &["--device", "nvme", "--backend", "iommufd", file.to_str().unwrap()])?;
    ran.expect(0);
    let why = "what the device reaches by DMA was not looked at: the packs `pci` and `nvme`, for this device, 1b36:0010, have no procedure `dma_limits`";
    let said = ran.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("1 explore check not made: {why}")), "{}", ran.stdout());
    Ok(())
}

fn the_command_writes_what_it_runs() -> Tested {
    lab()?;
    let _place = place();
    let folder = folder("explore-command");
    let (junit, journal) = (folder.join("junit.xml"), folder.join("journal.jsonl"));
    let mut command = command();
    command.args(["lab", "explore", "--seed", "5", "--steps", "200", "--cases", "2", "--backend", "iommufd", "--to"]);
    command.arg(&folder).arg("--journal").arg(&journal).arg("--junit").arg(&junit);
    let ran = Ran { output: command.output().expect("the binary starts"), junit, journal };
    ran.expect(0);
    let results = results(&ran);
    let names: Vec<&str> = results.keys().map(String::as_str).collect();
    assert_eq!(names, ["sequences[seed=5]", "sequences[seed=6]"]);
    let written = fs::read_to_string(folder.join("explore.yaml")).expect("the scenario is written");
    assert!(written.contains("matrix: { seed: [5, 6] }") && written.contains("steps: 100 }"), "{written}");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 3, "it found nothing");
    Ok(())
}

fn two_kernels_are_given_the_same_calls_and_what_they_choose_is_told() -> Tested {
    lab()?;
    let _place = place();
    let folder = folder("explore-against");
    let (junit, journal) = (folder.join("junit.xml"), folder.join("journal.jsonl"));
    let mut explore = command();
    explore.args(["lab", "explore", "--seed", "5", "--steps", "500", "--cases", "1", "--backend", "iommufd"]);
    explore
        .args(["--against", "newest", "--to"])
        .arg(&folder)
        .arg("--journal")
        .arg(&journal)
        .arg("--junit")
        .arg(&junit);
    let ran = Ran { output: explore.output().expect("the binary starts"), junit, journal };
    ran.expect(0);
    assert!(ran.stdout().contains("newest, again: Linux "), "{}", ran.stdout());
    assert!(!ran.stdout().contains("that the model allows"), "{}", ran.stdout());
    let other = folder.join("journal-against.jsonl");
    let explored = |journal: &Path| {
        let text = fs::read_to_string(journal).expect("a journal");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
        events.filter(|event| event["event"] == "case_finished").map(|event| event["explored"].clone()).next().unwrap()
    };
    let (one, again) = (explored(&ran.journal), explored(&other));
    assert_eq!(one, again, "it is the same kernel");
    let free = one["free"].as_array().expect("some may come to several things");
    assert!(free.len() > 3, "{one}");
    // A kernel that gives the other errno.
    let first = &free[0];
    let given = |errno: &Value| *errno == first["gave"];
    let instead = first["may"].as_array().unwrap().iter().find(|errno| !given(errno)).expect("several are right");
    let changed = fs::read_to_string(&other).unwrap().replacen(
        &format!("\"gave\":{}", first["gave"]),
        &format!("\"gave\":{instead}"),
        1,
    );
    fs::write(&other, changed).expect("written");
    let html = folder.join("report.html");
    let (a, b) = (format!("a={}", ran.journal.display()), format!("b={}", other.display()));
    let report = command().args(["report", &a, &b, "--html"]).arg(&html).output().expect("the binary starts");
    let said = text(&report.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let (step, [gave, instead]) =
        (first["step"].as_str().unwrap(), [&first["gave"], instead].map(|it| it.as_str().unwrap()));
    for part in [
        "1 difference that the model allows: on iommufd, ".to_owned()
            + &step.split_whitespace().collect::<Vec<_>>().join(" "),
        format!("{gave} on a"),
        format!("{instead} on b"),
    ] {
        assert!(said.contains(&part), "{part}\n{said}");
    }
    let page = fs::read_to_string(&html).expect("a page");
    assert!(page.contains("Differences that the model allows <small>1</small>"), "{said}");
    Ok(())
}
