// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several devices in one case, virtual functions, and steps at the same time: the binary, in the lab, on the real kernel.

use std::{fs, thread};

use crate::{
    Test, Tested,
    common::{self, folder, top},
    guests::{IGB, Ran, events, lab_run, lab_run_that_waits, results, together, whole_run},
    tests,
};

pub const TESTS: &[Test] = tests![
    the_guides_examples_with_several_devices_hold_on_two,
    a_virtual_function_opens_with_its_devices_token_on_every_backend,
    a_device_that_is_not_there_is_a_skip_that_says_so,
    virtual_functions_go_with_a_case_that_fails_hangs_or_kills_its_process,
    all_devices_open_at_the_same_time_and_the_times_are_in_the_result,
    a_failure_among_steps_at_the_same_time_says_which_and_what_hangs_is_named,
    a_case_whose_time_ends_in_a_reset_is_a_failure_that_names_it,
    a_device_that_a_case_took_away_is_back_for_the_next_one_however_the_case_ended,
];

const SRIOV: &str = "scenarios/kernel/pci_sriov_uapi.yaml";

fn verdicts(ran: &Ran, verdict: &str) -> usize {
    events(ran, "case_finished").iter().filter(|result| result["verdict"] == verdict).count()
}

fn message(result: &serde_json::Value) -> String {
    result["message"].as_str().unwrap_or_default().to_owned()
}

fn the_guides_examples_with_several_devices_hold_on_two() -> Tested {
    let pack = folder("several").join("several");
    fs::create_dir_all(&pack).unwrap();
    let markdown = fs::read_to_string(top().join("scenarios/README.md")).unwrap();
    let examples = common::yaml_examples(&markdown).into_iter().filter(|(_, text)| text.contains("devices:"));
    for (line, text) in examples {
        fs::write(pack.join(format!("example-{line}.yaml")), text).unwrap();
    }
    for iommu in ["intel", "virtio"] {
        let arguments =
            [pack.to_str().unwrap(), "--iommu", iommu, "--device", "edu", "--device", "igb", "--device", "ivshmem"];
        let ran = lab_run(&format!("several-{iommu}"), &arguments)?;
        ran.expect(0);
        assert!(!ran.junit().contains("<skipped"), "an example that does not apply shows nothing:\n{}", ran.stdout());
    }
    Ok(())
}

fn a_virtual_function_opens_with_its_devices_token_on_every_backend() -> Tested {
    let run = |iommu: &'static str| {
        move || lab_run_that_waits(&format!("sriov-{iommu}"), &[SRIOV, "--iommu", iommu, "--device", "igb"])
    };
    // Resets of igb take most of the time, and of the processor nothing.
    let runs = thread::scope(|scope| {
        ["intel", "intel-scalable"].map(|iommu| scope.spawn(run(iommu))).map(|run| run.join().expect("no panic"))
    });
    for ran in runs {
        let ran = ran?;
        ran.expect(0);
        let all = events(&ran, "case_planned");
        assert_eq!(verdicts(&ran, "passed"), all.len(), "{}", ran.stdout());
        // Each of the kernel's own: three tests, three tokens, five backends.
        let covered = all.iter().flat_map(|case| case["covers"].as_array().unwrap().clone());
        let covered: std::collections::BTreeSet<String> =
            covered.map(|name| name.as_str().unwrap().to_owned()).collect();
        assert_eq!(covered.len(), 3 * 3 * 5, "{covered:?}");
    }
    Ok(())
}

pub const MISSING: &str = "name: missing\nbackends: [iommufd]\ncases:\n  \
         - name: second\n    devices: { second: any }\n    steps:\n      - info:\n  \
         - name: named\n    devices: { nic: igb }\n    steps:\n      - info:\n  \
         - name: function\n    devices: { vf: virtual_function }\n    steps:\n      - info:\n  \
         - name: all\n    devices: { others: all }\n    steps:\n      - check: \"{{ others | length == 0 }}\"\n";

fn a_device_that_is_not_there_is_a_skip_that_says_so() -> Tested {
    let ran = together("missing")?;
    ran.expect(0);
    let results = results(&ran);
    for (case, why) in [
        ("second", "the case needs one more device, as `second`"),
        ("named", "no device is called `igb`; given: edu (1234:11e8); `run` takes"),
        ("function", "the device has no SR-IOV"),
    ] {
        assert_eq!(results[case]["verdict"], "skipped", "{}", results[case]);
        assert!(message(&results[case]).contains(why), "{}", results[case]);
    }
    assert_eq!(results["all"]["verdict"], "passed", "{}", results["all"]);
    Ok(())
}

