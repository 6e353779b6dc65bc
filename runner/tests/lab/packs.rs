// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packs of vendors: folders of YAML, anywhere, that program devices and bring their scenarios along.

use std::fs;

use clap::ValueEnum;
use serde_json::Value;
use vfiospec::{
    event::DeviceUsed,
    lab::devices,
    language::{DeviceModel, LabDevice, Machine},
};

use crate::{
    Test, Tested,
    common::{folder_outside, guides_pack, said, vfiospec_in},
    guests::{events, lab, lab_run, place, results},
    observers, tests,
};

pub const TESTS: &[Test] = tests![
    on_amds_iommu_mappings_and_dma_work_to_the_end_of_64_bits,
    the_generic_cases_about_dma_hold_on_other_devices,
    the_device_for_tests_of_iommus_knows_where_it_could_write,
    procedures_run_on_the_device_and_what_fails_in_one_is_found,
    the_labs_devices_are_what_it_takes_them_for_before_there_is_a_guest,
    a_role_is_every_device_that_can_do_what_it_says,
    a_call_that_is_found_outside_of_a_parameters_bounds_in_a_run_has_no_verdict,
    what_a_copy_by_the_device_comes_to_is_told,
];

fn procedures_run_on_the_device_and_what_fails_in_one_is_found() -> Tested {
    let folder = folder_outside("lab");
    let card = folder.join("card");
    guides_pack(&card);
    let text = fs::read_to_string(card.join("pack.yaml")).unwrap();
    // One that does what it says, one that expects too much of the card, and none at all for another device.
    let wrong = text.replacen("procedures:\n", "procedures:\n  fails:\n    summary: Cannot be.\n    steps:\n      - mmio_read: { bar: 0, offset: 0x0 }\n        save: id\n      - check: \"{{ id.value == 0 }}\"\n", 1);
    fs::write(card.join("pack.yaml"), &wrong).unwrap();
    fs::write(
        card.join("more.yaml"),
        "name: more\ndevice: card\ncases:\n  - name: calls_what_fails\n    steps:\n      - call: fails\n",
    )
    .unwrap();
    lab()?;
    let _place = place();
    let journal = folder.join("journal.jsonl");
    let arguments = ["lab", "run", "card", "--junit", "junit.xml", "--journal", "journal.jsonl"];
    let told = said(&vfiospec_in(&folder, &arguments), 1);
    let journal = fs::read_to_string(journal).unwrap();
    assert!(journal.contains("\"verdict\":\"passed\""), "{told}");
    let line = 1 + wrong.lines().position(|line| line.contains("id.value == 0")).unwrap();
    assert!(told.contains(&format!("pack.yaml:{line}:")), "{told}");
    assert!(told.contains("in `fails`, called at card/more.yaml:6"), "{told}");
    fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

fn the_labs_devices_are_what_it_takes_them_for_before_there_is_a_guest() -> Tested {
    let folder = folder_outside("kinds");
    let file = folder.join("kinds.yaml");
    fs::write(&file, "name: kinds\nbackends: [iommufd]\ncases: [{ name: a, steps: [{ device_info: }] }]\n").unwrap();
    let models = DeviceModel::value_variants();
    let named = models.iter().flat_map(|model| ["--device", model.as_str()]);
    let arguments: Vec<&str> = std::iter::once(file.to_str().unwrap()).chain(named).collect();
    let ran = lab_run("kinds-run", &arguments)?;
    ran.expect(0);
    let told = events(&ran, "run_started")[0]["devices"].clone();
    let told: Vec<DeviceUsed> = serde_json::from_value(told).unwrap();
    let told: Vec<_> = told.iter().map(|device| (device.name.clone(), device.kind())).collect();
    let one_of_each = models.iter().map(|model| (model.as_str().replace('-', "_"), LabDevice::of(*model))).collect();
    let machine = Machine { devices: one_of_each, ..Machine::default() };
    let known: Vec<_> =
        devices(&machine, &[]).iter().map(|device| (device.used().name, device.used().kind())).collect();
    assert_eq!(told, known);
    fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

fn a_role_is_every_device_that_can_do_what_it_says() -> Tested {
    let folder = folder_outside("roles");
    let manifest = "name: roles\ndevices:\n  interrupting: { capabilities: [intx] }\n  resettable: { capabilities: [flr, msix] }\n  \
        large: { bar: 1MiB }\n  with_functions: { class: [\"020000\"], capabilities: [sriov] }\n";
    fs::write(folder.join("pack.yaml"), manifest).unwrap();
    // In this order each is behind one that more than one device has.
    for (role, name) in [
        ("interrupting", "{{ device.name in ['edu', 'nvme'] and 'intx' in device.capabilities }}"),
        ("large", "{{ device.name == 'edu' and 'flr' not in device.capabilities }}"),
        ("resettable", "{{ device.name == 'nvme' and device.resets }}"),
        ("with_functions", "{{ false }}"),
    ] {
        let text = format!(
            "name: {role}\ndevice: {role}\nbackends: [iommufd]\ncases:\n  - name: {role}\n    steps: [{{ check: \"{name}\" }}]\n  \
             - name: {role}_and_another\n    devices: {{ other: resettable }}\n    steps: [{{ check: \"{{{{ other.name == 'nvme' }}}}\" }}]\n"
        );
        fs::write(folder.join(format!("{role}.yaml")), text).unwrap();
    }
    let arguments = [folder.to_str().unwrap(), "--device", "edu", "--device", "nvme"];
    let ran = lab_run("roles-run", &arguments)?;
    ran.expect(0);
    let found: Vec<String> = events(&ran, "case_planned")
        .into_iter()
        .map(|case| {
            let result = events(&ran, "case_finished").into_iter().find(|result| result["case"] == case["case"]);
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let result = result.expect("a result");
            format!(
                "{} on {}: {} {}",
                text(&case["name"]),
                text(&case["device"]),
                text(&result["verdict"]),
                text(&result["message"])
            )
        })
        .collect();
    let had = "given: edu (1234:11e8; intx and msi), nvme (1b36:0010; intx and pm and msix and pcie and flr)";
    let alone = format!(
        "skipped the case needs one more `resettable` of the pack `roles`, with the capabilities flr and msix, beside its own; {had}"
    );
    let none = "skipped no device is the `with_functions` of the pack `roles`, which has the class 020000, and the capability sriov; \
        given: edu (1234:11e8; class 00ff00; intx and msi), nvme (1b36:0010; class 010802; intx and pm and msix and pcie and flr); \
        name one with --device";
    assert_eq!(
        found,
        [
            "interrupting on edu: passed ".to_owned(),
            "interrupting_and_another on edu: passed ".to_owned(),
            "interrupting on nvme: passed ".to_owned(),
            format!("interrupting_and_another on nvme: {alone}"),
            "large on edu: passed ".to_owned(),
            "large_and_another on edu: passed ".to_owned(),
            "resettable on nvme: passed ".to_owned(),
            format!("resettable_and_another on nvme: {alone}"),
            format!("with_functions on with_functions: {none}"),
            format!("with_functions_and_another on with_functions: {none}"),
        ]
    );
    fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

fn a_call_that_is_found_outside_of_a_parameters_bounds_in_a_run_has_no_verdict() -> Tested {
    let folder = folder_outside("bounds");
    let file = folder.join("bounds.yaml");
    let case = |name: &str, size: &str| {
        let with = format!("{{ source: 0x1000, destination: 0x2000, size: {size} }}");
        format!("  - name: {name}\n    steps: [{{ call: dma_start }}, {{ call: dma_copy, with: {with} }}]\n")
    };
    let cases = case("too_much", "\"{{ 8 * KiB }}\"") + &case("nothing", "\"{{ 1 - 1 }}\"");
    fs::write(&file, format!("name: bounds\nbackends: [iommufd]\ncases:\n{cases}")).unwrap();
    let ran = lab_run("bounds-run", &["--pack", "scenarios/vendor/qemu-edu", file.to_str().unwrap()])?;
    ran.expect(3);
    for case in ["too_much", "nothing"] {
        let result = &results(&ran)[case];
        assert_eq!(result["verdict"], "error", "{result:#}");
        let message = result["message"].as_str().unwrap();
        assert!(message.starts_with("`size` of `dma_copy` of qemu_edu cannot be "), "{message}");
        assert!(result["detail"].as_str().unwrap().contains("expected 1 to 4KiB"), "{result:#}");
    }
    fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

/// A pack by which edu copies nothing of 1 KiB, the first half of 2 KiB, and the second half of 3 KiB.
const LOSES: &str = r#"
name: loses
devices: { edu: { ids: ["1234:11e8"] } }
vars: { BUFFER: 0x40000 }
procedures:
  dma_limits: { summary: It does not say what it can copy., gives: { least: 1 } }
  dma_start: { summary: It may copy., steps: [{ config_write: { offset: command, set: [bus_master] } }] }
  dma_copy:
    summary: Not all arrives.
    parameters:
      source: { type: iova, summary: Where to read. }
      destination: { type: iova, summary: Where to write. }
      size: { type: size, summary: How much. }
    steps:
      - mmio_write: { bar: 0, offset: 0x80, bits: 64, value: "{{ source }}" }
      - mmio_write: { bar: 0, offset: 0x88, bits: 64, value: "{{ BUFFER }}" }
      - mmio_write: { bar: 0, offset: 0x90, bits: 64, value: "{{ size }}" }
      - mmio_write: { bar: 0, offset: 0x98, bits: 64, value: 0x1 }
      - mmio_poll: { bar: 0, offset: 0x98, bits: 64, mask: 0x1, is: 0x0 }
      - mmio_write: { bar: 0, offset: 0x80, bits: 64, value: "{{ BUFFER }}" }
      - mmio_write: { bar: 0, offset: 0x88, bits: 64, value: "{{ destination + (size // 2 if size == 3072 else 0) }}" }
      - mmio_write: { bar: 0, offset: 0x90, bits: 64, value: "{{ 0 if size == 1024 else size // 2 if size < 4096 else size }}" }
      - mmio_write: { bar: 0, offset: 0x98, bits: 64, value: 0x3 }
      - mmio_poll: { bar: 0, offset: 0x98, bits: 64, mask: 0x1, is: 0x0 }
  dma_stop: { summary: It may not copy., steps: [{ config_write: { offset: command, clear: [bus_master] } }] }
"#;

/// Verdict, message and label of a result, without the bytes, which are others each time.
fn told(result: &Value) -> String {
    let label = result["detail"].as_str().unwrap_or_default().lines().find(|line| line.contains("^ "));
    let (message, label) = (result["message"].as_str().unwrap_or_default(), label.unwrap_or_default());
    let (told, _) = message.split_once(": got").or(message.split_once(", expected")).unwrap_or((message, ""));
    let label = label.split_once("^ ").map_or("", |(_, label)| label.trim());
    format!("{} {told} / {label}", result["verdict"].as_str().unwrap())
}

fn what_a_copy_by_the_device_comes_to_is_told() -> Tested {
    let folder = folder_outside("reach");
    let copies = [
        ("all", "size: 4KiB", "ok"),
        ("all_of_it_though_refused", "size: 4KiB", "EFAULT"),
        ("nothing", "size: 1KiB", "EFAULT"),
        ("nothing_though_let", "size: 1KiB", "ok"),
        ("half", "size: 2KiB", "ok"),
        ("half_though_refused", "size: 2KiB", "EFAULT"),
        ("second_half", "size: 3KiB", "ok"),
        ("how_much", "", "ok"),
    ];
    let mut text = "name: reach\nbackends: [iommufd]\nregions:\n  buffer: { memory: anonymous, size: 4KiB }\n  \
                    out: { memory: anonymous, size: 8KiB }\ncases:\n"
        .to_owned();
    for (name, size, expected) in copies {
        text += &format!(
            "  - name: {name}\n    steps:\n      - map: {{ region: buffer, iova: 1MiB }}\n      - map: {{ region: out, iova: 2MiB }}\n      \
             - reach: {{ source: 1MiB, reads: buffer, destination: 0x201000, writes: out, writes_offset: 4KiB, {size} }}\n        \
             expect: {expected}\n"
        );
    }
    text += "  - name: onto_itself\n    steps:\n      - map: { region: out, iova: 1MiB }\n      \
             - reach: { source: 1MiB, reads: out, destination: 0x100ffc, writes: out, writes_offset: 4092, size: 4KiB }\n        \
             expect: ok\n";
    for (name, text) in [("pack.yaml", LOSES), ("reach.yaml", &text)] {
        fs::write(folder.join(name), text).unwrap();
    }
    let ran = lab_run("reach-run", &[folder.to_str().unwrap()])?;
    ran.expect(1);
    let all = results(&ran);
    let said = |case: &str| told(&all[case]);
    assert_eq!(said("all"), "passed  / ");
    assert_eq!(said("nothing"), "passed  / ");
    assert_eq!(said("all_of_it_though_refused"), "failed reach gave success / expected EFAULT on iommufd");
    let helps =
        |case: &str, help: &str| assert!(all[case]["detail"].as_str().unwrap().contains(help), "{:#}", all[case]);
    helps(
        "all_of_it_though_refused",
        "the device was told to copy 4KiB from iova 0x100000 to iova 0x201000, and region `out` has all of it",
    );
    helps(
        "nothing_though_let",
        "to copy 1024 bytes from iova 0x100000 to iova 0x201000, and region `out` still has zeros there",
    );
    assert_eq!(said("nothing_though_let"), "failed reach gave EFAULT (bad address) / expected success on iommufd");
    let differs = "failed region `out` differs at offset 0x1400 / expected all of what the device read, or nothing";
    assert_eq!(said("half"), differs);
    assert_eq!(said("half_though_refused"), differs);
    assert_eq!(
        said("second_half"),
        "failed region `out` differs at offset 0x1600 / expected that nothing arrives, or all of what the device read"
    );
    assert_eq!(
        said("how_much"),
        "error `dma_limits` does not say how much the device copies at most / expected `size`, or a procedure that gives `most`"
    );
    assert_eq!(
        said("onto_itself"),
        "error the device reads and writes the same bytes of region `out` / expected parts that do not overlap"
    );

    // A procedure that happens to have the name.
    let wants = "dma_start: { parameters: { channel: { type: integer, summary: Which one. } },";
    fs::write(folder.join("pack.yaml"), LOSES.replace("dma_start: {", wants)).unwrap();
    let explore = "name: explore\nbackends: [iommufd]\nfixture: none\ncases:\n  - name: sequences\n    \
                   regions: { small: { memory: anonymous, size: 64KiB } }\n    steps: [{ explore: { seed: 1, steps: 20 } }]\n";
    fs::write(folder.join("explore.yaml"), explore).unwrap();
    let cases = ["--case", "half", "--case", "sequences"];
    let ran = lab_run("reach-other-run", &[&cases[..], &[folder.to_str().unwrap()]].concat())?;
    ran.expect(3);
    assert_eq!(
        told(&results(&ran)["half"]),
        "error `dma_start` of the pack `loses` does not take what `reach` gives it / expected a procedure that takes no arguments"
    );
    // Explore goes on without it, and says so.
    let explored = &results(&ran)["sequences"];
    assert_eq!(explored["verdict"], "passed", "{explored:#}");
    assert!(
        explored["unchecked"].to_string().contains("`dma_start` of the pack `loses` does not take"),
        "{explored:#}"
    );
    fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

fn the_generic_cases_about_dma_hold_on_other_devices() -> Tested {
    let devices = ["--device", "e1000e", "--device", "virtio-net", "--backend", "iommufd"];
    let ran = lab_run("dma-others", &[&["scenarios/uapi/dma.yaml"][..], &devices[..]].concat())?;
    ran.expect(0);
    let results = events(&ran, "case_finished");
    assert!(results.len() >= 10 && results.iter().all(|result| result["verdict"] == "passed"), "{}", ran.stdout());
    Ok(())
}

fn the_device_for_tests_of_iommus_knows_where_it_could_write() -> Tested {
    // Another device with its ids is not taken for it.
    let devices = ["--device", "iommu-testdev", "--device", "pci-testdev", "--backend", "iommufd"];
    let ran = lab_run("iommu-testdev", &[&["scenarios/vendor/qemu-iommu-testdev"][..], &devices[..]].concat())?;
    ran.expect(0);
    let results = events(&ran, "case_finished");
    assert!(results.len() > 10 && results.iter().all(|result| result["verdict"] == "passed"), "{}", ran.stdout());
    let planned = events(&ran, "case_planned");
    assert!(planned.iter().all(|case| case["device"] == "iommu_testdev"), "{}", ran.stdout());
    Ok(())
}

fn on_amds_iommu_mappings_and_dma_work_to_the_end_of_64_bits() -> Tested {
    let files = ["scenarios/kernel/dma_mapping.yaml", "scenarios/uapi/boundaries.yaml", "scenarios/vendor/qemu-edu"];
    let ran = lab_run("amd-run", &[["--iommu", "amd", "--filter", "'slow' not in tags"].as_slice(), &files].concat())?;
    ran.expect(0);
    assert_eq!(events(&ran, "run_started")[0]["iommu"], "amd");
    let finished = events(&ran, "case_finished");
    let number = |verdict: &str| finished.iter().filter(|case| case["verdict"] == verdict).count();
    // Where IOMMUFD maps several pages at once up to the end.
    assert_eq!((number("failed"), number("known_issue")), (0, 2), "{}", ran.stdout());
    let planned = events(&ran, "case_planned");
    let passed = |name: &str| {
        let ours = planned.iter().filter(|case| case["name"].as_str().is_some_and(|it| it.starts_with(name)));
        ours.filter(|case| finished.iter().any(|it| it["case"] == case["case"] && it["verdict"] == "passed")).count()
    };
    assert_eq!((passed("map_unmap"), passed("ends_of_each_range")), (15, 5), "{}", ran.stdout());
    assert!(number("passed") > 90, "{}", ran.stdout());
    // Its page tables are seen.
    let unchecked = |case: &Value| {
        !case["unchecked"].as_array().is_none_or(|checks| checks.iter().all(|it| it["by_choice"] == true))
    };
    assert!(!finished.iter().any(unchecked), "{}", ran.stdout());
    let both = ["AMD's debugfs, and its page table in memory", "AMD's tables in memory"];
    assert!(finished.iter().filter(|case| observers::by(case) == both).count() > 80, "{}", ran.stdout());
    Ok(())
}
