// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the verbs promise on a machine without any device, root or kernel module.

use std::{fs, path::PathBuf, process::Command};

use crate::common::{command, expect, folder, folder_outside, vfiospec};

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
    assert!(stderr.contains("no backend has this name"), "{stderr}");
    let (_, stderr) = expect(&vfiospec(&["list", "--filter", "'slow' in tag"]), 2);
    assert_eq!(
        stderr,
        "vfiospec: `tag` is not defined in --filter\n  'slow' in tag\n            ^^^ \n  help: did you mean `tags`?\n"
    );
    let (_, stderr) = expect(&vfiospec(&["list", "--filter", ""]), 2);
    assert!(stderr.starts_with("vfiospec: there is no expression in --filter\n"), "{stderr}");
    let (_, stderr) = expect(&vfiospec(&["list", "--filter", "backend == 'iommfud'"]), 4);
    assert!(
        stderr.contains("selected by the filters: there is no `iommfud` in `backend`; did you mean `iommufd`?"),
        "{stderr}"
    );
    let (_, stderr) = expect(&vfiospec(&["list", "--filter", "tags == 'slow'"]), 2);
    assert_eq!(
        stderr,
        "vfiospec: `tags` is a list, and no text is equal to it in --filter\n  tags == 'slow'\n  ^^^^^^^^^^^^^^ \n  \
         help: write `'slow' in tags`\n"
    );
    // Mistakes in files do not hide one in the filter.
    for verb in [&["list"][..], &["run", "--device", "ffff:ff:1f.7"], &["lab", "run"]] {
        let wrong = "runner/tests/diagnostics/unknown-key.yaml";
        let (_, stderr) = expect(&vfiospec(&[verb, &["--filter", "'slow' in tag", wrong]].concat()), 2);
        assert!(stderr.contains("`tag` is not defined in --filter") && stderr.contains("[unknown-key]"), "{stderr}");
    }
    let (_, stderr) = expect(&vfiospec(&["list", "--rerun", "failed", "--from", "no/such.jsonl"]), 2);
    assert!(stderr.contains("no/such.jsonl") && stderr.contains("help: "), "{stderr}");
    let torn = folder("torn").join("torn.jsonl");
    std::fs::write(&torn, "{\"event\":\"run_st").unwrap();
    let (_, stderr) = expect(&vfiospec(&["list", "--rerun", "failed", "--from", torn.to_str().unwrap()]), 2);
    assert!(stderr.contains("there is no run in the journal") && stderr.contains("help: "), "{stderr}");
}

#[test]
fn a_run_of_nothing_is_no_success_unless_it_is_said_to_be() {
    let folder = folder("nothing");
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
    assert!(std::fs::read_to_string(&journal).unwrap().contains("run_finished"), "and so is an empty journal");

    // A slip in a filter does not cost what is known of an earlier run.
    std::fs::write(&journal, "an earlier run\n").unwrap();
    std::fs::write(&junit, "an earlier report\n").unwrap();
    let (_, stderr) = expect(&run(&[]), 4);
    assert!(stderr.contains("is of an earlier run, and stays as it is"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), "an earlier run\n");
    assert!(
        std::fs::read_to_string(&junit).unwrap().contains("<testsuites"),
        "nobody takes the old one for the new one"
    );
}

/// What a good run left: a journal and a report, and the folder that they are in.
fn earlier_run(name: &str) -> (PathBuf, String, String) {
    let folder = folder(name);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (junit, journal) = (file("junit.xml"), file("journal.jsonl"));
    std::fs::write(&journal, "an earlier run\n").unwrap();
    std::fs::write(&junit, "an earlier report\n").unwrap();
    (folder, junit, journal)
}

