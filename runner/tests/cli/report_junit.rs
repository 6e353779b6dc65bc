// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JUnit report is read back by parsers that did not write it, and held against what Jenkins' plugins accept.

use std::sync::Arc;

use proptest::prelude::*;
use roxmltree::{Document, Node};
use vfiospec::{
    event::{CaseResult, Event, PlannedCase},
    model::Verdict,
    report::{FORMATS, Run, Style},
};

use crate::{
    common::runs::{hostile, run_full_of},
    fixture,
};

fn xml(events: impl IntoIterator<Item = Event>) -> String {
    report("junit", events)
}

/// The report of this option.
fn report(option: &str, events: impl IntoIterator<Item = Event>) -> String {
    report_in(&Style::default(), option, events)
}

fn report_in(style: &Style, option: &str, events: impl IntoIterator<Item = Event>) -> String {
    let mut text = Vec::new();
    let format = FORMATS.iter().find(|format| format.option == option).expect("a format");
    (format.write)(&Arc::new(Run::from_events(events)), style, &mut text).expect("memory takes all");
    String::from_utf8(text).expect("UTF-8")
}

/// The tree, after it was held against the rules of junit-10.xsd.
fn parse(xml: &str) -> Document<'_> {
    let document = Document::parse(xml).unwrap_or_else(|e| panic!("{e}\n{xml}"));
    document.root_element().descendants().filter(Node::is_element).for_each(hold_against_schema);
    document
}

/// What junit-10.xsd allows: parents, attributes that must and may be there, and the pattern of times.
fn hold_against_schema(node: Node<'_, '_>) {
    let tag = node.tag_name().name();
    let (parents, required, optional): (&[&str], &[&str], &[&str]) = match tag {
        "testsuites" => (&[""], &[], &["name", "time", "tests", "failures", "errors"]),
        "testsuite" => (
            &["testsuites", "testsuite"],
            &["name", "tests", "failures", "errors"],
            &["group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version"],
        ),
        "properties" => (&["testsuite"], &[], &[]),
        "property" => (&["properties"], &["name", "value"], &[]),
        "testcase" => (&["testsuite"], &["name"], &["time", "classname", "group"]),
        "failure" | "error" | "skipped" => (&["testcase"], &[], &["type", "message"]),
        "system-out" | "system-err" => (&["testcase", "testsuite"], &[], &[]),
        other => panic!("<{other}> is not in the schema"),
    };
    let parent = node.parent().map_or("", |parent| parent.tag_name().name());
    assert!(parents.contains(&parent), "<{tag}> in <{parent}>");
    for name in required {
        assert!(node.has_attribute(*name), "<{tag}> without {name}");
    }
    for attribute in node.attributes() {
        let name = attribute.name();
        assert!(required.contains(&name) || optional.contains(&name), "<{tag} {name}=…>");
    }
    if let Some(time) = node.attribute("time") {
        let (whole, decimals) = time.split_once('.').unwrap_or((time, ""));
        let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        assert!(digits(whole) && digits(decimals) && decimals.len() <= 3, "<{tag} time={time:?}>");
    }
}

fn cases<'a>(document: &'a Document<'_>) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.has_tag_name("testcase")).collect()
}

fn child<'a>(node: Node<'a, 'a>, tag: &str) -> Node<'a, 'a> {
    node.children().find(|child| child.has_tag_name(tag)).unwrap_or_else(|| panic!("no <{tag}>"))
}

fn verdict(case: Node<'_, '_>) -> Verdict {
    let has = |tag| case.children().any(|child| child.has_tag_name(tag));
    match (has("skipped"), has("failure"), has("error")) {
        (false, false, false) => Verdict::Passed,
        (true, false, false) => Verdict::Skipped,
        (false, true, false) => Verdict::Failed,
        (false, false, true) => Verdict::Error,
        several => panic!("several verdicts (skipped, failure, error): {several:?}"),
    }
}

