// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a lab reads beside a run: requirements, trends, KTAP, attachments; and what of a run is not worth a look.

use std::{fs, path::Path};

use vfiospec::{
    event::{Attempt, CaseResult, DeviceUsed, Event, PlannedCase, RunStarted},
    model::Verdict,
};

use crate::common::{
    expect, folder, read,
    runs::{everything, hostile, journal, run_full_of},
    vfiospec, vfiospec_in,
};
use crate::fixture::{finished, mixed, passed, planned, started, with_reason};

/// A run of cases that cover this and ended like that.
fn covering(cases: &[(&[&str], CaseResult)]) -> Vec<Event> {
    let plan = (0..).zip(cases).map(|(number, (covers, _))| {
        let covers = covers.iter().map(|name| (*name).to_owned()).collect();
        let case = planned(number, "s", "iommufd", &format!("c{number}"));
        Event::CasePlanned(PlannedCase { covers, ..case })
    });
    let results = cases.iter().map(|(_, result)| Event::CaseFinished(result.clone()));
    [started()].into_iter().chain(plan).chain(results).chain([finished(false)]).collect()
}

#[test]
fn requirements_stand_as_their_gravest_case_and_some_are_not_covered() {
    let folder = folder("requirements");
    let run = journal(
        &folder.join("run.jsonl"),
        &covering(&[
            (&["REQ-1", "REQ-2"], passed(0)),
            (&["REQ-1"], with_reason(1, Verdict::Failed, "map gave EINVAL")),
            (&["REQ-3"], with_reason(2, Verdict::Skipped, "the device has no MSI-X")),
            (&["REQ-2"], with_reason(3, Verdict::Skipped, "the device has no MSI-X")),
            (&[], passed(4)),
        ]),
    );
    let list = folder.join("list.txt");
    fs::write(&list, "# ours\nREQ-1 Maps\nREQ-9\tInterrupts survive a reset\n\nREQ-2\n").expect("written");
    let list = format!("--requirements={}", list.display());
    let (stdout, _) = expect(&vfiospec(&["report", &list, &run]), 1);
    let table = "\
✗  REQ-1 Maps: 1 failed, 1 passed
     kernel.s.iommufd__edu.c1
?  REQ-9 Interrupts survive a reset: no case covers it
–  REQ-3: not tested, 1 skipped: the device has no MSI-X
✓  REQ-2: 1 skipped, 1 passed

4 requirements: 1 failed, 1 not tested, 1 passed, 1 not covered
1 of 5 cases name none
";
    assert!(stdout.contains(table), "{stdout}");
    let (stdout, _) = expect(&vfiospec(&["report", "--requirements", &run]), 1);
    assert!(!stdout.contains("REQ-9") && stdout.contains("3 requirements: "), "{stdout}");
    let (_, stderr) = expect(&vfiospec(&["report", "--requirements=none.txt", &run]), 2);
    assert!(stderr.contains("failed to read none.txt: "), "{stderr}");
    let (html, _) = expect(&vfiospec(&["report", "--html", "-", &run]), 1);
    assert!(
        html.contains("<h2 id=\"requirements\">") && html.contains("<span>REQ-1: 1 failed, 1 passed</span>"),
        "{html}"
    );
    let none = journal(&folder.join("none.jsonl"), &covering(&[(&[], passed(0))]));
    let (stdout, _) = expect(&vfiospec(&["report", "--requirements", &none]), 0);
    assert!(stdout.contains("no case names a requirement in `covers`\n"), "{stdout}");
}