pub const LEFTOVERS: &str = r#"name: leftovers
backends: [iommufd]
fixture: none
cases:
  - name: fails
    devices: { vf: virtual_function }
    steps:
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
        device: vf
  - name: hangs
    devices: { vf: virtual_function }
    timeout: 3s
    steps:
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
        device: vf
      - irq_enable: { index: msix }
        device: vf
      - irq_wait: { index: msix, timeout: 1h }
        device: vf
  - name: dies
    devices: { vf: virtual_function }
    steps:
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
        device: vf
      - lab_fault: crash
  # The functions go with their device.
  - name: is_taken_away
    devices: { vf: virtual_function }
    steps:
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
      - sysfs: { write: remove, timeout: 50ms }
        expect: ETIMEDOUT
      - sysfs: { write: rescan, timeout: 50ms }
        expect: ETIMEDOUT
      - device_close:
      - sysfs: { wait: remove }
      - sysfs: { wait: rescan }
  - name: afterwards
    devices: { vf: virtual_function }
    steps:
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
      - device_open: { token: 52ac9bff-3a88-4fbd-901a-0d767c3b6c97 }
        device: vf
"#;

fn virtual_functions_go_with_a_case_that_fails_hangs_or_kills_its_process() -> Tested {
    let ran = IGB.pack("leftovers")?;
    ran.expect(1);
    let results = results(&ran);
    assert_eq!(results["fails"]["verdict"], "failed", "{}", results["fails"]);
    assert!(message(&results["fails"]).contains("device_open gave EACCES"), "{}", results["fails"]);
    assert!(message(&results["hangs"]).contains("timed out after 3s in irq_wait at"), "{}", results["hangs"]);
    assert_eq!(results["dies"]["verdict"], "error", "{}", results["dies"]);
    // Where one was left, this could make none: that is what is proved.
    for name in ["is_taken_away", "afterwards"] {
        assert_eq!(results[name]["verdict"], "passed", "{}", results[name]);
    }
    Ok(())
}

fn all_devices_open_at_the_same_time_and_the_times_are_in_the_result() -> Tested {
    let file = "scenarios/kernel/pci_device_init_perf.yaml";
    let one = whole_run()?.part("init-1", |case| case["file"] == file);
    let two = lab_run("init-2", &[file, "--device", "edu", "--device", "igb"])?;
    for (ran, count) in [(one, 1), (two, 2)] {
        ran.expect(0);
        assert_eq!(verdicts(&ran, "passed"), 5 * count, "{}", ran.stdout());
        for result in events(&ran, "case_finished") {
            let measured = &result["measured"][0];
            let each = measured["each"].as_array().unwrap();
            let longest = each.iter().map(|micros| micros.as_u64().unwrap()).max().unwrap();
            assert_eq!((measured["what"].as_str(), each.len()), (Some("init"), count), "{result}");
            assert!(longest > 0 && measured["micros"].as_u64().unwrap() >= longest, "{result}");
        }
        assert!(ran.junit().contains("measured init: "), "{}", ran.junit());
    }
    Ok(())
}

pub const AT_ONCE: &str = r#"name: at_once
backends: [iommufd]
cases:
  - name: one_fails
    steps:
      - parallel:
          branches:
            - - info:
            - - info:
              - check: "{{ page_size == 1 }}"
  - name: one_hangs
    timeout: 3s
    steps:
      - irq_enable: { index: msi }
      - parallel:
          branches:
            - - irq_wait: { index: msi, timeout: 1h }
            - - info:
  - name: one_wakes_the_other
    steps:
      - irq_enable: { index: msi }
      - parallel:
          branches:
            - - irq_wait: { index: msi, timeout: 30s }
                save: woken
            - - irq_trigger: { index: msi }
      - check: "{{ woken.count == 1 }}"
  - name: all_map
    regions: { memory: { memory: anonymous, size: 16KiB } }
    steps:
      - parallel:
          times: 4
          as: number
          steps:
            - map: { region: memory, offset: "{{ number * 4096 }}", size: 4KiB }
      - unmap_all:
        save: gone
      - check: "{{ gone.bytes == 16384 }}"
  - name: all_unmap_all
    regions: { memory: { memory: anonymous, size: 16KiB } }
    steps:
      - parallel:
          times: 4
          steps:
            - map: { region: memory }
            - unmap_all: # of what another thread is mapping just then, the kernel says EBUSY
              expect: either
"#;

