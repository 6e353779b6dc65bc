// SPDX-License-Identifier: MIT OR Apache-2.0
//! The product as its user meets it: the binary, a real kernel, real ioctls.
//!
//! The first of these tests to run prepares the lab (QEMU, a kernel), which takes minutes on a fresh machine. Where that cannot be
//! done, as without a network, the tests fail in CI and say on the terminal elsewhere that they checked nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::Stdio,
};

use crate::{
    Test, Tested,
    common::{self, command, folder, read, top},
    guests::{events, lab, lab_run, place, results, together, whole_run},
    tests,
};

pub const TESTS: &[Test] = tests![
    reports_of_the_journal_are_those_of_the_run_to_the_byte,
    all_results_of_the_kernels_own_programs_come_out_as_there,
    page_sizes_are_seen_where_they_are_promised_and_left_out_where_they_are_not,
    a_trace_shows_each_call_of_a_case_as_it_is_made_and_the_journal_none,
    a_wrong_expectation_turns_that_case_red_and_points_at_its_line,
    a_device_is_kept_open_between_cases_and_opened_anew_after_a_failure,
    a_case_that_takes_too_long_is_stopped_and_the_next_one_runs,
    what_never_comes_is_a_failure_that_names_the_step,
    a_warning_of_the_kernel_is_a_failure_unless_the_case_allows_it,
    every_example_of_the_documentation_holds_on_the_real_kernel,
    the_guides_example_about_time_runs_and_is_measured,
    throughput_is_measured_on_every_backend_and_charted,
    a_hostile_string_survives_into_valid_xml,
    a_failure_alone_tells_what_was_opened_and_made_for_it_and_how_to_run_it_again,
    without_an_iommu_what_needs_no_device_runs_and_the_rest_is_skipped,
    a_wait_in_vain_says_for_what_and_a_check_shows_registers_in_hex,
    steps_of_a_finally_run_last_and_after_a_failure_which_stays_the_one_that_is_reported,
    the_shell_of_the_guest_runs_the_command_that_it_names,
];

/// The results of the kernel's own programs on the edu device: of DMA mappings 30, of BARs mapped for DMA 15,
/// of the device 5, of the way to IOMMUFD 6.
fn upstream_results() -> BTreeMap<String, String> {
    let backends =
        ["vfio_type1_iommu", "vfio_type1v2_iommu", "iommufd_compat_type1", "iommufd_compat_type1v2", "iommufd"];
    let mut names: BTreeSet<String> = BTreeSet::new();
    for backend in backends {
        for memory in ["anonymous", "anonymous_hugetlb_2mb", "anonymous_hugetlb_1gb"] {
            names.insert(format!("vfio_dma_mapping_test.{backend}_{memory}.dma_map_unmap"));
        }
        for case in ["unmap_range", "unmap_all", "overflow"] {
            names.insert(format!("vfio_dma_map_limit_test.{backend}.{case}"));
        }
        for case in ["map_full_bar", "map_partial_bar", "map_bar_misaligned"] {
            names.insert(format!("vfio_dma_mapping_mmio_test.{backend}.{case}"));
        }
    }
    for case in
        ["device_test.config_space_read_write", "device_test.validate_bars", "irq_test.msi.enable_trigger_disable"]
    {
        names.insert(format!("vfio_pci_{case}"));
    }
    for case in [
        "bind",
        "get_info_without_bind_fails",
        "bind_bad_iommufd_fails",
        "repeated_bind_fails",
        "attach_detatch_pt",
        "attach_invalid_pt_fails",
    ] {
        names.insert(format!("vfio_cdev.{case}"));
    }
    let skipped = ["vfio_pci_device_test.reset", "vfio_pci_irq_test.msix.enable_trigger_disable"];
    let with = |verdict: &'static str| move |name: String| (name, verdict.to_owned());
    names.into_iter().map(with("passed")).chain(skipped.map(str::to_owned).map(with("skipped"))).collect()
}

