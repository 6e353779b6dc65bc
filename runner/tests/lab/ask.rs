// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab run --ask`: what the kernel answers is printed, and what is printed holds when it is pasted.

use std::{fs, path::Path};

use serde_json::json;

use crate::{
    Test, Tested,
    common::{blocks, folder, read, text, vfiospec_in},
    guests::{events, lab_run, results},
    tests,
};

pub const TESTS: &[Test] = tests![
    what_the_kernel_answered_is_pasted_and_holds,
    a_case_goes_on_where_an_answer_is_missing_and_says_what_was_not_run,
    what_harms_the_machine_is_told_though_nothing_is_judged,
];

/// Outcomes that are wrong on some backends or on all.
const WRONG: &str = r#"name: wrong
backends: all
cases:
  - name: outcomes
    regions: { buffer: { memory: anonymous, size: 16KiB }, absent: { memory: reserved, size: 4KiB } }
    steps:
      - map: { region: buffer }
        expect: EINVAL
        save: m
      - map: { region: buffer, iova: "{{ m.iova }}" }
      - unmap: { iova: "{{ m.iova }}", size: 4KiB }
        expect: { "vfio_*": { bytes: 16KiB }, "iommufd*": ok }
      - map: { region: absent }
      - map: { region: buffer, iova: "{{ m.iova + 1 }}" }
        expect: EINVAL
  - name: combinations
    matrix: { size: [4KiB, 8KiB] }
    regions: { buffer: { memory: anonymous, size: "{{ size }}" } }
    steps:
      - map: { region: buffer, size: "{{ size - 1 }}" }
  - name: at_the_end
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - finally:
          steps:
            - unmap_all:
              expect: { bytes: 8KiB }
      - map: { region: buffer, size: 1 }
      - map: { region: buffer }
  - name: short_form
    region: { memory: anonymous, size: 4KiB }
    expect:
      map: ok
      unmap: ENOENT
"#;

/// The text after its suggestions are pasted as they say, last lines first so that the numbers stay true.
fn pasted(text: &str, said: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut suggestions: Vec<(usize, Option<usize>, Vec<String>)> = Vec::new();
    let mut reading = false;
    for line in said.lines() {
        if line == "To expect what the kernel answered:" {
            reading = true;
        } else if line.is_empty() {
            reading = false;
        } else if reading && let Some(place) = line.trim().strip_prefix("# line ") {
            let (step, place) = place.split_once(": ").expect("a place");
            let written = place.rsplit_once(" in line ").map(|(_, line)| line.parse().expect("a number"));
            suggestions.push((step.parse().expect("a number"), written, Vec::new()));
        } else if reading {
            suggestions.last_mut().expect("a place stands first").2.push(line.to_owned());
        }
    }
    suggestions.sort();
    suggestions.dedup(); // the combinations of a matrix say the same
    for (step, written, block) in suggestions.into_iter().rev() {
        if let Some(written) = written {
            lines.remove(written - 1);
        }
        let at = written.map_or(step, |written| written - 1);
        lines.splice(at..at, block);
    }
    lines.join("\n") + "\n"
}