#[test]
fn what_cannot_be_written_is_found_before_anything_is_changed() {
    let (folder, junit, journal) = earlier_run("unwritable");
    let scenario = "scenarios/kernel/dma_mapping.yaml";
    let taken = folder.to_str().unwrap();
    for (code, wrong, words) in [
        (5, ["--html", "/proc/x.html"], "name another file with --html"),
        (5, ["--junit", taken], "name another file with --junit"),
        (5, ["--journal", taken], "name another file with --journal"),
        (2, ["--journal", "-"], "the journal cannot go to the standard output"),
        (2, ["--tap", scenario], "looks like a scenario, and would be overwritten"),
    ] {
        for verb in [&["lab", "run"][..], &["run", "--device", "ffff:ff:1f.7"]] {
            let mut arguments = [verb, &["--cache", "/proc/none", scenario][..]].concat();
            if verb[0] == "run" {
                arguments = [verb, &[scenario]].concat();
            }
            let given = [("--junit", junit.as_str()), ("--journal", journal.as_str())];
            let others = given.into_iter().filter(|(option, _)| *option != wrong[0]);
            arguments.extend(others.flat_map(|(option, file)| [option, file]).chain(wrong));
            let (_, stderr) = expect(&vfiospec(&arguments), code);
            assert!(stderr.contains(words), "{words} is not in\n{stderr}");
            assert_eq!(std::fs::read_to_string(&journal).unwrap(), "an earlier run\n", "{wrong:?}");
            assert_eq!(std::fs::read_to_string(&junit).unwrap(), "an earlier report\n", "{wrong:?}");
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "and nothing stays beside them");
        }
    }
}

#[test]
fn a_run_that_cannot_begin_loses_no_journal_and_its_report_says_so() {
    for verb in [&["lab", "run", "--cache", "/proc/none"][..], &["run", "--device", "ffff:ff:1f.7"]] {
        let (_, junit, journal) = earlier_run(&format!("not-begun-{}", verb[0]));
        let more = ["--junit", &junit, "--journal", &journal, "--json", "-", "scenarios/kernel/dma_mapping.yaml"];
        let (stdout, stderr) = expect(&vfiospec(&[verb, &more].concat()), 3);
        assert!(stderr.contains("is of an earlier run, and stays as it is"), "{stderr}");
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), "an earlier run\n");
        let xml = std::fs::read_to_string(&junit).unwrap();
        let cases = xml.matches("<testcase ").count();
        assert!(cases >= 30, "every case that was planned: {xml}");
        assert_eq!(xml.matches("not run: the run did not begin: ").count(), cases, "{xml}");
        let json: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
        assert_eq!(json["exit_code"], 3);
    }
}

#[test]
fn show_writes_out_what_the_declarative_form_stands_for() {
    let (stdout, _) = expect(&vfiospec(&["show", "bar"]), 2);
    assert_eq!(stdout, "", "a name is whole: `bar` ends other names, and is none");
    let (stdout, _) = expect(&vfiospec(&["show", "kernel.dma_mapping_mmio.iommufd__any.map_full_bar"]), 0);
    let id = "kernel.dma_mapping_mmio.iommufd__edu.map_full_bar";
    let (of_a_run, _) = expect(&vfiospec(&["show", id]), 0);
    assert_eq!(of_a_run, stdout.replace("iommufd__any", "iommufd__edu"), "as a failure in the lab prints it");
    assert_eq!(expect(&vfiospec(&["list", "--case", id]), 0).0, format!("{id}\n"));
    assert_eq!(expect(&vfiospec(&["list", "--case", "map_full_bar"]), 0).0.lines().count(), 5);
    let (_, stderr) = expect(&vfiospec(&["list", "--case", "map_ful_bar"]), 2);
    assert!(stderr.contains("no case is called `map_ful_bar`") && stderr.contains("did you mean"), "{stderr}");
    let steps = stdout.split("steps:").nth(1).expect("there are steps");
    assert!(steps.contains("expect: EFAULT") && steps.contains("gone:") && !steps.contains("unmap:"), "{steps}");
}

