// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was asked (`--ask`), as the terminal, the reports and `diff` show it. The runs are made up.

use std::fs;

use vfiospec::{
    event::{ASKED, Answer, Answered, CaseResult, Event},
    model::Verdict,
};

use crate::{
    common::{expect, folder, runs::journal, vfiospec},
    fixture::{BACKENDS, finished, planned, started, with_reason},
};

fn answer(line: u32, step: &str, answer: Answered, expected: bool) -> Answer {
    let key = (!step.starts_with("check")).then(|| "expect".to_owned());
    let at = format!("scenarios/kernel/ticket.yaml:{line}:9");
    Answer { at, step: step.to_owned(), answer, read: None, times: 1, expected, key, line: None }
}

fn fails(errno: &str) -> Answered {
    Answered::Fails(errno.to_owned())
}

/// A run of one case, which each backend answers as `of` says.
fn asked(of: impl Fn(&str) -> Vec<Answer>) -> Vec<Event> {
    let mut events = vec![started()];
    let cases = || (0..).zip(BACKENDS);
    events.extend(cases().map(|(case, backend)| Event::CasePlanned(planned(case, "ticket", backend, "middle_page"))));
    events.extend(cases().map(|(case, backend)| {
        let skipped = with_reason(case, Verdict::Skipped, ASKED);
        Event::CaseFinished(CaseResult { answers: of(backend), ..skipped })
    }));
    events.push(finished(false));
    events
}

fn middle_page(backend: &str) -> Vec<Answer> {
    let unmap = match backend {
        "vfio_type1_iommu" => Answered::Bytes(0),
        "vfio_type1v2_iommu" => fails("EINVAL"),
        "iommufd_compat_type1" => Answered::Bytes(4096),
        _ => fails("ENOENT"),
    };
    let is_so = unmap == Answered::Bytes(4096);
    let check = if is_so { Answered::Ok } else { Answered::Differs("the check is not true".to_owned()) };
    vec![
        answer(8, "map: { region: buffer }", Answered::Ok, true),
        Answer { line: Some(11), ..answer(10, "unmap: { iova: {{ m.iova + 4 * KiB }}, size: 4KiB }", unmap, is_so) },
        answer(12, "check: {{ gone.bytes == 4096 }}", check, is_so),
        answer(13, "map: { region: other }", fails("EFAULT"), false),
        answer(
            14,
            "ioctl: { request: VFIO_CHECK_EXTENSION, on: iommu }",
            Answered::NotRun("no file".to_owned()),
            false,
        ),
        match backend.starts_with("vfio_") {
            true => answer(15, "map: { region: bar }", Answered::Ok, true),
            false => answer(15, "map: { region: bar }", fails("EFAULT"), false),
        },
    ]
}

fn shown(name: &str, events: &[Event], code: i32) -> String {
    let journal = journal(&folder(name).join("a.jsonl"), events);
    expect(&vfiospec(&["report", &journal]), code).0
}