fn without_numbers_of_machine(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn what_the_kernel_answered_is_pasted_and_holds() -> Tested {
    let folder = folder("asked");
    let guide = read("scenarios/README.md");
    let (_, after) = guide.split_once("<!-- asked -->").expect("the marker");
    let ticket = blocks(after)[0].2.clone();
    let mut files = Vec::new();
    for (name, text) in [("ticket", &*ticket), ("wrong", WRONG)] {
        let file = folder.join(name).with_extension("yaml");
        fs::write(&file, text).expect("writable");
        files.push(file.to_str().expect("UTF-8").to_owned());
    }
    let asked: Vec<_> = files.iter().map(|file| lab_run_ask(file)).collect::<Result<_, _>>()?;
    for ran in &asked {
        ran.expect(0);
        for result in events(ran, "case_finished") {
            assert_eq!(result["verdict"], "skipped", "{result:#}");
            assert!(!result["answers"].as_array().expect("answers").is_empty(), "{result:#}");
        }
        assert!(ran.junit().contains("asked what the kernel answers"), "{}", ran.junit());
    }
    // The guide shows what the tool says.
    let (_, below) = guide.split_once("<!-- picture: ask -->\n```text\n").expect("the picture");
    let shown = below.split_once("```").expect("it ends").0;
    let told = asked[0].stdout().replace(&files[0], "scenarios/tickets/ticket_4711.yaml");
    let told = told.replace("asked.ticket_4711", "tickets.ticket_4711");
    let (shown, told) = (without_numbers_of_machine(shown), without_numbers_of_machine(&told));
    assert!(told.contains(&shown), "shown:\n{shown}\ntold:\n{told}");

    let mut texts = Vec::new();
    for ((file, text), ran) in files.iter().zip([&*ticket, WRONG]).zip(&asked) {
        let text = pasted(text, &ran.stdout());
        fs::write(file, &text).expect("writable");
        texts.push(text);
    }
    let ran = lab_run("asked-green", &[folder.to_str().expect("UTF-8")])?;
    assert_eq!(ran.code(), Some(0), "{}\n{}\n{}", texts.join("\n"), ran.stdout(), ran.stderr());
    let finished = events(&ran, "case_finished");
    assert_eq!(finished.len(), 6 * 5, "{}", ran.stdout());
    assert!(finished.iter().all(|result| result["verdict"] == "passed"), "{}", ran.stdout());
    Ok(())
}

fn lab_run_ask(file: &str) -> Result<crate::guests::Ran, crate::NotTested> {
    let name = Path::new(file).file_stem().expect("a file").to_str().expect("UTF-8");
    lab_run(&format!("asked-{name}"), &["--ask", file])
}

const LEFT: &str = r#"name: left
backends: [iommufd]
cases:
  - name: goes_on
    timeout: 20s
    regions: { buffer: { memory: anonymous, size: 8KiB } }
    steps:
      - region_info: { region: 99 }
        save: info
      - check: "{{ info.size == 4096 }}"
      - mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 10ms }
      - check: "{{ page_size == 1 }}"
      - map: { region: buffer, iova: 0x100000 }
      - gone: { iova: 0x100000, size: 4KiB }
      - repeat: { times: 3, steps: [{ map: { region: buffer, iova: 0x200000 } }] }
      - parallel: { times: 2, steps: [{ unmap: { iova: 0x300000, size: 4KiB } }] }
      - compare: { region: buffer, value: 1 }
  - name: is_as_written
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - map: { region: buffer, access: none }
        expect: EINVAL
      - map: { region: buffer }
        expect: either
  - name: known
    known_issue: { reason: nobody has fixed it, until: 2199-12-31 }
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps: [{ map: { region: buffer }, expect: EINVAL }]
  - name: calls
    steps:
      - call: never_ready
      - call: is_ready
  - name: has_no_input_at_all
    regions: { buffer: { memory: anonymous, size: 4KiB } }
    steps:
      - map: { region: buffer, offset: 4KiB, size: 4KiB }
      - map: { region: buffer }
"#;

const LEFT_PACK: &str = r#"name: left
summary: A device that is ready, and one that never is.
vendor: nobody
version: 1.0.0
devices: { card: { ids: ["1234:11e8"] } }
procedures:
  is_ready:
    summary: The card is ready.
    steps: [{ mmio_poll: { bar: 0, offset: 0x0, is: 0x010000ed } }]
  never_ready:
    summary: The card is never ready.
    steps:
      - mmio_read: { bar: 0, offset: 0x0 }
      - mmio_poll: { bar: 0, offset: 0x0, is: 0x1234, timeout: 10ms }
"#;