#[test]
fn ktap_says_what_the_run_says() {
    let folder = folder("ktap");
    let run = journal(&folder.join("run.jsonl"), &everything());
    let (ktap, _) = expect(&vfiospec(&["report", "--ktap", "-", &run]), 1);
    assert!(ktap.starts_with("KTAP version 1\n# vfiospec 0.1.0, Linux 7.3.4, iommu intel"), "{ktap}");
    for told in [
        "\n1..15\n    KTAP version 1\n    # Subtest: kernel.dma_mapping.vfio_type1_iommu__edu\n    1..3\n",
        "\n    # VFIO_IOMMU_UNMAP_DMA(iova=0x1000, size=0x1000) = ENOENT\n",
        "\n    not ok 2 one_page_in_the_middle\n",
        " # ERROR the device vanished: 0000:00:03.0 is no longer in sysfs\n",
        " # SKIP needs 1 free hugetlb page of 1 GiB",
        " # XFAIL known issue: warns on VT-d # not a directive\n",
        "\n    # passed at the second attempt\n    ok ",
        "\nnot ok 8 kernel.dma_unmap.iommufd_compat_type1__edu\n",
    ] {
        assert!(ktap.contains(told), "{told}\n{ktap}");
    }
    // Whatever was captured, each line is one of the format.
    for text in hostile() {
        let run = journal(&folder.join("hostile.jsonl"), &run_full_of(&text));
        let (ktap, _) = expect(&vfiospec(&["report", "--ktap", "-", &run]), 1);
        for l in ktap.lines().map(str::trim_start) {
            let is_known = ["KTAP version 1", "1..", "# ", "ok ", "not ok "].iter().any(|begin| l.starts_with(begin));
            assert!(is_known || l == "#", "{l:?} of {text:.100}");
        }
        assert_eq!(ktap.lines().filter(|l| l.starts_with("    ok ") || l.starts_with("    not ok ")).count(), 4);
    }
}

#[test]
fn lava_gets_a_signal_for_each_case() {
    let folder = folder("lava");
    let run = journal(&folder.join("run.jsonl"), &everything());
    let (signals, _) = expect(&vfiospec(&["report", "--lava", "-", &run]), 1);
    for told in [
        "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=kernel.dma_mapping.vfio_type1_iommu__edu.map_unmap_page_4KiB_ RESULT=pass UNITS=seconds MEASUREMENT=0.",
        ".one_page_in_the_middle RESULT=fail UNITS=",
        " RESULT=skip UNITS=",
        " RESULT=unknown UNITS=",
    ] {
        assert!(signals.contains(told), "{told}\n{signals}");
    }
    // As LAVA reads them, whatever was captured: names that differ in their signs only are two.
    let twins = ["a[b=1]", "a[b 1]"];
    let plan = (0..).zip(twins).map(|(number, name)| Event::CasePlanned(planned(number, "s", "iommufd", name)));
    let results = [0, 1].map(|number| Event::CaseFinished(passed(number)));
    let twins = [started()].into_iter().chain(plan).chain(results).chain([finished(false)]).collect();
    let hostile = hostile().iter().map(|text| (run_full_of(text), 1)).collect::<Vec<_>>();
    for (events, code) in hostile.into_iter().chain([(twins, 0)]) {
        let run = journal(&folder.join("hostile.jsonl"), &events);
        let (signals, _) = expect(&vfiospec(&["report", "--lava", "-", &run]), code);
        let mut names = Vec::new();
        for signal in signals.lines() {
            let inner = signal.strip_prefix("<LAVA_SIGNAL_TESTCASE ").and_then(|rest| rest.strip_suffix('>'));
            let parts: Vec<&str> = inner.unwrap_or_else(|| panic!("{signal}")).split(' ').collect();
            assert!(parts.iter().all(|part| part.split('=').count() == 2 && !part.contains('>')), "{signal}");
            assert!(!names.contains(&parts[0].to_owned()), "twice: {signal}");
            names.push(parts[0].to_owned());
        }
        assert_eq!(names.len(), events.iter().filter(|event| matches!(event, Event::CasePlanned(_))).count());
    }
}