#[test]
fn a_table_shows_steps_and_backends_and_below_it_what_to_paste() {
    let text = shown("ask-table", &asked(middle_page), 0);
    let (_, table) = text.split_once("--ask)\n\n").expect("behind the reason");
    let (table, closing) = table.split_once("\n5 cases: ").expect("before the end");
    assert_eq!(
        table,
        r#"kernel.ticket on edu: middle_page
scenarios/kernel/ticket.yaml

      ┌ vfio_type1_iommu
      │         ┌ vfio_type1v2_iommu
      │         │         ┌ iommufd_compat_type1
      │         │         │         ┌ iommufd_compat_type1v2, iommufd
line  │         │         │         │
   8  ok        ok        ok        ok        map: { region: buffer }
  10  0 bytes*  EINVAL*   4KiB      ENOENT*   unmap: { iova: {{ m.iova + 4 * ...
  12  not so*   not so*   ok        not so*   check: {{ gone.bytes == 4096 }}
  13  EFAULT*   EFAULT*   EFAULT*   EFAULT*   map: { region: other }
  14  not run*  not run*  not run*  not run*  ioctl: { request: VFIO_CHECK_EX...
  15  ok        ok        EFAULT*   EFAULT*   map: { region: bar }

* not what the scenario expects
line 12 on vfio_type1_iommu, vfio_type1v2_iommu, iommufd_compat_type1v2,
  iommufd: not so: the check is not true
line 14: not run: no file

To expect what the kernel answered:
        # line 10: in place of `expect` in line 11
        expect:
          vfio_type1_iommu: { bytes: 0 }
          vfio_type1v2_iommu: EINVAL
          iommufd_compat_type1: { bytes: 4KiB }
          iommufd_compat_type1v2: ENOENT
          iommufd: ENOENT
        # line 13: beside `map`
        expect: EFAULT
        # line 15: beside `map`
        expect: { "vfio_*": ok, "iommufd*": EFAULT }
"#,
        "{text}"
    );
    assert!(closing.starts_with("5 skipped in "), "{text}");
    // The closing lines name the journal, whose path is as long as the folder of the checkout.
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn what_a_step_read_is_shown_where_it_differs_by_backend() {
    let events = asked(|backend| {
        let read = if backend.starts_with("vfio_") { "{dma_avail: 0xffff}" } else { "{dma_avail: None}" };
        vec![Answer { read: Some(read.to_owned()), ..answer(8, "info", Answered::Ok, true) }]
    });
    let text = shown("ask-reads", &events, 0);
    let (_, read) = text.split_once("\nWhat the steps read:\n").unwrap_or_else(|| panic!("{text}"));
    let (read, _) = read.split_once("\n5 cases: ").expect("before the end");
    assert_eq!(
        read,
        "line 8 on vfio_type1_iommu, vfio_type1v2_iommu: {dma_avail: 0xffff}\n\
         line 8 on iommufd_compat_type1, iommufd_compat_type1v2, iommufd: {dma_avail:\n  None}\n"
    );
}

#[test]
fn backends_that_agree_are_one_column_and_what_is_as_expected_is_not_to_be_pasted() {
    let text = shown("ask-all", &asked(|_| vec![answer(8, "map: { region: buffer }", Answered::Ok, true)]), 0);
    assert!(text.contains("\n      ┌ all\nline  │\n   8  ok  map: { region: buffer }\n\n5 cases"), "{text}");
    assert!(!text.contains("To expect") && !text.contains('*'), "{text}");
}

#[test]
fn rounds_with_different_answers_and_the_short_form_say_what_they_can() {
    let rounds = |ok: u32| {
        let first = Answer { times: ok, ..answer(8, "map: { region: buffer }", fails("EBUSY"), false) };
        let second = Answer { times: 2, ..answer(8, "map: { region: buffer }", fails("EEXIST"), false) };
        let short = |key: &str, step: &str, errno: &str| Answer {
            key: Some(key.to_owned()),
            ..answer(20, step, fails(errno), false)
        };
        let mixed = Answer { times: 7, ..answer(9, "reset", Answered::Ok, true) };
        let other = answer(9, "reset", fails("EINVAL"), false);
        let map = short("map", "map: { region: region }", "EFAULT");
        vec![first, second, mixed, other, map, short("unmap", "unmap: { size: 4KiB }", "ENOENT")]
    };
    let text = shown("ask-rounds", &asked(|_| rounds(3)), 0);
    for part in [
        "   8  EBUSY x3, EEXIST x2*  map: ",
        "   9  ok x7, EINVAL x1*     reset\n",
        "        # line 8: beside `map`\n        expect: [EBUSY, EEXIST]\n",
        "      # line 20: in `expect`\n      map: EFAULT\n",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
    assert!(!text.contains("# line 9:"), "no outcome is right in all rounds: {text}");
    assert!(!text.contains("unmap: ENOENT"), "nothing is unmapped where nothing can be mapped: {text}");
}

#[test]
fn answers_are_in_the_json_report_and_diff_compares_them() {
    let folder = folder("ask-diff");
    let old = journal(&folder.join("old.jsonl"), &asked(middle_page));
    let new = asked(|backend| {
        let mut answers = middle_page(backend);
        if backend == "iommufd" {
            answers[1].answer = fails("EINVAL");
        }
        answers
    });
    let new = journal(&folder.join("new.jsonl"), &new);
    let (text, _) = expect(&vfiospec(&["diff", &old, &new]), 0);
    for part in [
        "\n1 answered otherwise\n",
        "line 10, unmap: { iova: {{ m.iova + 4 * KiB }}, size: 4KiB }: ENOENT, then\n        EINVAL\n",
        "5 cases in both: 1 answered otherwise\n",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
    let (same, _) = expect(&vfiospec(&["diff", &old, &old]), 0);
    assert!(same.contains("no difference"), "{same}");
    let json = folder.join("a.json");
    expect(&vfiospec(&["report", &old, "--json", json.to_str().expect("UTF-8")]), 0);
    let json = fs::read_to_string(json).expect("written");
    assert!(json.contains(r#""answer":{"bytes":4096}"#) && json.contains(r#""answer":{"fails":"ENOENT"}"#), "{json}");
}

#[test]
fn what_harms_the_machine_outranks_the_answers() {
    let mut events = asked(middle_page);
    for event in &mut events {
        if let Event::CaseFinished(result) = event
            && result.case == 4
        {
            (result.verdict, result.message) = (Verdict::Failed, Some("the kernel logged: WARNING".to_owned()));
        }
    }
    let text = shown("ask-harm", &events, 1);
    assert!(
        text.contains("the kernel logged: WARNING") && text.contains("iommufd_compat_type1v2, iommufd\n"),
        "{text}"
    );
}