fn a_case_goes_on_where_an_answer_is_missing_and_says_what_was_not_run() -> Tested {
    let pack = folder("asked-left");
    fs::write(pack.join("pack.yaml"), LEFT_PACK).expect("writable");
    fs::write(pack.join("left.yaml"), LEFT).expect("writable");
    let ran = lab_run("asked-left-run", &["--ask", pack.to_str().expect("UTF-8")])?;
    // The last case lacks what no step was to make: that is no answer of the kernel.
    ran.expect(3);
    let results = results(&ran);
    let answers = |case: &str| -> Vec<_> {
        let answers = results[case]["answers"].as_array().expect("answers").iter();
        answers.map(|answer| (answer["answer"].clone(), answer["times"].as_u64().unwrap())).collect()
    };
    assert_eq!(results["goes_on"]["verdict"], "skipped", "{:#}", results["goes_on"]);
    let found = answers("goes_on");
    let expected = [
        json!({ "fails": "EINVAL" }),
        json!({ "not_run": "`info` has no `size`: the step in line 8 failed with EINVAL" }),
        json!({ "fails": "ETIMEDOUT" }),
        json!({ "differs": "the check is not true: page_size is 0x1000" }),
        json!("ok"),
        found[5].0.clone(),
        json!("ok"),
        json!({ "fails": "EEXIST" }),
        json!({ "fails": "ENOENT" }),
        found[9].0.clone(),
    ];
    assert_eq!(found.iter().map(|(answer, _)| answer.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(found.iter().map(|(_, times)| *times).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 2, 2, 1]);
    assert!(found[5].0["differs"].as_str().unwrap().contains("still has an entry"), "{:?}", found[5]);
    assert!(found[9].0["differs"].as_str().unwrap().contains("differs at offset 0x0"), "{:?}", found[9]);
    assert!(results["is_as_written"]["answers"].as_array().unwrap().iter().all(|answer| answer["expected"] == true));
    assert_eq!(results["known"]["verdict"], "skipped", "an issue that does not show is no news: {}", results["known"]);
    let calls = answers("calls");
    let (never, ready) = (calls[0].0["differs"].as_str().expect("a reason"), &calls[1].0);
    assert!(never.starts_with("mmio_poll: the register at 0x0") && never.contains("pack.yaml:14:"), "{never}");
    assert_eq!((ready, calls.len()), (&json!("ok"), 2), "the steps of procedures are not listed");
    let lacking = &results["has_no_input_at_all"];
    assert_eq!(lacking["verdict"], "error", "{lacking:#}");
    assert_eq!(answers("has_no_input_at_all")[1].0, json!("ok"), "it went on all the same");
    // Every report of the journal says the same again.
    let again = vfiospec_in(&pack, &["report", ran.journal.to_str().expect("UTF-8")]);
    let table =
        |text: &str| text.split_once("left.left on edu").map(|(_, table)| table.lines().take(20).collect::<String>());
    assert_eq!(table(&text(&again.stdout)), table(&ran.stdout()), "{}", ran.stdout());
    Ok(())
}

fn what_harms_the_machine_is_told_though_nothing_is_judged() -> Tested {
    let file = folder("asked-harm").join("harm.yaml");
    let harm = "name: harm\nbackends: [iommufd_compat_type1]\ncases:\n  - name: warns\n    fixture: fresh\n    \
                regions: { buffer: { memory: anonymous, size: 4KiB } }\n    \
                steps: [{ map: { region: buffer, access: none } }, { map: { region: buffer } }]\n";
    fs::write(&file, harm).expect("writable");
    let ran = lab_run("asked-harm-run", &["--ask", file.to_str().expect("UTF-8")])?;
    ran.expect(1);
    let result = &results(&ran)["warns"];
    assert_eq!(result["verdict"], "failed", "{result:#}");
    assert!(result["message"].as_str().unwrap().starts_with("the kernel logged: WARNING: "), "{result:#}");
    assert_eq!(result["answers"][1]["answer"], "ok", "and the case went on: {result:#}");
    Ok(())
}