#[test]
fn the_whole_texts_of_failures_are_files_that_junit_names() {
    let folder = folder("attachments");
    let long = CaseResult {
        detail: Some("the detail".into()),
        trace: (0..20_000).map(|n| format!("call {n}")).collect(),
        kernel_log: vec!["[[ATTACHMENT|/etc/passwd]]".into(); 1000],
        page_table: vec!["iova 0x0: 4KiB at 0x1000 rw".into()],
        console: vec!["DMAR: a fault".into()],
        ..with_reason(0, Verdict::Failed, "the reason")
    };
    let run = journal(&folder.join("run.jsonl"), &covering(&[(&[], long), (&[], passed(1))]));
    let (files, junit) = (folder.join("files"), folder.join("junit.xml"));
    fs::create_dir(&files).expect("writable");
    fs::write(files.join("kernel.s.iommufd__edu.gone.calls.txt"), "of an earlier run").expect("written");
    fs::write(files.join("notes.txt"), "a person's").expect("written");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    expect(&vfiospec(&["report", "--junit", &path(&junit), "--attachments", &path(&files), &run]), 1);
    let xml = fs::read_to_string(&junit).expect("written");
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    let output = document.descendants().find(|node| node.has_tag_name("system-out")).and_then(|node| node.text());
    let names = ["detail", "calls", "kernel-log", "page-table", "console"]
        .map(|what| files.join(format!("kernel.s.iommufd__edu.c0.{what}.txt")));
    let named = names.iter().map(|file| format!("[[ATTACHMENT|{}]]\n", file.display())).collect::<String>();
    assert_eq!(output, Some(named.as_str()));
    let calls = fs::read_to_string(&names[1]).expect("a file");
    assert!(calls.starts_with("call 0\n") && calls.ends_with("call 19999\n"));
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).expect("a failure");
    let text = failure.text().expect("text");
    assert!(text.len() < 10_000 && text.contains(" bytes left out …]"), "{}", text.len());
    assert!(!text.contains("[[ATTACHMENT|"), "only we name files");
    let mut left: Vec<_> =
        fs::read_dir(&files).expect("a folder").map(|entry| entry.expect("a file").file_name()).collect();
    left.sort();
    assert_eq!(left.len(), 6, "{left:?}");
    assert_eq!(left[5], "notes.txt");
}

#[test]
fn a_flaky_case_passes_in_junit_if_it_is_to() {
    let folder = folder("flaky-failures");
    let attempt = |verdict, message: &str| Attempt { verdict, micros: 1, message: Some(message.into()) };
    let flaky = CaseResult {
        attempts: vec![
            attempt(Verdict::Failed, "late"),
            attempt(Verdict::Error, "gone ]]>"),
            Attempt { verdict: Verdict::Passed, micros: 1, message: None },
        ],
        ..with_reason(0, Verdict::Flaky, "passed at the third attempt")
    };
    let run = journal(&folder.join("run.jsonl"), &covering(&[(&[], flaky), (&[], passed(1))]));
    let (xml, _) = expect(&vfiospec(&["report", "--junit", "-", "--flaky-failures", &run]), 0);
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    let case = document.descendants().find(|node| node.has_tag_name("testcase")).expect("a case");
    let tags: Vec<&str> = case.children().filter(|node| node.is_element()).map(|node| node.tag_name().name()).collect();
    assert_eq!(tags, ["flakyFailure", "flakyError", "system-out"]);
    let failure = case.children().find(|node| node.is_element()).expect("a child");
    assert_eq!((failure.attribute("message"), failure.attribute("type")), (Some("late"), Some("failed")));
    assert_eq!(failure.first_element_child().and_then(|node| node.text()), Some("late"));
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).expect("a suite");
    assert_eq!(suite.attribute("skipped"), Some("0"));
    let (xml, _) = expect(&vfiospec(&["report", "--junit", "-", &run]), 0);
    assert!(xml.contains("<skipped") && !xml.contains("flakyFailure"), "{xml}");
}