fn reports_of_the_journal_are_those_of_the_run_to_the_byte() -> Tested {
    let ran = whole_run()?;
    let junit = folder("report-again").join("junit.xml");
    let output =
        command().arg("report").arg(&ran.journal).arg("--junit").arg(&junit).output().expect("the binary starts");
    assert_eq!(output.status.code(), ran.code(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(&junit).expect("written") == fs::read(&ran.junit).expect("there is a JUnit file"));
    let path = |path: &std::path::Path| path.display().to_string();
    let expected = ran.stdout().replace(&path(&ran.junit), &path(&junit));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    Ok(())
}

fn all_results_of_the_kernels_own_programs_come_out_as_there() -> Tested {
    let ran = whole_run()?;
    ran.expect(0);
    let junit = ran.junit();
    let document = roxmltree::Document::parse(&junit).expect("valid XML");
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let verdicts = |tag: &str| document.descendants().filter(|node| node.has_tag_name(tag)).count();
    assert_eq!((verdicts("failure"), verdicts("error")), (0, 0), "{junit}");

    let mut verdict_of = BTreeMap::new();
    let finished = events(ran, "case_finished");
    for case in events(ran, "case_planned") {
        let result =
            finished.iter().find(|result| result["case"] == case["case"]).expect("every planned case has a result");
        for name in case["covers"].as_array().into_iter().flatten() {
            verdict_of.insert(name.as_str().unwrap().to_owned(), result["verdict"].as_str().unwrap().to_owned());
        }
    }
    let expected = upstream_results();
    for (name, verdict) in &expected {
        assert_eq!(verdict_of.get(name), Some(verdict), "{name}");
    }
    assert!(cases.len() >= expected.len(), "{} cases", cases.len());
    Ok(())
}

fn page_sizes_are_seen_where_they_are_promised_and_left_out_where_they_are_not() -> Tested {
    let ran = whole_run()?;
    let planned = events(ran, "case_planned");
    let mut seen = 0;
    for result in events(ran, "case_finished") {
        let case = planned.iter().find(|case| case["case"] == result["case"]).expect("every result was planned");
        if !case["name"].as_str().unwrap().starts_with("map_unmap") {
            continue;
        }
        let left_out = result["unchecked"].as_array().unwrap();
        let promised = !["vfio_type1_iommu", "iommufd_compat_type1"].contains(&case["backend"].as_str().unwrap());
        match promised {
            // map, page size, unmap, gone
            true => assert_eq!((left_out.len(), result["checks"].as_u64()), (0, Some(4)), "{case}\n{result}"),
            false => {
                assert_eq!((left_out.len(), result["checks"].as_u64()), (1, Some(3)), "{case}\n{result}");
                assert_eq!(left_out[0]["by_choice"], true);
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 5 * 3, "five backends, three page sizes");
    Ok(())
}

fn a_trace_shows_each_call_of_a_case_as_it_is_made_and_the_journal_none() -> Tested {
    let arguments = ["--trace", "--backend", "iommufd", "--filter", "case == 'exact'", "scenarios/uapi/unmap.yaml"];
    let ran = lab_run("trace", &arguments)?;
    ran.expect(0);
    let said = ran.stderr();
    let (_, calls) = said.split_once("uapi.unmap.iommufd__edu.exact:\n").expect("the case comes first");
    let call = |name: &str| calls.find(&format!("\n  {name}(")).unwrap_or_else(|| panic!("no {name} in\n{said}"));
    assert!(call("IOMMU_IOAS_MAP") < call("IOMMU_IOAS_UNMAP"), "{said}");
    let step = |verb: &str| calls.find(&format!("\n  # {verb} at scenarios/uapi/unmap.yaml:")).expect("its step");
    assert!(step("map") < call("IOMMU_IOAS_MAP") && call("IOMMU_IOAS_MAP") < call("page_table"), "{said}");
    assert!(events(&ran, "called").is_empty());
    Ok(())
}

const WRONG: &str = r#"map: { "vfio_*": ok, "iommufd*": EINVAL }"#;

/// A scenario of ours with an expectation that is wrong for three backends.
pub fn wrong_expectation() -> String {
    let original = read("scenarios/kernel/dma_mapping_mmio.yaml");
    let right = r#"map: { "vfio_*": ok, "iommufd*": EFAULT }"#;
    assert!(original.contains(right));
    original.replacen(right, WRONG, 1)
}

fn a_wrong_expectation_turns_that_case_red_and_points_at_its_line() -> Tested {
    let line = 1 + wrong_expectation().lines().position(|line| line.contains(WRONG)).unwrap();
    let ran = together("kernel")?;
    ran.expect(1);
    let junit = ran.junit();
    let document = roxmltree::Document::parse(&junit).expect("valid XML");
    let mut red = Vec::new();
    for failure in document.descendants().filter(|node| node.has_tag_name("failure")) {
        let case = failure.parent().unwrap();
        red.push((case.attribute("classname").unwrap().to_owned(), case.attribute("name").unwrap().to_owned()));
        let message = failure.attribute("message").unwrap();
        assert!(message.contains("map gave EFAULT"), "{message}");
        assert!(message.contains("expected EINVAL"), "{message}");
        let text: String = failure.descendants().filter_map(|node| node.text()).collect();
        assert!(text.contains(&format!("dma_mapping_mmio.yaml:{line}:")), "line {line} is not in:\n{text}");
        assert!(text.contains("EFAULT") && text.contains("0x"), "the ioctls that led there are not in:\n{text}");
    }
    let expected: Vec<_> = ["iommufd_compat_type1", "iommufd_compat_type1v2", "iommufd"]
        .map(|backend| (format!("kernel.dma_mapping_mmio.{backend}__edu"), "map_full_bar".to_owned()))
        .to_vec();
    assert_eq!(red, expected, "exactly the cases that the line speaks for");
    assert!(ran.stdout().contains(&format!("dma_mapping_mmio.yaml:{line}:")), "{}", ran.stdout());
    Ok(())
}

pub fn fixtures() -> String {
    let case = |name: &str, more: &str, outcome: &str| {
        format!(
            "  - name: {name}\n    {more}\n    regions: {{ buffer: {{ memory: anonymous, size: 4KiB }} }}\n    \
             steps: [{{ map: {{ region: buffer }}, expect: {outcome} }}]\n"
        )
    };
    ["name: fixtures\nbackends: [iommufd]\ncases:\n".to_owned()]
        .into_iter()
        .chain([
            case("first_leaves_its_mapping", "tags: []", "ok"),
            case("second_fails", "tags: []", "EINVAL"),
            case("third_fails_on_a_new_device", "tags: []", "EINVAL"),
            case("fourth_passes", "tags: []", "ok"),
            case("fifth_fails_on_a_fresh_device", "fixture: fresh", "EINVAL"),
        ])
        .collect()
}

fn a_device_is_kept_open_between_cases_and_opened_anew_after_a_failure() -> Tested {
    let ran = together("fixtures")?;
    ran.expect(1);
    let results = results(&ran);
    let opened = |name: &str| {
        let trace = results[name]["trace"].as_array().unwrap();
        assert!(!trace.is_empty(), "{name} has a trace");
        trace.iter().any(|call| call.as_str().unwrap().starts_with("open(\"/dev/iommu\""))
    };
    assert_eq!(results["first_leaves_its_mapping"]["verdict"], "passed");
    assert_eq!(results["fourth_passes"]["verdict"], "passed");
    assert!(!opened("second_fails"), "kept from the first case: {}", results["second_fails"]);
    assert!(opened("third_fails_on_a_new_device"), "{}", results["third_fails_on_a_new_device"]);
    assert!(opened("fifth_fails_on_a_fresh_device"), "{}", results["fifth_fails_on_a_fresh_device"]);
    let iova = |name: &str| {
        results[name]["trace"].as_array().unwrap().last().unwrap().as_str().unwrap().ends_with("iova=0x0) = 0")
    };
    assert!(iova("second_fails"), "what the first case left mapped is gone: {}", results["second_fails"]);
    Ok(())
}

/// The limit is long enough to open the device on a slow machine, and the wait is longer than any.
pub const TIMEOUT: &str = r#"name: timeout
backends: [iommufd_compat_type1]
cases:
  - name: takes_long
    timeout: 5s
    steps:
      - irq_enable: { index: msi }
      - irq_wait: { index: msi, timeout: 10min }
  - name: runs
    region: { memory: anonymous, size: 4KiB }
    expect: { map: ok }
"#;

fn a_case_that_takes_too_long_is_stopped_and_the_next_one_runs() -> Tested {
    let ran = together("timeout")?;
    ran.expect(1);
    let results = results(&ran);
    assert_eq!(results["takes_long"]["verdict"], "failed");
    let message = results["takes_long"]["message"].as_str().unwrap();
    assert!(message.starts_with("timed out after 5s"), "{message}");
    assert_eq!(results["runs"]["verdict"], "passed", "{}", results["runs"]);
    Ok(())
}

pub const WAITING: &str = r#"name: waiting
backends: [iommufd]
cases:
  - name: no_interrupt
    steps:
      - irq_enable: { index: msi }
      - irq_wait: { index: msi, timeout: 20ms }
  - name: register_never_ready
    steps:
      - mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 20ms }
  - name: reads_what_edu_is
    steps:
      - mmio_read: { bar: 0, offset: 0x0 }
        save: id
      - check: "{{ id.value == 0x010000ed }}"
      - mmio_write: { bar: 0, offset: 0x4, value: 0x0000ffff }
      - mmio_read: { bar: 0, offset: 0x4 }
        save: inverted
      - check: "{{ inverted.value == 0xffff0000 }}"
  - name: not_enabled
    steps: [{ irq_wait: { index: msi } }]
  - name: looks_at_nothing
    steps: [{ gone: { iova: 0x0, size: "{{ page_size - page_size }}" } }]
  - name: maps_what_is_not_its_own
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps: [{ map: { region: buffer, offset: 4KiB, size: 4KiB }, expect: fails }]
"#;

fn what_never_comes_is_a_failure_that_names_the_step() -> Tested {
    let ran = together("waiting")?;
    ran.expect(1);
    let results = results(&ran);
    let line = |of: &str| 1 + WAITING.lines().position(|line| line.contains(of)).unwrap();
    for (case, step) in [("no_interrupt", "irq_wait: { index: msi, timeout"), ("register_never_ready", "mmio_poll:")] {
        assert_eq!(results[case]["verdict"], "failed", "{}", results[case]);
        assert!(results[case]["message"].as_str().unwrap().contains("ETIMEDOUT"), "{}", results[case]);
        let at = results[case]["at"].as_str().unwrap();
        assert!(at.contains(&format!("waiting.yaml:{}:", line(step))), "{at}");
    }
    assert_eq!(results["reads_what_edu_is"]["verdict"], "passed", "{}", results["reads_what_edu_is"]);
    for case in ["not_enabled", "looks_at_nothing", "maps_what_is_not_its_own"] {
        assert_eq!(results[case]["verdict"], "error", "no verdict on the kernel: {}", results[case]);
    }
    Ok(())
}

pub fn splat() -> String {
    let case = |name: &str, more: &str| {
        format!(
            "  - name: {name}\n{more}    fixture: fresh\n    regions: {{ buffer: {{ memory: anonymous, size: 4KiB }} }}\n    \
             steps: [{{ map: {{ region: buffer, access: none }}, expect: EINVAL }}]\n"
        )
    };
    // A mapping without any access makes the compat backends warn with VT-d, which the kernel's own tests do not notice.
    format!(
        "name: splat\nbackends: [iommufd_compat_type1]\ncases:\n{}{}",
        case("warns", ""),
        case("allowed", "    kernel_log: { allow: [\"WARNING: drivers/iommu/\"] }\n"),
    )
}

fn a_warning_of_the_kernel_is_a_failure_unless_the_case_allows_it() -> Tested {
    let ran = together("splat")?;
    ran.expect(1);
    let results = results(&ran);
    assert_eq!(results["warns"]["verdict"], "failed", "{}", results["warns"]);
    let message = results["warns"]["message"].as_str().unwrap();
    assert!(message.starts_with("the kernel logged: WARNING: "), "{message}");
    assert_eq!(results["allowed"]["verdict"], "passed", "{}", results["allowed"]);
    Ok(())
}

fn every_example_of_the_documentation_holds_on_the_real_kernel() -> Tested {
    let pack = folder("examples").join("examples");
    fs::create_dir_all(&pack).unwrap();
    for document in ["README.md", "scenarios/README.md"] {
        let markdown = fs::read_to_string(top().join(document)).unwrap();
        // Those that need several devices are run with several, by devices.rs.
        for (line, text) in common::yaml_examples(&markdown).into_iter().filter(|(_, text)| !text.contains("devices:"))
        {
            fs::write(pack.join(format!("{}-{line}.yaml", document.replace('/', "-"))), text).unwrap();
        }
    }
    let ran = lab_run("examples-run", &[pack.to_str().unwrap()])?;
    ran.expect(0);
    let skipped = events(&ran, "case_finished").into_iter().filter(|result| result["verdict"] == "skipped");
    assert_eq!(skipped.count(), 0, "an example that does not apply shows nothing:\n{}", ran.stdout());
    Ok(())
}

/// What it says of times depends on the machine and its load: it runs to a verdict, and which one is not judged here.
fn the_guides_example_about_time_runs_and_is_measured() -> Tested {
    let guide = fs::read_to_string(top().join("scenarios/README.md")).unwrap();
    let (_, text) = common::yaml_examples(&guide)
        .into_iter()
        .find(|(_, text)| text.contains("timing"))
        .expect("an example about time");
    let file = folder("timing").join("misaligned_bar.yaml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let ran = lab_run("timing-run", &["--device", "pci-testdev", "--tag", "timing", file])?;
    let results = events(&ran, "case_finished");
    assert_eq!(results.len(), 2, "{}", ran.stdout());
    for result in results {
        assert!(result["verdict"] == "passed" || result["detail"].to_string().contains("slow.micros"), "{result:#}");
    }
    Ok(())
}

fn throughput_is_measured_on_every_backend_and_charted() -> Tested {
    let html = folder("perf").join("perf.html");
    let scenario = top().join("scenarios/perf");
    let of = ["--tag", "timing", "--case", "one_page", "--html", html.to_str().unwrap(), scenario.to_str().unwrap()];
    let ran = lab_run("perf-run", &of)?;
    ran.expect(0);
    let results = events(&ran, "case_finished");
    assert_eq!(results.len(), 5, "{}", ran.stdout());
    for result in &results {
        let measured = result["measured"].as_array().expect("measured");
        let whats: Vec<&str> = measured.iter().filter_map(|measured| measured["what"].as_str()).collect();
        assert_eq!(whats, ["map", "unmap"]);
        let rounds = measured[0]["each"].as_array().expect("each");
        assert!(rounds.len() == 100 && rounds.iter().any(|micros| micros.as_u64() > Some(0)), "{measured:?}");
    }
    let page = fs::read_to_string(html).unwrap();
    assert_eq!(page.matches("<figure>").count(), 2, "one chart for map and one for unmap");
    assert!(ran.junit().contains("measured map: "), "{}", ran.junit());
    Ok(())
}

pub const FINALLY: &str = r#"name: finally
backends: [iommufd]
regions: { buffer: { memory: anonymous, size: 8KiB } }
cases:
  - name: runs_last
    steps:
      - map: { region: buffer, size: 4KiB }
      - finally: { steps: [{ unmap_all: , expect: { bytes: 8KiB } }] }
      - map: { region: buffer, offset: 4KiB, size: 4KiB }
  - name: runs_after_a_failure
    steps:
      - map: { region: buffer, size: 4KiB }
        save: m
      - check: "{{ m.size == 1 }}"
      - finally:
          steps:
            - check: "{{ m.size == 2 }}"
      - finally:
          steps:
            - unmap: { iova: "{{ m.iova }}", size: 4KiB }
              expect: { bytes: 4KiB }
  - name: fails_itself
    steps:
      - map: { region: buffer, size: 4KiB }
      - finally: { steps: [{ unmap_all: , expect: { bytes: 8KiB } }] }
  - name: runs_at_the_end_of_each_round
    steps:
      - repeat:
          times: 3
          steps:
            - map: { region: buffer }
              save: m
            - finally: { steps: [{ unmap: { iova: "{{ m.iova }}", size: 8KiB }, expect: { bytes: 8KiB } }] }
"#;

fn steps_of_a_finally_run_last_and_after_a_failure_which_stays_the_one_that_is_reported() -> Tested {
    let ran = together("finally")?;
    ran.expect(1);
    let results = results(&ran);
    for case in ["runs_last", "runs_at_the_end_of_each_round"] {
        assert_eq!(results[case]["verdict"], "passed", "{:#}", results[case]);
    }
    let failed = &results["runs_after_a_failure"];
    assert!(failed["at"].as_str().unwrap().contains("finally.yaml:14:"), "{failed:#}");
    let trace: Vec<_> = failed["trace"].as_array().unwrap().iter().map(|call| call.as_str().unwrap()).collect();
    assert!(trace.iter().any(|call| call.starts_with("IOMMU_IOAS_UNMAP(")), "{trace:#?}");
    let failed = &results["fails_itself"];
    assert!(failed["at"].as_str().unwrap().contains("finally.yaml:25:"), "{failed:#}");
    Ok(())
}

pub const HOSTILE: &str = r#"name: hostile
backends: [iommufd]
vars: { poison: "\e[31m \0 ]]> <skipped/> & \" ' \uFFFE [[ATTACHMENT|/etc/passwd]] \r\n" }
cases:
  - name: skips
    requires: [{ that: "{{ false }}", because: "{{ poison }}" }]
    region: { memory: anonymous, size: 4KiB }
    expect: { map: ok }
    covers: ["{{ poison }}"]
  - name: fails
    region: { memory: anonymous, size: 4KiB }
    expect: { map: EINVAL }
    covers: ["{{ poison }}"]
  - name: checks
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - map: { region: buffer }
      - check: "{{ poison == 'harmless' }}"
"#;

fn a_hostile_string_survives_into_valid_xml() -> Tested {
    let ran = together("hostile")?;
    ran.expect(1);
    let junit = ran.junit();
    let document = roxmltree::Document::parse(&junit).expect("valid XML");
    let verdict = |name: &str| {
        let case = document.descendants().find(|node| node.attribute("name") == Some(name)).unwrap();
        let tags = ["failure", "error", "skipped"];
        case.children()
            .filter(|node| tags.iter().any(|tag| node.has_tag_name(*tag)))
            .map(|n| n.tag_name().name())
            .collect::<Vec<_>>()
    };
    assert_eq!(verdict("skips"), ["skipped"]);
    assert_eq!(verdict("fails"), ["failure"]);
    assert_eq!(verdict("checks"), ["failure"]);
    assert!(junit.contains("\\u{1b}"), "what XML forbids is made visible:\n{junit}");
    assert!(!ran.stdout().contains('\u{1b}'), "and does not reach the terminal either");
    Ok(())
}

fn a_failure_alone_tells_what_was_opened_and_made_for_it_and_how_to_run_it_again() -> Tested {
    let case = |name: &str, expect: &str| {
        let region = "{ memory: hugetlb, size: 2MiB }";
        format!("  - {{ name: {name}, region: {region}, expect: {{ map: {expect} }} }}\n")
    };
    let text = format!(
        "name: alone\nsummary: A page is mapped.\nbackends: [vfio_type1v2_iommu, iommufd]\ncases:\n{}{}",
        case("passes", "ok"),
        case("fails", "EEXIST")
    );
    let file = folder("alone").join("alone.yaml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let ran = lab_run("alone-run", &[file])?;
    ran.expect(1);
    let planned = events(&ran, "case_planned");
    let failed: Vec<_> = events(&ran, "case_finished").into_iter().filter(|of| of["verdict"] == "failed").collect();
    let opened = [["VFIO_SET_IOMMU(fd=", "/dev/vfio/vfio"], ["VFIO_DEVICE_ATTACH_IOMMUFD_PT(fd=", "/dev/iommu"]];
    for (result, opened) in failed.iter().zip(opened) {
        let lines = |of: &str| {
            result[of].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
        };
        let (before, own) = (lines("before"), lines("trace"));
        for words in opened.into_iter().chain(["MAP_HUGETLB"]) {
            assert!(before.contains(words) && !own.contains(words), "{words}:\n{before}\n---\n{own}");
        }
        assert!(own.contains("_MAP"), "{own}");
        let ioctls = own.lines().filter(|line| line.starts_with("VFIO_") || line.starts_with("IOMMU_"));
        assert!(ioctls.clone().count() > 0 && ioctls.clone().all(|line| line.contains("(fd=")), "{own}");
        let planned = planned.iter().find(|planned| planned["case"] == result["case"]).unwrap();
        let id = format!("alone.alone.{}__edu.fails", planned["backend"].as_str().unwrap());
        let again = format!("vfiospec lab run {file} --case {id}\n");
        assert!(ran.stdout().contains(&format!("  again: {again}")), "{}", ran.stdout());
        assert!(ran.junit().contains(&format!("to run it again: {again}")), "{}", ran.junit());
        let (_, calls) = ran.junit().split_once("\ncalls:\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(
            calls.contains("--- above: earlier cases, which opened what this case uses; below: this case ---"),
            "{calls}"
        );
    }
    assert_eq!(failed.len(), 2);
    assert!(ran.stdout().contains("fails\n  A page is mapped.\n"), "{}", ran.stdout());
    assert!(ran.junit().contains("summary: A page is mapped."));
    Ok(())
}

fn without_an_iommu_what_needs_no_device_runs_and_the_rest_is_skipped() -> Tested {
    let text = "name: none\nbackends: [vfio_type1v2_iommu, iommufd]\ncases:\n\
                - name: opens\n  fixture: none\n  backends: [iommufd]\n  steps:\n  \
                - { open: { file: iommufd }, save: own }\n  - { ioctl: { request: IOMMU_IOAS_ALLOC, on: own } }\n\
                - { name: maps, region: { memory: anonymous, size: 4KiB }, expect: { map: ok } }\n\
                - { name: opens_the_group, fixture: none, backends: [vfio_type1v2_iommu], steps: [{ open: { file: group }, save: own }] }\n\
                - name: moves\n  fixture: none\n  backends: [iommufd]\n  requires: [{ that: \"{{ iommu != 'none' }}\", because: nothing is in front of it }]\n  \
                steps: [{ sysfs: { write: unbind } }]\n";
    let file = folder("none").join("none.yaml");
    fs::write(&file, text).unwrap();
    let ran = lab_run("none-run", &["--iommu", "none", file.to_str().unwrap()])?;
    ran.expect(0);
    assert!(ran.stdout().contains("iommu none"), "{}", ran.stdout());
    assert!(ran.stdout().contains("5 cases: 1 passed, 4 skipped"), "{}", ran.stdout());
    let why = "3 skipped: no IOMMU is in front of the device; VFIO opens no device without one\n";
    assert!(ran.stdout().contains(why), "{}", ran.stdout());

    let all_the_same = "vfio.enable_unsafe_noiommu_mode=1";
    let file = file.to_str().unwrap();
    let ran = lab_run("none-opened", &["--iommu", "none", "--parameter", all_the_same, file])?;
    ran.expect(0);
    assert!(ran.stdout().contains("5 cases: 2 passed, 3 skipped"), "{}", ran.stdout());
    let why = "no IOMMU is in front of the device; VFIO opens it as /dev/vfio/noiommu-1, where nothing can be mapped";
    assert!(ran.junit().contains(why), "{}", ran.junit());
    Ok(())
}

pub fn waits() -> String {
    let steps = |name: &str, steps: &[&str]| format!("  - {{ name: {name}, steps: [{}] }}\n", steps.join(", "));
    let enable = "{ irq_enable: { index: msi } }";
    "name: waits\nbackends: [iommufd]\ncases:\n".to_owned()
        + &steps("silent", &[enable, "{ irq_wait: { index: msi, timeout: 100ms } }"])
        + &steps("too_many", &["{ irq_enable: { index: msi, count: 200 } }"])
        + &steps("polls", &["{ mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 10ms } }"])
        + &steps("checks", &["{ mmio_read: { bar: 0, offset: 0x0 }, save: id }", "{ check: \"{{ id.value == 1 }}\" }"])
}

fn a_wait_in_vain_says_for_what_and_a_check_shows_registers_in_hex() -> Tested {
    let ran = together("waits")?;
    ran.expect(1);
    let results = results(&ran);
    let of = |case: &str, key: &str| results[case][key].as_str().unwrap().to_owned();
    assert_eq!(of("silent", "message"), "irq_wait: no interrupt on msi vector 0 within 100ms (ETIMEDOUT)");
    let had = "the device has 1 vector of msi, and the step asks for 200";
    assert!(of("too_many", "detail").contains(had), "{}", of("too_many", "detail"));
    let longest =
        results["too_many"]["trace"].as_array().unwrap().iter().map(|call| call.as_str().unwrap().len()).max();
    assert!(longest < Some(250), "{longest:?}");
    let still = "mmio_poll: the register at 0x0 of BAR 0 was still 0x10000ed after 10ms, expected 0x1234 (ETIMEDOUT)";
    assert_eq!(of("polls", "message"), still);
    assert!(of("checks", "detail").contains("value: 0x10000ed}"), "{}", of("checks", "detail"));
    Ok(())
}

fn the_shell_of_the_guest_runs_the_command_that_it_names() -> Tested {
    lab()?;
    let _place = place();
    let mut shell = command();
    shell.args(["lab", "shell"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut shell = shell.spawn().expect("the binary starts");
    let (mut input, output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
    let mut output = BufReader::new(output);
    let mut command = None;
    // A serial line drops what comes before the shell listens.
    loop {
        let mut line = Vec::new();
        assert_ne!(output.read_until(b'\n', &mut line).unwrap(), 0, "the guest ended before its shell began");
        let line = String::from_utf8_lossy(&line);
        if let Some((_, greeting)) = line.split_once("This is the lab's guest. `") {
            command = greeting.split('`').next().map(str::to_owned);
        }
        if line.contains("Enter 'help' for a list") {
            break;
        }
    }
    let command = command.expect("the greeting comes before the shell");
    writeln!(input, "{command} --case 'map_unmap[page=4KiB]'; exit").unwrap();
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert!(shell.wait().unwrap().success(), "{said}");
    assert!(said.contains("5 passed"), "{said}"); // in colour: the console is a terminal
    Ok(())
}
