// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines of the lab: places of devices and their groups, and what a case requires of a machine.

use std::{collections::BTreeSet, fs, thread};

use vfiospec::{
    event::DeviceUsed,
    lab,
    language::{Machine, Source},
};

use crate::{
    Test, Tested,
    common::{blocks, folder, read, text, top, vfiospec},
    guests::{Ran, events, lab_run, results},
    tests,
};

pub const TESTS: &[Test] = tests![
    each_of_the_packs_machines_is_what_its_condition_asks_for,
    devices_are_where_the_machine_says_and_what_they_are_taken_for,
    the_guides_examples_on_a_machine_hold,
    a_case_for_another_machine_is_a_skip_that_says_where_to_get_it,
];

/// The machines of scenarios/uapi, and the cases that each is for.
const MACHINES: [(&str, &[&str]); 13] = [
    (
        "capabilities",
        &[
            "bars_are_restored",
            "capabilities_that_cannot_be_read",
            "lists_of_capabilities",
            "product_data",
            "reset_of_advanced_features",
        ],
    ),
    ("few_mappings", &["third_mapping", "no_hot_reset"]),
    ("functions", GROUP),
    (
        "hot_reset",
        &[
            "removed_behind_a_bridge",
            "hot_reset",
            "hot_reset_with_another_group",
            "hot_reset_without_memory",
            "hot_reset_without_the_group",
        ],
    ),
    ("identity", &["default_domain", "no_hot_reset"]),
    ("narrow", &["no_hot_reset", "width"]),
    ("no_iommu", &["physical_address_of_nothing", "physical_addresses", "table_grows"]),
    ("old_capabilities", &["old_list_of_capabilities"]),
    ("one_group", GROUP),
    (
        "peers",
        &[
            "by_address",
            "by_address_while_off",
            "by_dma_buf",
            "closed",
            "not_by_address",
            "reset",
            "switched_off_and_on",
        ],
    ),
    ("rom", &["labs_rom", "no_hot_reset", "rom"]),
    ("two_devices", &["accounting", "copies", "mappings", "objects", "one_closed", "room", "two_ioas"]),
    ("vga", &["hot_reset", "hot_reset_without_memory", "hot_reset_without_the_group", "no_old_addresses"]),
];
/// The scenarios that are about machines.
const SCENARIOS: [&str; 4] = [
    "scenarios/uapi/machines.yaml",
    "scenarios/uapi/no_iommu.yaml",
    "scenarios/uapi/peer_to_peer.yaml",
    "scenarios/uapi/two_of_everything.yaml",
];
const GROUP: &[&str] = &[
    "any_device_of_the_group",
    "hot_reset",
    "hot_reset_of_a_group",
    "hot_reset_without_memory",
    "hot_reset_without_the_group",
    "not_elsewhere",
    "one_unbound",
    "same_memory",
    "the_group_moves",
];

/// The names of the cases that passed on some device and backend.
pub fn passed(ran: &Ran) -> BTreeSet<String> {
    let finished = events(ran, "case_finished");
    let passed: Vec<_> = finished.iter().filter(|it| it["verdict"] == "passed").map(|it| &it["case"]).collect();
    let planned = events(ran, "case_planned");
    let passed = planned.iter().filter(|case| passed.contains(&&case["case"]));
    passed.map(|case| case["name"].as_str().expect("a name").to_owned()).collect()
}