fn a_failure_among_steps_at_the_same_time_says_which_and_what_hangs_is_named() -> Tested {
    let ran = together("at_once")?;
    ran.expect(1);
    let results = results(&ran);
    assert!(results["one_fails"]["detail"].as_str().unwrap().contains("in branch 1"), "{}", results["one_fails"]);
    assert!(message(&results["one_hangs"]).contains("timed out after 3s in irq_wait at"), "{}", results["one_hangs"]);
    assert_eq!(results["one_wakes_the_other"]["verdict"], "passed", "{}", results["one_wakes_the_other"]);
    // The page table of a case is held against what its threads mapped, unless only their turns could say what is mapped.
    let leaves = |case: &str| {
        let seen = results[case]["observers"].as_array().unwrap().iter().find(|seen| seen["observer"] == "leaves");
        seen.unwrap_or_else(|| panic!("{}", results[case])).clone()
    };
    assert_eq!(results["all_map"]["verdict"], "passed", "{}", results["all_map"]);
    assert_eq!(leaves("all_map")["state"], "held", "{}", results["all_map"]);
    assert_eq!(results["all_unmap_all"]["verdict"], "passed", "{}", results["all_unmap_all"]);
    assert_eq!(leaves("all_unmap_all")["state"], "unchecked", "{}", results["all_unmap_all"]);
    let why = leaves("all_unmap_all")["detail"].clone();
    assert_eq!(why.as_str(), Some("what is mapped at one place by several threads is not followed"));
    assert_eq!(leaves("one_wakes_the_other")["state"], "held");
    Ok(())
}

/// Cases that take the device away and do not end well, each followed by one that uses it.
pub const AWAY: &str = r#"name: away
backends: [vfio_type1v2_iommu, iommufd]
cases:
  - name: fails
    steps:
      - sysfs: { write: unbind, timeout: 50ms }
  - name: after_a_failure
    steps: [{ config_read: { offset: 0x0 } }]
  - name: fails_without_the_device
    fixture: none
    steps:
      - sysfs: { write: remove }
      - device_open:
  - name: after_a_failure_without_the_device
    steps: [{ config_read: { offset: 0x0 } }]
  - name: dies
    steps:
      - sysfs: { write: unbind, timeout: 50ms }
        expect: ETIMEDOUT
      - lab_fault: crash
  - name: after_a_death
    steps: [{ config_read: { offset: 0x0 } }]
  - name: dies_without_the_device
    fixture: none
    steps:
      - device_open:
      - device_close:
      - sysfs: { write: remove }
      - lab_fault: crash
  - name: after_a_death_without_the_device
    steps: [{ config_read: { offset: 0x0 } }]
  - name: hangs
    timeout: 3s
    steps:
      - sysfs: { write: remove, timeout: 1h }
  - name: after_a_hang
    steps: [{ config_read: { offset: 0x0 } }]
  - name: is_killed
    timeout: 3s
    steps:
      - sysfs: { write: remove, timeout: 50ms }
        expect: ETIMEDOUT
      - lab_fault: spin
  - name: after_a_kill
    steps: [{ config_read: { offset: 0x0 } }]
"#;

fn a_device_that_a_case_took_away_is_back_for_the_next_one_however_the_case_ended() -> Tested {
    let ran = together("away")?;
    ran.expect(1);
    for backend in ["vfio_type1v2_iommu", "iommufd"] {
        let ran = ran.part(&format!("away-{backend}"), |case| case["backend"] == backend);
        let results = results(&ran);
        for (name, verdict, text) in [
            ("fails", "failed", "sysfs gave ETIMEDOUT"),
            ("fails_without_the_device", "failed", "device_open gave ENOENT"),
            ("dies", "error", "the worker died in lab_fault at"),
            ("dies_without_the_device", "error", "the worker died in lab_fault at"),
            ("hangs", "failed", "timed out after 3s in sysfs at"),
            ("is_killed", "failed", "timed out after 3s in lab_fault at"),
        ] {
            assert_eq!(results[name]["verdict"], verdict, "{}", results[name]);
            assert!(message(&results[name]).contains(text), "{}", results[name]);
        }
        for (name, result) in results.iter().filter(|(name, _)| name.starts_with("after_")) {
            assert_eq!(result["verdict"], "passed", "{name}: {result}");
        }
    }
    Ok(())
}

pub const RESETS: &str = "name: resets\nbackends: [iommufd]\ncases:\n  - name: many\n    timeout: 5s\n    steps:\n      \
         - repeat:\n          times: 10000\n          steps:\n            - reset:\n";

/// No device here has a reset that never ends. One of igb takes 0.1 s at the least, and many of them longer than the case may: what
/// is told of a case whose time ends in a reset is the same.
fn a_case_whose_time_ends_in_a_reset_is_a_failure_that_names_it() -> Tested {
    let ran = IGB.pack("resets")?;
    ran.expect(1);
    let result = &results(&ran)["many"];
    assert_eq!(result["verdict"], "failed", "{result}");
    assert!(message(result).contains("timed out after 5s in reset at"), "{result}");
    Ok(())
}
