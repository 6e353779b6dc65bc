//! Packs of vendors: folders of YAML, anywhere, that program devices and bring their scenarios along.

mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use clap::ValueEnum;
use vfiospec::{event::DeviceUsed, lab::DeviceModel};

use common::lab::{events, lab_is_there, lab_run, results, top};

/// An empty folder for one test, outside of the repository.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("vfiospec-packs-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("there is a folder for temporary files");
    folder
}

fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vfiospec"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").output().expect("the binary starts")
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    format!("{out}\n{err}")
}

/// The vendors' guide's pack and scenario, written to a folder.
fn guides_pack(at: &Path) {
    let guide = fs::read_to_string(top().join("scenarios/README.md")).expect("the guide");
    let (_, after) = guide.split_once("<!-- a vendor's pack -->").expect("the marker");
    let blocks = common::blocks(after);
    fs::create_dir_all(at).expect("writable");
    fs::write(at.join("pack.yaml"), &blocks[0].2).expect("writable");
    fs::write(at.join("liveness.yaml"), &blocks[1].2).expect("writable");
}

#[test]
fn a_vendors_pack_outside_of_the_repository_works_like_ours() {
    let folder = folder("outside");
    guides_pack(&folder.join("card"));
    assert!(expect(&run_in(&folder, &["check", "card"]), 0).contains("1 file and 1 pack: no mistakes"));
    // The pack alone, from within it, and one scenario of it.
    expect(&run_in(&folder.join("card"), &["check", "pack.yaml"]), 0);
    let listed = expect(&run_in(&folder.join("card"), &["list", "liveness.yaml"]), 0);
    assert_eq!(listed.trim(), "acme.liveness.iommufd__card.inverts");
    let shown = expect(&run_in(&folder, &["show", "inverts", "card"]), 0);
    assert!(shown.contains("call: invert") && shown.contains("number: 90"), "{shown}");

    // A scenario that lies elsewhere calls it, too.
    let other = folder.join("generic.yaml");
    let text = "name: generic\nbackends: [iommufd]\ncases:\n  - name: calls\n    steps: [{ call: invert, save: a }]\n";
    fs::write(&other, text).unwrap();
    let said = expect(&run_in(&folder, &["check", "generic.yaml"]), 2);
    assert!(said.contains("no procedure is called `invert`"), "{said}");
    expect(&run_in(&folder, &["check", "generic.yaml", "--pack", "card"]), 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_pack_does_not_reach_out_of_its_folder() {
    let folder = folder("links");
    let (pack, outside) = (folder.join("card"), folder.join("outside.yaml"));
    guides_pack(&pack);
    fs::write(&outside, "name: outside\n").unwrap();
    symlink(&outside, pack.join("link.yaml")).unwrap();
    let said = expect(&run_in(&folder, &["check", "card"]), 2);
    assert!(said.contains("link.yaml") && said.contains("out of its folder"), "{said}");
    fs::remove_file(pack.join("link.yaml")).unwrap();

    fs::rename(pack.join("pack.yaml"), &outside).unwrap();
    symlink(&outside, pack.join("pack.yaml")).unwrap();
    let said = expect(&run_in(&folder, &["check", "card"]), 2);
    assert!(said.contains("pack.yaml") && said.contains("out of its folder"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_strangers_pack_is_refused_before_it_does_harm() {
    let folder = folder("hostile");
    let pack = |procedures: &str| {
        format!("name: hostile\ndevices: {{ x: {{ ids: [\"1234:11e8\"] }} }}\nprocedures:\n{procedures}")
    };
    let calls = |name: usize| {
        let again = format!("{{ call: p{} }}, ", name + 1).repeat(50);
        format!("  p{name}: {{ summary: x, steps: [{again}] }}\n")
    };
    for (name, text) in [
        ("deep", pack(&format!("  a: {{ summary: x, steps: {}1{} }}\n", "[".repeat(100_000), "]".repeat(100_000)))),
        ("bomb", {
            let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
            (1..12).for_each(|n| bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", ")));
            bomb
        }),
        ("chain", pack(&((0..40).map(calls).collect::<String>() + "  p40: { summary: x, steps: [{ info: }] }\n"))),
        ("rounds", pack("  a: { summary: x, steps: [{ repeat: { times: 999999999999, steps: [{ info: }] } }] }\n")),
        ("huge", pack("  a: { summary: x, gives: { v: \"{{ 'x' * 1000000000 }}\" } }\n")),
    ] {
        let at = folder.join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("pack.yaml"), text).unwrap();
        let said = expect(&run_in(&folder, &["check", name]), 2);
        assert!(said.contains("error["), "{name}: {said}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn procedures_run_on_the_device_and_what_fails_in_one_is_found() {
    let folder = folder("lab");
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
    if !lab_is_there() {
        return;
    }
    let journal = folder.join("journal.jsonl");
    let arguments = ["lab", "run", "card", "--junit", "junit.xml", "--journal", "journal.jsonl"];
    let said = expect(&run_in(&folder, &arguments), 1);
    let journal = fs::read_to_string(journal).unwrap();
    assert!(journal.contains("\"verdict\":\"passed\""), "{said}");
    let line = 1 + wrong.lines().position(|line| line.contains("id.value == 0")).unwrap();
    assert!(said.contains(&format!("pack.yaml:{line}:")), "{said}");
    assert!(said.contains("in `fails`, called at card/more.yaml:6"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_labs_devices_are_what_it_takes_them_for_before_there_is_a_guest() {
    let folder = folder("kinds");
    let file = folder.join("kinds.yaml");
    fs::write(&file, "name: kinds\nbackends: [iommufd]\ncases: [{ name: a, steps: [{ device_info: }] }]\n").unwrap();
    let models = DeviceModel::value_variants();
    let devices = models.iter().flat_map(|model| ["--device", model.name()]);
    let arguments: Vec<&str> = std::iter::once(file.to_str().unwrap()).chain(devices).collect();
    let Some(ran) = lab_run("kinds-run", &arguments) else { return };
    ran.expect(0);
    let told = events(&ran, "run_started")[0]["devices"].clone();
    let told: Vec<DeviceUsed> = serde_json::from_value(told).unwrap();
    let told: Vec<_> = told.iter().map(|device| (device.name.clone(), device.kind())).collect();
    let known: Vec<_> = models.iter().map(|model| (model.used().name, model.kind())).collect();
    assert_eq!(told, known);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_role_is_every_device_that_can_do_what_it_says() {
    let folder = folder("roles");
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
    let Some(ran) = lab_run("roles-run", &arguments) else { return };
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
}

#[test]
fn a_call_that_is_found_outside_of_a_parameters_bounds_in_a_run_has_no_verdict() {
    let folder = folder("bounds");
    let file = folder.join("bounds.yaml");
    let case = |name: &str, size: &str| {
        let with = format!("{{ source: 0x1000, destination: 0x2000, size: {size} }}");
        format!("  - name: {name}\n    steps: [{{ call: dma_start }}, {{ call: dma_copy, with: {with} }}]\n")
    };
    let cases = case("too_much", "\"{{ 8 * KiB }}\"") + &case("nothing", "\"{{ 1 - 1 }}\"");
    fs::write(&file, format!("name: bounds\nbackends: [iommufd]\ncases:\n{cases}")).unwrap();
    let Some(ran) = lab_run("bounds-run", &["--pack", "scenarios/vendor/qemu-edu", file.to_str().unwrap()]) else {
        return;
    };
    ran.expect(3);
    for case in ["too_much", "nothing"] {
        let result = &results(&ran)[case];
        assert_eq!(result["verdict"], "error", "{result:#}");
        let message = result["message"].as_str().unwrap();
        assert!(message.starts_with("`size` of `dma_copy` of qemu_edu cannot be "), "{message}");
        assert!(result["detail"].as_str().unwrap().contains("expected 1 to 4KiB"), "{result:#}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