#[test]
fn a_case_has_properties_in_junit_if_it_is_to() {
    let folder = folder("case-properties");
    let plain = planned(1, "s", "any", "c1");
    let case = PlannedCase {
        covers: vec!["REQ-1".into(), "REQ-2".into()],
        tags: vec!["slow".into(), "nightly".into()],
        summary: "Maps & unmaps".into(),
        ..planned(0, "s", "iommufd", "c0")
    };
    let known =
        with_reason(0, Verdict::KnownIssue, "known issue: x, see https://bugs.example.org/4711 (map gave EINVAL)");
    let known = CaseResult { link: Some("https://bugs.example.org/4711".into()), ..known };
    let other = CaseResult { true_backend: Some("vfio_type1_iommu".into()), ..passed(1) };
    let run = journal(
        &folder.join("run.jsonl"),
        &[
            started(),
            Event::CasePlanned(case),
            Event::CasePlanned(plain),
            Event::CaseFinished(known),
            Event::CaseFinished(other),
            finished(false),
        ],
    );
    let (xml, _) = expect(&vfiospec(&["report", "--junit", "-", "--junit-style", "properties", &run]), 0);
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let properties: Vec<Vec<_>> = cases
        .iter()
        .map(|case| {
            let first = case.first_element_child().filter(|child| child.has_tag_name("properties"));
            let all = first.expect("its properties come first").children().filter(|node| node.is_element());
            all.map(|node| (node.attribute("name").expect("a name"), node.attribute("value").expect("a value")))
                .collect()
        })
        .collect();
    assert_eq!(
        properties[0],
        [
            ("id", "kernel.s.iommufd__edu.c0"),
            ("verdict", "known issue"),
            ("backend", "iommufd"),
            ("device", "edu"),
            ("place", "scenarios/kernel/s.yaml:12"),
            ("summary", "Maps & unmaps"),
            ("covers", "REQ-1, REQ-2"),
            ("tags", "slow, nightly"),
            ("known issue", "https://bugs.example.org/4711"),
        ]
    );
    assert_eq!(properties[1][1..4], [("verdict", "passed"), ("backend", "any"), ("answered by", "vfio_type1_iommu")]);

    let of_cases = |xml: &str| {
        let document = roxmltree::Document::parse(xml).expect("valid XML");
        document
            .descendants()
            .filter(|node| node.has_tag_name("properties"))
            .filter(|node| node.parent().is_some_and(|it| it.has_tag_name("testcase")))
            .count()
    };
    let (by_default, _) = expect(&vfiospec(&["report", "--junit", "-", &run]), 0);
    let (xunit, _) = expect(&vfiospec(&["report", "--junit", "-", "--junit-style", "xunit", &run]), 0);
    assert_eq!((of_cases(&xml), of_cases(&by_default)), (2, 0));
    assert_eq!(by_default, xunit);
    let (_, stderr) = expect(&vfiospec(&["report", "--junit", "-", "--junit-style", "pytest", &run]), 2);
    assert!(stderr.contains("[possible values: xunit, properties]"), "{stderr}");
}

#[test]
fn a_trend_shows_each_case_over_all_runs() {
    let folder = folder("trend");
    let at = |day: u64, kernel: &str, events: Vec<Event>| -> Vec<Event> {
        let place = |event| match event {
            Event::RunStarted(started) => Event::RunStarted(RunStarted {
                started_ms: started.started_ms + day * 86_400_000,
                kernel: kernel.to_owned(),
                ..started
            }),
            other => other,
        };
        events.into_iter().map(place).collect()
    };
    let good = crate::fixture::run_of_45(|_, _| {});
    let journals = [
        ("b.jsonl", at(1, "7.3.5", mixed())),
        ("a.jsonl", at(0, "7.3.4", good.clone())),
        ("c.jsonl", at(2, "7.3.5", good)),
    ];
    for (name, events) in &journals {
        journal(&folder.join(name), events);
    }
    let said = vfiospec_in(&folder, &["trend", "b.jsonl", "a.jsonl", "new=c.jsonl", "--html", "out/trend.html"]);
    let (stdout, _) = expect(&said, 0);
    assert_eq!(stdout, "45 cases in 3 runs: 7 did not end the same in each\nHTML: out/trend.html\n");
    let html = fs::read_to_string(folder.join("out/trend.html")).expect("written");
    for told in [
        "<h1>45 cases over 3 runs</h1>",
        "2025-10-09 to 2025-10-11",
        "<span class=\"new\">7.3.5</span>",
        "<b>new</b>",
        "<h2>Changed <small>7:",
        "kernel.dma_unmap on edu",
        "one_page_in_the_middle</th><td class=\"backend mono\">iommufd_compat_type1</td>",
        "<polyline points=\"3,",
    ] {
        assert!(html.contains(told), "{told}\n{html}");
    }
    for fetched in ["http://", "https://", "<script", "@import", "url("] {
        assert!(!html.contains(fetched), "{fetched}");
    }
    // The journals stay.
    let (_, stderr) = expect(&vfiospec_in(&folder, &["trend", "a.jsonl", "--html", "a.jsonl"]), 2);
    assert!(stderr.contains("--html and a journal both name a.jsonl"), "{stderr}");
    for text in hostile() {
        journal(&folder.join("hostile.jsonl"), &run_full_of(&text));
        expect(&vfiospec_in(&folder, &["trend", "hostile.jsonl", "--html", "hostile.html"]), 0);
        let html = fs::read_to_string(folder.join("hostile.html")).expect("written");
        assert!(!html.contains("<skipped") && !html.contains('\u{1b}'), "{text:.100}");
    }
}