#[test]
fn jenkins_finds_package_class_and_case() {
    let xml = xml(fixture::mixed());
    let document = parse(&xml);
    let suites: Vec<_> = document.root_element().children().filter(Node::is_element).collect();
    assert_eq!(suites.len(), 15, "3 scenarios on 5 backends and 1 device");
    let suite = suites[0];
    assert_eq!(suite.attribute("name"), Some("kernel.dma_mapping.vfio_type1_iommu__edu"));
    assert_eq!(suite.attribute("package"), Some(""));
    assert_eq!(suite.attribute("hostname"), Some("lab"));
    assert_eq!(suite.attribute("timestamp"), Some("2025-10-09T08:53:20Z"));
    assert_eq!(suite.attribute("time"), Some("0.546"));
    let counts = ["tests", "skipped", "failures", "errors"].map(|count| suite.attribute(count));
    assert_eq!(counts, [Some("3"), Some("1"), Some("0"), Some("0")]);
    assert_eq!(
        child(suite, "system-out").text(),
        Some("vfiospec 0.1.0\nhost lab\nkernel 7.3.4\niommu intel\ndevice edu is 1234:11e8 at 0000:00:03.0\n")
    );
    let properties = child(suite, "properties").children().filter(Node::is_element);
    let properties: Vec<_> = properties.map(|it| (it.attribute("name"), it.attribute("value"))).collect();
    assert_eq!(properties[2..4], [(Some("kernel"), Some("7.3.4")), (Some("iommu"), Some("intel"))]);
    assert_eq!(properties[4], (Some("device edu"), Some("is 1234:11e8 at 0000:00:03.0")));
    let case = cases(&document)[0];
    assert_eq!(case.attribute("classname"), suite.attribute("name"));
    assert_eq!(case.attribute("name"), Some("map_unmap[page=4KiB]"));
    assert_eq!(case.attribute("time"), Some("0.182"));
}

#[test]
fn every_verdict_carries_its_reason() {
    let xml = xml(fixture::mixed());
    let document = parse(&xml);
    let case = |class: &str, name: &str| {
        let is_it = |case: &Node<'_, '_>| {
            case.attribute("name") == Some(name) && case.attribute("classname").is_some_and(|c| c.ends_with(class))
        };
        cases(&document).into_iter().find(is_it).expect("a case")
    };

    let failure = child(case(".iommufd_compat_type1__edu", "one_page_in_the_middle"), "failure");
    assert_eq!(failure.attribute("message"), Some("unmap gave ENOENT, expected 4096 bytes"));
    let text = failure.text().expect("text");
    for part in [
        "error: unmap gave ENOENT, expected 4096 bytes\n",
        "\n\ncalls:\nVFIO_IOMMU_MAP_DMA(",
        "\n\nkernel log:\nWARNING: CPU: 1",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }

    let error = child(case(".iommufd__edu", "size_zero"), "error");
    assert_eq!(error.attribute("message"), Some("the device vanished: 0000:00:03.0 is no longer in sysfs"));

    let skipped = child(case(".iommufd__edu", "map_unmap[page=1GiB]"), "skipped");
    assert!(skipped.attribute("message").is_some_and(|m| m.starts_with("needs 1 free hugetlb page of 1 GiB")));

    let output = |class| child(case(class, "map_unmap[page=2MiB]"), "system-out").text().unwrap_or_default().to_owned();
    assert_eq!(output(".iommufd__edu"), "pagesize not checked: no page-table dump for this IOMMU\n");
    assert_eq!(output(".vfio_type1_iommu__edu"), "pagesize not checked by choice: skip_pagesize of this backend\n");
}

#[test]
fn a_pass_says_briefly_what_it_covers() {
    let covers = vec!["vfio_dma_mapping_test.dma_map_unmap".to_owned(); 200];
    let planned = PlannedCase { covers, ..fixture::planned(0, "s", "iommufd", "c") };
    let xml = xml([fixture::started(), Event::CasePlanned(planned), Event::CaseFinished(fixture::passed(0))]);
    let document = parse(&xml);
    let output = child(cases(&document)[0], "system-out").text().expect("text");
    assert!(output.starts_with("covers vfio_dma_mapping_test.dma_map_unmap, vfio_"), "{output}");
    assert!(output.contains(" bytes left out …]") && output.chars().count() <= 1000, "{output}");
}

