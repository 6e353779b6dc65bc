//! What the verbs promise on a machine without any device, root or kernel module.

use std::{
    path::Path,
    process::{Command, Output},
};

fn vfiospec(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vfiospec"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .env("NO_COLOR", "1")
        .args(arguments)
        .output()
        .expect("the binary starts")
}

#[track_caller]
fn expect(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{stdout}\nstderr:\n{stderr}");
    (stdout, stderr)
}

#[test]
fn check_finds_no_mistake_in_our_own_scenarios() {
    let (stdout, stderr) = expect(&vfiospec(&["check"]), 0);
    assert!(stdout.ends_with("no mistakes\n"), "{stdout}");
    assert_eq!(stderr, "");
}

#[test]
fn list_gives_every_case_once_and_the_same_each_time() {
    let (stdout, _) = expect(&vfiospec(&["list", "scenarios/"]), 0);
    let ids: Vec<_> = stdout.lines().collect();
    assert!(ids.contains(&"kernel.dma_mapping.vfio_type1_iommu__any.map_unmap[page=2MiB]"), "{stdout}");
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert_eq!(stdout, expect(&vfiospec(&["list", "scenarios/"]), 0).0);
}

#[test]
fn shares_of_a_list_are_disjoint_and_complete() {
    let list = |more: &[&str]| expect(&vfiospec(&[&["list", "scenarios/"], more].concat()), 0).0;
    let whole: Vec<String> = list(&[]).lines().map(str::to_owned).collect();
    let shares: String = ["1/3", "2/3", "3/3"].iter().map(|share| list(&["--partition", share])).collect();
    let mut dealt: Vec<_> = shares.lines().map(str::to_owned).collect();
    dealt.sort();
    let mut sorted = whole;
    sorted.sort();
    assert_eq!(dealt, sorted);
}

#[test]
fn filters_select_cases_and_say_when_there_are_none() {
    let (stdout, _) = expect(
        &vfiospec(&["list", "--backend", "iommufd*", "--filter", "case == 'map_unmap' and 'page=2MiB' in name"]),
        0,
    );
    let backends: Vec<_> = stdout.lines().map(|id| id.split('.').nth(2).unwrap()).collect();
    assert_eq!(backends, ["iommufd_compat_type1__any", "iommufd_compat_type1v2__any", "iommufd__any"], "{stdout}");

    let (_, stderr) = expect(&vfiospec(&["list", "--tag", "slwo"]), 4);
    assert!(stderr.contains("has the tag `slwo`; did you mean `slow`?"), "{stderr}");
    let (_, stderr) = expect(&vfiospec(&["list", "--backend", "iommu"]), 2);
    assert!(stderr.contains("no backend is called so"), "{stderr}");
    let (_, stderr) = expect(&vfiospec(&["list", "--filter", "'slow' in tag"]), 2);
    assert_eq!(
        stderr,
        "vfiospec: `tag` is not defined in --filter\n  'slow' in tag\n            ^^^ \n  help: did you mean `tags`?\n"
    );
    let (_, stderr) = expect(&vfiospec(&["list", "--rerun", "failed", "--from", "no/such.jsonl"]), 2);
    assert!(stderr.contains("no/such.jsonl") && stderr.contains("help: "), "{stderr}");
}

#[test]
fn a_run_of_nothing_is_no_success_unless_it_is_said_to_be() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (junit, journal) = (file("junit.xml"), file("journal.jsonl"));
    let run = |more: &[&str]| {
        let arguments =
            ["run", "--device", "ffff:ff:1f.7", "--filter", "false", "--junit", &junit, "--journal", &journal];
        vfiospec(&[&arguments, more].concat())
    };
    let (_, stderr) = expect(&run(&[]), 4);
    assert!(stderr.contains("is selected by the filters"), "{stderr}");
    expect(&run(&["--no-tests", "pass"]), 0);
    assert!(std::fs::read_to_string(&junit).unwrap().contains("<testsuites"), "an empty report is one, too");
}

#[test]
fn show_writes_out_what_the_declarative_form_stands_for() {
    let (stdout, _) = expect(&vfiospec(&["show", "bar"]), 2);
    assert_eq!(stdout, "", "a name is whole: `bar` ends other names, and is none");
    let (stdout, _) = expect(&vfiospec(&["show", "kernel.dma_mapping_mmio.iommufd__any.map_full_bar"]), 0);
    let steps = stdout.split("steps:").nth(1).expect("there are steps");
    assert!(steps.contains("expect: EFAULT") && steps.contains("gone:") && !steps.contains("unmap:"), "{steps}");
}

#[test]
fn a_run_without_a_device_says_how_to_get_one_and_is_no_success() {
    let (stdout, stderr) = expect(&vfiospec(&["run", "scenarios/"]), 3);
    assert_eq!(stdout, "");
    for words in ["no device to run on", "--device", "vfiospec lab run"] {
        assert!(stderr.contains(words), "{words} is not in\n{stderr}");
    }
}

#[test]
fn a_run_on_a_device_that_does_not_exist_is_no_success() {
    let (_, stderr) = expect(&vfiospec(&["run", "--device", "ffff:ff:1f.7", "scenarios/"]), 3);
    assert!(stderr.contains("ffff:ff:1f.7"), "{stderr}");
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    let (_, stderr) = expect(&vfiospec(&["run", "--device", "third-from-left", "scenarios/"]), 2);
    assert!(stderr.contains("0000:03:00.0"), "it shows what an address looks like:\n{stderr}");
}

#[test]
fn an_invalid_scenario_touches_no_device() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("invalid.yaml");
    std::fs::write(&file, "name: x\nbackends: all\ncases: []\n").unwrap();
    let (_, stderr) = expect(&vfiospec(&["run", "--device", "ffff:ff:1f.7", file.to_str().unwrap()]), 2);
    assert!(stderr.contains("invalid.yaml:3:8"), "{stderr}");
}

#[test]
fn help_tells_the_exit_codes() {
    let (stdout, _) = expect(&vfiospec(&["--help"]), 0);
    for code in ["0  ", "1  ", "2  ", "3  ", "4  ", "5  ", "70  ", "130  "] {
        assert!(stdout.lines().any(|line| line.trim_start().starts_with(code)), "{code} is not in\n{stdout}");
    }
}