#[test]
fn a_device_that_was_not_there_has_no_columns() {
    let folder = folder("absent");
    let on = |device: &str, number: u32| {
        let case = planned(number, "s", "iommufd", &format!("c{number}"));
        Event::CasePlanned(PlannedCase { device: device.into(), ..case })
    };
    let missing = || with_reason(0, Verdict::Skipped, "no device is called `nic`; given: edu");
    let cases = |second: CaseResult| {
        let results = [passed(0), CaseResult { case: 1, ..second }, CaseResult { case: 2, ..missing() }];
        let plan = [on("edu", 0), on("nic", 1), on("nic", 2)];
        let results = results.map(Event::CaseFinished);
        [started()].into_iter().chain(plan).chain(results).chain([finished(false)]).collect::<Vec<_>>()
    };
    let run = journal(&folder.join("run.jsonl"), &cases(missing()));
    let (html, stderr) = expect(&vfiospec(&["report", "--html", "-", &run]), 0);
    assert!(
        !html.contains("colgroup\" class=\"first\">nic<") && html.contains("colgroup\" class=\"first\">edu<"),
        "{html}"
    );
    assert!(html.contains("kernel.s.iommufd__nic.c1"), "the list of skips has it");
    assert!(!stderr.contains(" on nic") && stderr.contains("2 skipped: no device is called `nic`"), "{stderr}");
    // Something of it ran all the same.
    let run = journal(&folder.join("ran.jsonl"), &cases(passed(1)));
    let (html, stderr) = expect(&vfiospec(&["report", "--html", "-", &run]), 0);
    assert!(html.contains("colgroup\" class=\"first\">nic<") && stderr.contains(" on nic"), "{html}");
    // Nothing else is left.
    let mut alone = cases(missing());
    alone.remove(1);
    alone.retain(|event| !matches!(event, Event::CaseFinished(result) if result.case == 0));
    let run = journal(&folder.join("alone.jsonl"), &alone);
    let (_, stderr) = expect(&vfiospec(&["report", "--html", "-", &run]), 4);
    assert!(stderr.contains(" on nic"), "{stderr}");
    // Of a run that does not know its devices, all are drawn.
    let unknown = alone.into_iter().map(|event| match event {
        Event::RunStarted(started) => Event::RunStarted(RunStarted { devices: Vec::<DeviceUsed>::new(), ..started }),
        other => other,
    });
    let run = journal(&folder.join("unknown.jsonl"), &unknown.collect::<Vec<_>>());
    let (_, stderr) = expect(&vfiospec(&["report", "--html", "-", &run]), 4);
    assert!(stderr.contains(" on nic"), "{stderr}");
}

#[test]
fn the_template_of_the_trend_is_of_the_same_colours_as_the_page() {
    let colours = |file: &str| {
        let text = read(file);
        let of = |name: &str| text.split_once(&format!("--{name}: ")).map(|(_, rest)| rest[..7].to_owned());
        ["page", "ink", "p", "f", "e", "y", "k", "s"].map(of)
    };
    assert_eq!(colours("reports/trend.html"), colours("reports/report.html"));
}