#[test]
fn names_become_identifiers_that_keep_their_package() {
    let planned = PlannedCase { device: "edu.0:1".into(), ..fixture::planned(0, "a.b", "iommufd", "c.d[x=1]") };
    let xml = xml([fixture::started(), Event::CasePlanned(planned)]);
    let document = parse(&xml);
    assert_eq!(cases(&document)[0].attribute("classname"), Some("kernel.a_b.iommufd__edu_0_1"));
    assert_eq!(cases(&document)[0].attribute("name"), Some("c.d[x=1]"));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    assert_eq!(xml(fixture::mixed()), xml(fixture::mixed()));
}

#[test]
fn all_times_have_at_most_3_decimals_alone_and_in_sum() {
    // 1118 ms and its like are what a float prints with 16 decimals; `parse` looks at every time and every sum.
    for start in [0, 1_900, 3_900, 100_000] {
        let micros = |n: u32| (start + u64::from(n)) * 1000;
        let planned = (0..2_000).map(|n| fixture::planned(n, &format!("s{}", n / 2), "iommufd", &format!("c{n}")));
        let results = (0..2_000).map(|n| CaseResult { micros: micros(n), ..fixture::passed(n) });
        let cases_events = planned.map(Event::CasePlanned).chain(results.map(Event::CaseFinished));
        let xml = xml([fixture::started()].into_iter().chain(cases_events));
        for (n, case) in (0..).zip(cases(&parse(&xml))) {
            let time: f64 = case.attribute("time").expect("a time").parse().expect("a number");
            let off = (time - micros(n) as f64 / 1e6).abs();
            assert!(off < 0.004, "case {n} is off by {off} s");
        }
    }
    let absurd = CaseResult { micros: u64::MAX, ..fixture::passed(0) };
    parse(&xml([fixture::started(), Event::CaseFinished(absurd)]));
}

#[test]
fn nothing_that_is_captured_can_change_a_verdict_or_break_the_file() {
    for text in hostile() {
        let xml = xml(run_full_of(&text));
        let document = parse(&xml);
        let verdicts: Vec<_> = cases(&document).into_iter().map(verdict).collect();
        assert_eq!(verdicts, FOUR, "{text:.200}");
        assert_eq!(verdicts_again(&xml), FOUR, "{text:.200}");
        let mut captured = document.descendants().filter(Node::is_text).filter_map(|node| node.text());
        assert!(!captured.any(|text| text.contains("[[ATTACHMENT|")));
    }
}

#[test]
fn what_is_escaped_is_escaped_once() {
    let text = "a < b && c > \"d\" 'e' ]]> &amp;";
    let xml = xml(run_full_of(text));
    let document = parse(&xml);
    let failed = cases(&document)[1];
    assert_eq!(failed.attribute("name"), Some(text));
    let lacks = format!("this kernel lacks: {text} (f00ba4c0ffee), in 7.4 and later");
    assert_eq!(child(failed, "failure").attribute("message"), Some(format!("{text}; {lacks}").as_str()));
    let inside: String = child(failed, "failure").children().filter_map(|node| node.text()).collect();
    assert!(inside.starts_with(&format!("{text}\n")), "{inside}");
}

#[test]
fn long_output_is_cut_in_the_middle_part_by_part() {
    let result = CaseResult {
        detail: Some("the detail".into()),
        trace: vec!["x".repeat(200_000)],
        kernel_log: (0..20_000).map(|n| format!("line {n}")).collect(),
        ..fixture::with_reason(0, Verdict::Failed, "the reason")
    };
    let planned = Event::CasePlanned(fixture::planned(0, "s", "iommufd", "c"));
    let xml = xml([fixture::started(), planned, Event::CaseFinished(result)]);
    let document = parse(&xml);
    let text = child(cases(&document)[0], "failure").text().expect("text");
    assert!(text.starts_with("the detail\n"));
    assert!(text.contains("\nline 0\nline 1\n") && text.ends_with("\nline 19999"));
    assert_eq!(text.matches(" bytes left out …]").count(), 2);
    assert!(text.chars().count() < 100_000, "Jenkins keeps no more");
}