#[test]
fn a_scenario_that_is_called_like_a_backend_is_found() {
    let scenarios = folder("called-like-a-backend").join("p");
    std::fs::create_dir_all(&scenarios).unwrap();
    let scenario = "name: to_iommufd__raw\nbackends: [iommufd]\ncases:\n- name: c\n  region: { memory: anonymous, size: 4KiB }\n  \
                    expect: { map: ok }\n";
    let file = scenarios.join("s.yaml");
    std::fs::write(&file, scenario).unwrap();
    let file = file.to_str().unwrap();
    let (listed, _) = expect(&vfiospec(&["list", file]), 0);
    assert_eq!(listed, "p.to_iommufd__raw.iommufd__any.c\n");
    let (shown, _) = expect(&vfiospec(&["show", listed.trim(), file]), 0);
    assert!(shown.starts_with("# p.to_iommufd__raw.iommufd__any.c\n"), "{shown}");
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
    let (_, junit, journal) = earlier_run("no-such-device");
    let outputs = ["--junit", &junit, "--journal", &journal];
    let (_, stderr) =
        expect(&vfiospec(&[&["run", "--device", "ffff:ff:1f.7", "scenarios/"], &outputs[..]].concat()), 3);
    assert!(stderr.contains("ffff:ff:1f.7"), "{stderr}");
}

#[test]
fn a_device_of_this_machine_that_cannot_be_in_a_guest_is_refused_before_anything_is_prepared() {
    let lab = |options: &[&str], code| {
        let folder = format!("{}/no-cache", env!("CARGO_TARGET_TMPDIR"));
        expect(&vfiospec(&[&["lab", "exec", "--cache", &folder], options, &["--", "true"]].concat()), code).1
    };
    let here = ["--host-device", "ffff:ff:1f.7"];
    assert!(lab(&here, 3).contains("failed to find the PCI device ffff:ff:1f.7"));
    let twice = lab(&[here.as_slice(), &["--host-device", "other=ffff:ff:1f.7"]].concat(), 2);
    assert!(twice.contains("ffff:ff:1f.7 is named twice"), "{twice}");
    assert!(lab(&["--memory", "64MiB"], 2).contains("give it 512MiB or more"));
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    let (_, stderr) = expect(&vfiospec(&["run", "--device", "third-from-left", "scenarios/"]), 2);
    assert!(stderr.contains("0000:03:00.0"), "it shows what an address looks like:\n{stderr}");
}