fn each_of_the_packs_machines_is_what_its_condition_asks_for() -> Tested {
    let mut files: BTreeSet<String> = fs::read_dir(top().join("scenarios/uapi/labs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".lab.yaml").to_owned())
        .collect();
    assert!(files.remove("two_iommus"), "tests/lab/arm.rs has this one");
    assert_eq!(files, MACHINES.iter().map(|(name, _)| (*name).to_owned()).collect());
    let run = |machine: &'static str| {
        let file = format!("scenarios/uapi/labs/{machine}.lab.yaml");
        move || lab_run(&format!("machine-{machine}"), &[&["--lab", file.as_str()], SCENARIOS.as_slice()].concat())
    };
    let runs = thread::scope(|scope| {
        MACHINES.map(|(machine, _)| scope.spawn(run(machine))).map(|run| run.join().expect("no panic"))
    });
    for ((machine, cases), ran) in MACHINES.into_iter().zip(runs) {
        let ran = ran?;
        ran.expect(0);
        let cases: BTreeSet<String> = cases.iter().map(|name| (*name).to_owned()).collect();
        assert!(passed(&ran).is_superset(&cases), "{machine}: {:?} passed\n{}", passed(&ran), ran.stdout());
    }
    Ok(())
}

fn devices_are_where_the_machine_says_and_what_they_are_taken_for() -> Tested {
    let folder = folder("places");
    let machine = "\
address_width: 39
default_domain: identity
parameters: { vfio_pci: { disable_idle_d3: 'Y' } }
devices:
  edu: { model: edu }
  twin: { model: edu, rom: 2KiB }
  disk: { model: nvme, place: port }
  nic: { model: igb, place: port }
  left: { model: edu, place: bridge }
  right: { model: ivshmem, place: bridge }
  large: { model: pci-testdev }
  first: { model: e1000e, place: function }
  second: { model: nvme, place: function }
  third: { model: edu, place: function }
";
    let file = folder.join("places.lab.yaml");
    fs::write(&file, machine).unwrap();
    let names = ["edu", "twin", "disk", "nic", "left", "right", "large", "first", "second", "third"];
    // Who shares a group and a hot reset with whom.
    let alone = "[device.group, twin.group, disk.group, nic.group, left.group, large.group, first.group]";
    let others: String = names.iter().skip(1).map(|name| format!("{name}: {name}, ")).collect();
    let scenario = format!(
        "name: places\ndevice: edu\nbackends: [iommufd]\ncases:\n  - name: groups\n    devices: {{ {others} }}\n    steps:\n      - check: \"{{{{ left.group == right.group }}}}\"\n      \
         - check: \"{{{{ first.group == second.group and first.group == third.group }}}}\"\n      \
         - check: \"{{{{ {alone} | unique | length == 7 }}}}\"\n      \
         - check: \"{{{{ device.hot_reset == 0 and disk.hot_reset == 1 and left.hot_reset == 2 and third.hot_reset == 3 }}}}\"\n      \
         - check: \"{{{{ device.rom == 0 and twin.rom == 2 * KiB }}}}\"\n      \
         - check: \"{{{{ device.default_domain == 'identity' and iova_ranges[-1].last == pow2(39) - 1 }}}}\"\n      \
         - check: \"{{{{ parameters.vfio_pci.disable_idle_d3 and not parameters.vfio_pci.nointxmask }}}}\"\n"
    );
    fs::write(folder.join("places.yaml"), scenario).unwrap();
    let ran = lab_run("places-run", &["--lab", file.to_str().unwrap(), folder.to_str().unwrap()])?;
    ran.expect(0);
    assert_eq!(passed(&ran).len(), 1, "{}", ran.stdout());
    let told = events(&ran, "run_started")[0]["devices"].clone();
    let told: Vec<DeviceUsed> = serde_json::from_value(told).unwrap();
    let machine = Machine::read(Source::new("places.lab.yaml", machine)).expect("a machine");
    for (device, told) in lab::devices(&machine, &[]).iter().zip(told) {
        assert_eq!((device.bdf(), device.used().kind()), (told.bdf.clone(), told.kind()), "{}", told.name);
    }
    Ok(())
}

fn the_guides_examples_on_a_machine_hold() -> Tested {
    let guide = read("scenarios/README.md");
    let mut seen = 0;
    for (number, example) in guide.split("<!-- on a machine -->").skip(1).enumerate() {
        let folder = folder(&format!("on-a-machine-{number}"));
        let blocks = blocks(example);
        let (machine, scenario) = (folder.join("few_mappings.lab.yaml"), folder.join("example.yaml"));
        fs::write(&machine, &blocks[0].2).unwrap();
        fs::write(&scenario, &blocks[1].2).unwrap();
        let arguments = ["--lab", machine.to_str().unwrap(), scenario.to_str().unwrap()];
        let ran = lab_run(&format!("on-a-machine-{number}-run"), &arguments)?;
        ran.expect(0);
        assert!(!ran.junit().contains("<skipped"), "an example that does not apply shows nothing:\n{}", ran.stdout());
        seen += 1;
    }
    assert!(seen > 1, "{seen}");
    Ok(())
}

fn a_case_for_another_machine_is_a_skip_that_says_where_to_get_it() -> Tested {
    let ran = lab_run("another-machine", &["scenarios/uapi/machines.yaml", "--filter", "name != 'default_domain'"])?;
    ran.expect(0);
    let results = results(&ran);
    let message = |name: &str| results[name]["message"].as_str().unwrap_or_default().to_owned();
    let such = |lab: &str| format!("; `vfiospec lab run --lab scenarios/uapi/labs/{lab}.lab.yaml` has such a machine");
    assert_eq!(message("rom"), format!("the device has no expansion ROM{}", such("rom")));
    // A device that is missing is on that machine, too.
    assert!(message("same_memory").ends_with(&such("one_group")), "{}", message("same_memory"));
    // Options replace what the file says.
    let line = ["lab", "prepare", "--lab", "scenarios/uapi/labs/rom.lab.yaml", "--device", "nic=igb,place=function"];
    let told = text(&vfiospec(&line).stderr);
    assert!(told.contains("igb does not fit at the place `function`"), "{told}");
    Ok(())
}