/// The verdicts, by a parser that shares no code with the first.
fn verdicts_again(xml: &str) -> Vec<Verdict> {
    use quick_xml::events::Event as Xml;
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut verdicts = Vec::new();
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{error}\n{xml}"));
        if let Xml::Start(tag) | Xml::Empty(tag) = &event {
            for attribute in tag.attributes() {
                attribute.unwrap_or_else(|error| panic!("{error}\n{xml}"));
            }
            match tag.name().as_ref() {
                b"testcase" => verdicts.push(Verdict::Passed),
                b"failure" => *verdicts.last_mut().expect("in a case") = Verdict::Failed,
                b"error" => *verdicts.last_mut().expect("in a case") = Verdict::Error,
                b"skipped" => *verdicts.last_mut().expect("in a case") = Verdict::Skipped,
                _ => {}
            }
        }
        match event {
            Xml::Start(_) => depth += 1,
            Xml::End(_) => depth -= 1,
            Xml::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "it ends inside an element:\n{xml}");
    verdicts
}

/// Bytes as a kernel, a device or a stranger may give them: anything at all, and pieces of what the formats are made of.
fn captured() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "]]>",
        "<![CDATA[",
        "<skipped/>",
        "</failure>",
        "</testcase>",
        "&#0;",
        "&amp;",
        "\"/>",
        "-->",
        "\r\n",
        "\u{1b}[2J",
        "\0",
        "\u{fffe}",
        "\u{2028}",
        "[[ATTACHMENT|",
        "\nok 1\n",
        "\n1..0\n",
        "Bail out!",
        "  ...\n",
        " # SKIP ",
        "\\#",
        "</script>",
        "<img src=x onerror=alert(1)>",
        "{{ 7*7 }}",
        "{% raw %}",
    ]);
    let bytes =
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let anything = prop_oneof![pieces.prop_map(str::to_owned), bytes, any::<String>()];
    prop::collection::vec(anything, 0..6).prop_map(|pieces| pieces.concat())
}

const FOUR: [Verdict; 4] = [Verdict::Passed, Verdict::Failed, Verdict::Error, Verdict::Skipped];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_captured_bytes_leave_the_xml_whole_and_the_verdicts_as_they_were(text in captured()) {
        let xml = xml(run_full_of(&text));
        let document = parse(&xml);
        prop_assert_eq!(cases(&document).into_iter().map(verdict).collect::<Vec<_>>(), FOUR);
        prop_assert_eq!(verdicts_again(&xml), FOUR);
    }

    #[test]
    fn any_captured_bytes_leave_the_properties_of_cases_whole(text in captured()) {
        let xml = report_in(&Style { case_properties: true, ..Style::default() }, "junit", run_full_of(&text));
        let document = Document::parse(&xml).unwrap_or_else(|e| panic!("{e}\n{xml}"));
        prop_assert_eq!(cases(&document).into_iter().map(verdict).collect::<Vec<_>>(), FOUR);
        prop_assert_eq!(verdicts_again(&xml), FOUR);
        for case in cases(&document) {
            let names: Vec<_> = child(case, "properties").children().filter_map(|node| node.attribute("name")).collect();
            let mut unlike = names.clone();
            unlike.sort();
            unlike.dedup();
            prop_assert_eq!(unlike.len(), names.len(), "{:?}", names);
        }
    }

    #[test]
    fn any_captured_bytes_leave_the_other_reports_whole(text in captured()) {
        let report = |option| report(option, run_full_of(&text));
        let tap = report("tap");
        let points: Vec<_> = tap.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).collect();
        let is_skip = |line: &str| line.contains(" # SKIP ");
        prop_assert_eq!(points.len(), 4, "{}", tap);
        prop_assert_eq!(points.iter().map(|line| line.starts_with("ok")).collect::<Vec<_>>(), [true, false, false, true]);
        prop_assert_eq!(points.iter().map(|line| is_skip(line)).collect::<Vec<_>>(), [false, false, false, true], "{}", tap);
        prop_assert_eq!(tap.lines().filter(|line| line.starts_with("1..") || line.starts_with("Bail")).count(), 2, "{}", tap);

        let json: serde_json::Value = serde_json::from_str(&report("json")).expect("JSON");
        prop_assert_eq!(&json["cases"][1]["result"]["message"], &text);

        let page = report("html");
        prop_assert_eq!(page.matches("<script").count(), 1);
        prop_assert_eq!(page.matches("</script").count(), 1);
        prop_assert_eq!(page.matches("<article ").count(), 2);
        prop_assert!(!page.contains("<img") && !page.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }
}