#[test]
fn an_invalid_scenario_touches_no_device() {
    let file = folder("invalid").join("invalid.yaml");
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

#[test]
fn messages_for_programs_are_an_object_a_line() {
    let folder = folder("messages");
    let file = folder.join("bad.yaml");
    let text = "name: ü\nbackends: all\ncases:\n  - name: a\n    region: { memory: anonymous, size: 4KB }\n    expect: { map: ok }\n    region: { memory: anonymous, size: 4KiB }\n";
    std::fs::write(&file, text).unwrap();
    let output = vfiospec(&["check", "--message-format", "json", file.to_str().unwrap()]);
    let (stdout, stderr) = expect(&output, 2);
    assert_eq!(stderr, "");
    let messages: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let codes: Vec<_> = messages.iter().map(|message| message["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["invalid-name", "invalid-quantity", "duplicate-key"]);
    for message in &messages {
        assert_eq!(message["severity"], "error");
        assert_eq!(message["file"], file.to_str().unwrap());
        let at = |key: &str| message["span"][key].as_u64().unwrap() as usize;
        let line = text.lines().nth(at("line") - 1).unwrap();
        let marked: String = line.chars().skip(at("column") - 1).take(at("end_column") - at("column")).collect();
        assert_eq!(marked, text[at("start")..at("end")], "{message}");
    }
    assert_eq!(&text[messages[1]["span"]["start"].as_u64().unwrap() as usize..][..3], "4KB");
    assert_eq!(messages[1]["help"][0], "write 4KiB (4096 bytes)");
    assert_eq!(messages[2]["notes"][0]["span"]["line"], 5);
    // What has no place in a file is told so, too, and a right file with nothing at all.
    let (stdout, _) = expect(&vfiospec(&["check", "--message-format=json", "/nonexistent"]), 2);
    let message: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&message["code"], &message["span"]), (&"unreadable".into(), &serde_json::Value::Null));
    assert_eq!(expect(&vfiospec(&["check", "--message-format=json"]), 0).0, "");
}

#[test]
fn explain_tells_what_a_code_means_also_as_it_is_copied_from_a_message() {
    let (page, _) = expect(&vfiospec(&["explain", "error[unknown-key]:"]), 0);
    assert!(
        page.starts_with("unknown-key\n") && page.contains("Wrong:\n\n    name: ") && page.contains("Right:"),
        "{page}"
    );
    let (list, _) = expect(&vfiospec(&["explain"]), 0);
    assert!(list.lines().count() > 50 && list.lines().any(|line| line.starts_with("unknown-key ")), "{list}");
    let (_, stderr) = expect(&vfiospec(&["explain", "unknown-kee"]), 2);
    assert!(stderr.contains("did you mean `unknown-key`?"), "{stderr}");
}

#[test]
fn a_new_scenario_names_the_schema_that_was_installed_with_the_program() {
    let root = folder_outside("installed");
    let (bin, schemas) = (root.join("bin"), root.join("share/vfiospec/schemas"));
    fs::create_dir_all(&bin).expect("writable");
    fs::create_dir_all(&schemas).expect("writable");
    fs::copy(env!("CARGO_BIN_EXE_vfiospec"), bin.join("vfiospec")).expect("writable");
    fs::write(schemas.join("scenario.schema.json"), "{}").expect("writable");
    let new = |file: &str| {
        let output = Command::new(bin.join("vfiospec")).current_dir(&root).args(["new", "scenario", file]).output();
        expect(&output.expect("it starts"), 0);
        fs::read_to_string(root.join(file)).expect("written")
    };
    let schema = schemas.join("scenario.schema.json");
    assert!(new("first.yaml").starts_with(&format!("# yaml-language-server: $schema={}\n", schema.display())));
    // One that is near goes where the file goes.
    fs::write(root.join("scenario.schema.json"), "{}").expect("writable");
    assert!(new("second.yaml").starts_with("# yaml-language-server: $schema=scenario.schema.json\n"));
    fs::remove_dir_all(&root).expect("writable");
}

#[test]
fn what_new_writes_is_right_and_is_never_written_over_a_file() {
    let folder = folder("new");
    let pack = folder.join("deep/acme-nic");
    let path = |file: &str| pack.join(file).to_str().unwrap().to_owned();
    expect(&vfiospec(&["new", "pack", pack.to_str().unwrap()]), 0);
    expect(&vfiospec(&["new", "scenario", &path("link.yaml")]), 0);
    expect(&vfiospec(&["new", "case", "third", &path("link.yaml")]), 0);
    expect(&vfiospec(&["check", pack.to_str().unwrap()]), 0);
    let (list, _) = expect(&vfiospec(&["list", pack.to_str().unwrap()]), 0);
    for case in ["acme_nic.first.iommufd__any.twice", "acme_nic.link.iommufd__any.third"] {
        assert!(list.lines().any(|line| line == case), "{case} is not in\n{list}");
    }
    for file in ["pack.yaml", "first.yaml", "link.yaml"] {
        let text = std::fs::read_to_string(path(file)).unwrap();
        let schema = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").expect("a modeline");
        assert!(pack.join(schema).is_file(), "{schema}");
    }
    let before = std::fs::read_to_string(path("link.yaml")).unwrap();
    for again in [["new", "scenario", &path("link.yaml")].as_slice(), &["new", "case", "third", &path("link.yaml")]] {
        let (_, stderr) = expect(&vfiospec(again), 2);
        assert!(stderr.contains("already"), "{stderr}");
    }
    let (_, stderr) = expect(&vfiospec(&["new", "pack", pack.to_str().unwrap()]), 2);
    assert!(stderr.contains("not empty"), "{stderr}");
    let (_, stderr) = expect(&vfiospec(&["new", "case", "x", &path("missing.yaml")]), 2);
    assert!(stderr.contains("vfiospec new scenario"), "{stderr}");
    assert_eq!(std::fs::read_to_string(path("link.yaml")).unwrap(), before);
}

#[test]
fn a_case_that_failed_is_made_a_scenario_of_its_own() {
    let folder = folder("from");
    let scenario = folder.join("s.yaml");
    let text = "\
name: s
backends: { iommufd: { skip_pagesize: true }, vfio_type1v2_iommu: {} }
vars: { one: 4KiB }
cases:
  - name: other
    region: { memory: anonymous, size: 4KiB }
    expect: { map: ok }
  - name: middle
    matrix: { pages: [2, 4], tail: [\"a,b\", c] }
    regions:
      buffer: { memory: anonymous, size: \"{{ pages * one }}\" }
      spare: { memory: anonymous, size: 4KiB }
    steps:
      - map: { region: buffer }
        save: m
      - unmap: { iova: \"{{ m.iova }}\", size: 4KiB }
        expect: { \"vfio*\": EINVAL, \"*\": ENOENT }
      - map: { region: spare }
    covers: [ticket-1, \"{{ tail }}\"]
";
    let text_of_s = text;
    std::fs::write(&scenario, text_of_s).unwrap();
    let journal = folder.join("journal.jsonl");
    let name = scenario.to_str().unwrap();
    let mut planned = vfiospec::event::PlannedCase {
        pack: "p".into(),
        scenario: "s".into(),
        backend: "iommufd".into(),
        device: "edu".into(),
        name: "middle[pages=4,tail=a,b]".into(),
        file: name.into(),
        line: 8,
        ..Default::default()
    };
    let mut result =
        vfiospec::event::CaseResult::new(1, vfiospec::model::Verdict::Failed, std::time::Duration::from_millis(1));
    result.at = Some(format!("{name}:16:51"));
    result.message = Some("unmap gave EINVAL (invalid argument), expected ENOENT".into());
    result.trace =
        vec!["IOMMU_IOAS_UNMAP(size=24, ioas_id=2, iova=0x0, length=0x1000) = -1 EINVAL (invalid argument)".into()];
    planned.case = 1;
    let twin = planned.clone();
    use vfiospec::event::Event;
    let events = [
        Event::RunStarted(vfiospec::event::RunStarted { format: vfiospec::event::FORMAT, ..Default::default() }),
        Event::CasePlanned(vfiospec::event::PlannedCase { case: 0, name: "other".into(), ..planned.clone() }),
        Event::CasePlanned(planned),
        Event::CaseFinished(result),
    ];
    let lines: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    std::fs::write(&journal, lines.concat()).unwrap();
    let small = folder.join("ticket.yaml");
    let from = journal.to_str().unwrap();
    expect(&vfiospec(&["new", "case", "--from", from, "middle", small.to_str().unwrap()]), 0);
    let (list, _) = expect(&vfiospec(&["list", small.to_str().unwrap()]), 0);
    assert_eq!(list.lines().count(), 1, "one backend, one combination: {list}");
    let text = std::fs::read_to_string(&small).unwrap();
    for kept in ["ENOENT", "pages: 4", "tail: a,b", "ticket-1", "IOMMU_IOAS_UNMAP(size=24", "skip_pagesize", "buffer"] {
        assert!(text.contains(kept), "{kept} is not in\n{text}");
    }
    for gone in ["spare", "matrix", "vfio_type1v2", "EINVAL\n"] {
        assert!(!text.split("name: ticket").nth(1).unwrap().contains(gone), "{gone} is in\n{text}");
    }
    let called = "name: p\nsummary: P.\ndevices: { card: { ids: [\"1234:11e8\"] } }\nprocedures: { act: { summary: It acts., steps: [{ info: }] } }\n";
    std::fs::write(folder.join("pack.yaml"), called).unwrap();
    std::fs::write(&scenario, text_of_s.replace("    steps:\n", "    steps:\n      - call: act\n")).unwrap();
    let calls = folder.join("elsewhere/calls.yaml");
    std::fs::create_dir_all(calls.parent().unwrap()).unwrap();
    expect(&vfiospec(&["new", "case", "--from", from, "middle", calls.to_str().unwrap()]), 0);
    expect(&vfiospec(&["check", calls.to_str().unwrap()]), 0);
    std::fs::remove_file(folder.join("pack.yaml")).unwrap();
    std::fs::write(&scenario, text_of_s).unwrap();
    // `other` has no result at all, and with a pass it is none that failed.
    let passed =
        vfiospec::event::CaseResult::new(0, vfiospec::model::Verdict::Passed, std::time::Duration::from_millis(1));
    let more = serde_json::to_string(&Event::CaseFinished(passed)).unwrap() + "\n";
    std::fs::write(&journal, lines.concat() + &more).unwrap();
    let (_, stderr) = expect(&vfiospec(&["new", "case", "--from", from, "other", small.to_str().unwrap()]), 2);
    assert!(stderr.contains("p.s.iommufd__edu.other did not go wrong in this run"), "{stderr}");
    // Of several, it is said which one was taken.
    let twin = vfiospec::event::PlannedCase { case: 2, backend: "vfio_type1v2_iommu".into(), ..twin };
    let failed =
        vfiospec::event::CaseResult::new(2, vfiospec::model::Verdict::Failed, std::time::Duration::from_millis(1));
    let twin =
        [Event::CasePlanned(twin), Event::CaseFinished(failed)].map(|e| serde_json::to_string(&e).unwrap() + "\n");
    std::fs::write(&journal, lines.concat() + &twin.concat()).unwrap();
    let second = folder.join("second.yaml");
    let (_, stderr) = expect(&vfiospec(&["new", "case", "--from", from, "middle", second.to_str().unwrap()]), 0);
    for said in ["one of 2 that went wrong", "p.s.vfio_type1v2_iommu__edu.middle[pages=4,tail=a,b]"] {
        assert!(stderr.contains(said), "{stderr}");
    }
    let (_, stderr) = expect(&vfiospec(&["new", "case", "--from", from, "midle", small.to_str().unwrap()]), 2);
    assert!(stderr.contains("middle[pages=4"), "{stderr}");
}

#[test]
fn check_with_watch_checks_again_when_a_file_changes_until_it_is_interrupted() {
    use std::io::{BufRead, BufReader};
    let folder = folder("watch");
    let file = folder.join("w.yaml");
    let right = "name: w\nbackends: all\ncases:\n  - name: a\n    region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n";
    std::fs::write(&file, right.replace("map: ok", "map: okay")).unwrap();
    let mut child = command()
        .args(["check", "--watch", file.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    assert!(said.any(|line| line.contains("unknown outcome `okay`")));
    assert!(said.any(|line| line.contains("waiting for a change of 1 file")));
    // It takes the place of the other one at once: no check finds half of it.
    let better = folder.join("better");
    std::fs::write(&better, right).unwrap();
    std::fs::rename(&better, &file).unwrap();
    // Whatever it finds, it waits again then: a wrong answer fails this test, and does not hang it.
    assert!(said.any(|line| line.contains("waiting")));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(kill.success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "5 cases in 1 file: no mistakes\n");
}

#[test]
fn a_mistyped_verb_is_told_with_the_nearest() {
    for (words, tip) in [
        (&["chek"][..], "'check'"),
        (&["rnu"], "'run'"),
        (&["lab", "rnu"], "'run'"),
        (&["lab", "exce", "--", "rnu"], "'exec'"),
        (&["new", "sceanrio"], "'scenario'"),
    ] {
        let (_, stderr) = expect(&vfiospec(words), 2);
        assert!(stderr.contains("a similar subcommand exists") && stderr.contains(tip), "{words:?}: {stderr}");
    }
    let (_, stderr) = expect(&vfiospec(&["lab", "frobnicate"]), 2);
    assert!(!stderr.contains("similar"), "{stderr}");
}

#[test]
fn completions_offer_codes_and_backends_and_take_what_they_do_not_offer() {
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = expect(&vfiospec(&["completions", shell]), 0);
        assert!(script.contains("iommufd_compat_type1v2"), "{shell}");
        // For fish only the values of options are written.
        assert!(shell == "fish" || script.contains("unknown-key") && script.contains("kernel-log"), "{shell}");
    }
    expect(&vfiospec(&["explain", "error[unknown-key]"]), 0);
    expect(&vfiospec(&["list", "--backend", "iommufd*"]), 0);
    let (help, _) = expect(&vfiospec(&["explain", "--help"]), 0);
    assert!(!help.contains("kernel-log"), "`vfiospec explain` lists them, with what they mean: {help}");
}

#[test]
fn completions_and_the_manual_know_every_verb() {
    let (help, _) = expect(&vfiospec(&["--help"]), 0);
    let verbs: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|verb| !verb.is_empty()))
        .collect();
    assert!(verbs.contains(&"check") && verbs.len() > 8, "{verbs:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = expect(&vfiospec(&["completions", shell]), 0);
        for verb in &verbs {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
    let (page, _) = expect(&vfiospec(&["man"]), 0);
    assert!(page.contains(".TH vfiospec 1") && page.contains("Exit codes"), "{page}");
    let folder = folder("man");
    expect(&vfiospec(&["man", folder.to_str().unwrap()]), 0);
    for page in ["vfiospec.1", "vfiospec-check.1", "vfiospec-lab-run.1", "vfiospec-new-case.1"] {
        assert!(folder.join(page).is_file(), "{page}");
    }
}

#[test]
fn a_file_that_is_no_journal_is_a_slip() {
    let file = folder("no-journal").join("x.xml");
    std::fs::write(&file, "<testsuites/>\n").unwrap();
    let (_, stderr) = expect(&vfiospec(&["report", file.to_str().unwrap()]), 2);
    assert!(stderr.contains("x.xml: line 1: "), "{stderr}");
}

#[test]
fn options_of_the_lab_that_contradict_each_other_are_refused_before_anything_is_prepared() {
    let (_, stderr) = expect(&vfiospec(&["lab", "run", "--device", "edu", "--device", "edu"]), 2);
    assert!(stderr.contains("two devices are called `edu`"), "{stderr}");
    let (_, stderr) = expect(&vfiospec(&["lab", "prepare", "--kernel-config", "KASAN=yes"]), 2);
    assert!(stderr.contains("expected KASAN=y"), "{stderr}");
}

#[test]
fn a_variable_of_the_command_line_is_of_the_kind_that_the_file_has() {
    let file = folder("kinds").join("s.yaml");
    let text = "name: s\nbackends: [iommufd]\nvars: { n: 4, on: true }\ncases:\n- name: c\n  steps:\n  \
                - check: \"{{ n + 1 == 6 and not on }}\"\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    expect(&vfiospec(&["check", file]), 0);
    let (shown, _) = expect(&vfiospec(&["show", "c", file, "--var", "n=5", "--var", "on=false"]), 0);
    assert!(shown.contains("n = 5") && shown.contains("check: True"), "{shown}");
    let (_, stderr) = expect(&vfiospec(&["list", file, "--var", "on=no"]), 2);
    assert!(stderr.contains("s.yaml has true there\n  help: give `on` true or false"), "{stderr}");
}

#[test]
fn a_run_goes_on_in_its_own_journal_and_in_no_other() {
    let folder = folder("own-journal");
    let [journal, other] = ["journal.jsonl", "other.jsonl"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    std::fs::write(&journal, "").unwrap();
    let device = ["run", "--device", "ffff:ff:1f.7", "--resume", &journal, "--journal"];
    let (_, stderr) = expect(&vfiospec(&[&device[..], &[&journal]].concat()), 3);
    assert!(stderr.contains("ffff:ff:1f.7"), "the journal is right, and only the device is missing: {stderr}");
    let (_, stderr) = expect(&vfiospec(&[&device[..], &[&other]].concat()), 2);
    assert!(stderr.contains("help: leave --journal out"), "{stderr}");
}
