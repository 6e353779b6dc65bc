// SPDX-License-Identifier: MIT OR Apache-2.0
//! `vfiospec report` and `vfiospec diff` as their users meet them: journals in, files and exit codes out.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use vfiospec::{
    event::{Event, PlannedCase, RunStarted},
    model::{Commit, Fix, Release, Verdict},
};

use crate::{
    common::{
        self, command, expect, folder, read,
        runs::{everything, journal},
        vfiospec,
    },
    fixture::{self, finished, mixed, passed, planned, started, with_reason},
};

/// Each format with the file that the test asks for.
fn files(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let file = |option, name| (option, folder.join(name));
    vec![file("--junit", "a.xml"), file("--html", "a.html"), file("--tap", "a.tap"), file("--json", "a.json")]
}

#[test]
fn a_journal_gives_every_report_again_and_always_the_same() {
    let folder = folder("report-all");
    let journal = journal(&folder.join("a.jsonl"), &everything());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut arguments = vec!["report".to_owned(), journal.clone()];
        for (option, path) in files(&folder) {
            arguments.extend([option.to_owned(), path.display().to_string()]);
        }
        let (stdout, stderr) = expect(&vfiospec(&arguments.iter().map(String::as_str).collect::<Vec<_>>()), 1);
        assert_eq!(stderr, "");
        assert!(
            stdout.contains("36 passed, 1 flaky, 1 failed, 1 without verdict, 5 skipped, 1 as a known issue"),
            "{stdout}"
        );
        assert!(stdout.ends_with(&format!("journal: {journal}\n")), "{stdout}");
        let files: Vec<Vec<u8>> = files(&folder).iter().map(|(_, path)| fs::read(path).expect("written")).collect();
        assert!(files.iter().all(|bytes| bytes.len() > 1_000));
        seen.push((stdout, files));
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_run_that_ended_early_is_no_success_for_prove_either() {
    let folder = folder("report-tap-early");
    let events = [started(), Event::CasePlanned(planned(0, "s", "iommufd", "c"))];
    let journal = journal(&folder.join("a.jsonl"), &events);
    let (stdout, stderr) = expect(&vfiospec(&["report", &journal, "--tap", "-"]), 3);
    assert!(stdout.ends_with(
        "ok 1 - kernel.s.iommufd__edu.c # SKIP not run: the run ended early\nBail out! the run ended early\n"
    ));
    assert!(stderr.contains("1 skipped"), "the summary stands beside what another program reads:\n{stderr}");
}

#[test]
fn json_is_what_its_schema_says() {
    let folder = folder("report-json");
    let schema = vfiospec::report::schema();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/report.schema.json");
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    snapbox::assert_data_eq!(text, snapbox::Data::read_from(&path, Some(snapbox::data::DataFormat::Text)).raw());
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (name, events, code) in [("all", everything(), 1), ("begun", vec![started()], 3)] {
        let journal = journal(&folder.join(format!("{name}.jsonl")), &events);
        let (stdout, _) = expect(&vfiospec(&["report", &journal, "--json", "-"]), code);
        let json: Value = serde_json::from_str(&stdout).expect("JSON");
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0]);
        assert_eq!(json["exit_code"], code);
        assert_eq!(json["counts"]["cases"], json["cases"].as_array().expect("cases").len());
    }
}

#[test]
fn a_page_holds_all_of_it_and_fetches_nothing() {
    let folder = folder("report-html");
    let journal = journal(&folder.join("a.jsonl"), &everything());
    let (page, _) = expect(&vfiospec(&["report", &journal, "--html", "-"]), 1);
    for part in [
        "<h1>1 failed, 1 without verdict, 1 flaky</h1>",
        "unmap gave ENOENT, expected 4096 bytes",
        "dma_unmap.yaml:23:33",
        "VFIO_IOMMU_UNMAP_DMA(iova=0x1000, size=0x1000) = ENOENT",
        "WARNING: CPU: 1 PID: 77",
        "needs 1 free hugetlb page of 1 GiB",
        "no page-table dump for this IOMMU",
        "attempt 1, 1 ms: timed out",
    ] {
        assert!(page.contains(&part.replace('/', "&#x2f;").replace('=', "&#x3d;")) || page.contains(part), "{part}");
    }
    assert_eq!(
        page.matches("role=\"img\"").count() + page.matches("<a class=\"v ").count() - 4,
        45,
        "a square for each case"
    );
    for fetched in ["src=", "url(", "@import", "href=\"http", "<iframe", "fetch("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(page.contains(
        "<span class=\"caret\">   |                                 ^^^^^^^^^^^^^^^ expected 4096 bytes</span>"
    ));
    assert_eq!(page.matches("class=\"bad\"").count(), 1, "the call that failed");
    let told = page.matches("<article ").count();
    assert_eq!(told, 4, "failed, without verdict, flaky, known issue");
}

#[test]
fn a_journal_that_does_not_say_which_lines_are_carets_or_failed_calls_has_a_page_without_them() {
    let folder = folder("report-html-before");
    let path = journal(&folder.join("a.jsonl"), &mixed());
    let text = fs::read_to_string(&path).unwrap();
    let before = text.replace(",\"carets\":[7]", "").replace(",\"failed_calls\":[1]", "");
    assert_eq!(text.len() - before.len(), ",\"carets\":[7],\"failed_calls\":[1]".len());
    fs::write(&path, before).unwrap();
    let (page, _) = expect(&vfiospec(&["report", &path, "--html", "-"]), 1);
    assert!(page.contains("^^^^^^^^^^^^^^^ expected 4096 bytes"));
    assert!(!page.contains("class=\"caret\"") && !page.contains("class=\"bad\""));
}

#[test]
fn shards_and_reruns_become_one_report() {
    let folder = folder("report-merge");
    let shard = |cases: &[u32], at: u64, verdict| {
        let mut events = vec![match started() {
            Event::RunStarted(first) => {
                Event::RunStarted(RunStarted { started_ms: at, hostname: format!("host{at}"), ..first })
            }
            other => other,
        }];
        events.extend(cases.iter().map(|n| Event::CasePlanned(planned(*n, "s", "iommufd", &format!("c{n}")))));
        let result = |n: &u32| match verdict {
            Verdict::Passed => passed(*n),
            verdict => with_reason(*n, verdict, "map gave EINVAL"),
        };
        events.extend(cases.iter().map(|n| Event::CaseFinished(result(n))));
        events.push(finished(false));
        journal(&folder.join(format!("{at}.jsonl")), &events)
    };
    let first = shard(&[0, 2], 1, Verdict::Passed);
    let second = shard(&[1, 3], 2, Verdict::Failed);
    let (stdout, _) = expect(&vfiospec(&["report", &second, &first]), 1);
    assert!(stdout.contains("\n4 cases: 2 passed, 2 failed in 2 runs of 16.42 s\n"), "{stdout}");
    let rows: Vec<_> = stdout.lines().filter(|line| line.contains("  c")).collect();
    assert_eq!(rows, ["✓  c0", "✗  c1", "✓  c2", "✗  c3"]);
    let again = shard(&[1, 3], 3, Verdict::Passed);
    let (stdout, _) = expect(&vfiospec(&["report", &first, &second, &again]), 0);
    assert!(stdout.contains("\n4 cases: 2 passed, 2 flaky in 3 runs of"), "{stdout}");
    let (stdout, _) = expect(&vfiospec(&["report", &format!("old={second}"), &format!("new={again}")]), 1);
    assert!(stdout.contains("\n✗ ✓  c1\n") && stdout.contains("\n✗ old: kernel.s.iommufd__edu.c1\n"), "{stdout}");
    let (xml, _) = expect(&vfiospec(&["report", "--junit", "-", &format!("old={second}"), &format!("new={again}")]), 1);
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    let classes: std::collections::BTreeSet<_> =
        document.descendants().filter_map(|node| node.attribute("classname")).collect();
    assert_eq!(classes.into_iter().collect::<Vec<_>>(), ["new.kernel.s.iommufd__edu", "old.kernel.s.iommufd__edu"]);
}

#[test]
fn a_journal_may_come_through_a_pipe() {
    let lines: String = mixed().iter().map(|event| serde_json::to_string(event).expect("JSON") + "\n").collect();
    let mut command = command();
    let piped = command
        .args(["report", "-", "--junit", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the binary starts");
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let (stdout, _) = expect(&output, 1);
    assert!(roxmltree::Document::parse(&stdout).is_ok());
}

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/kernel/dma_mapping.yaml");

#[test]
fn what_is_no_journal_is_refused_with_its_name() {
    let folder = folder("report-refused");
    let (_, stderr) = expect(&vfiospec(&["report", "no/such.jsonl"]), 2);
    assert!(
        stderr.contains("failed to read the journal no/such.jsonl: No such file") && stderr.contains("--journal"),
        "{stderr}"
    );
    let (_, stderr) = expect(&vfiospec(&["report", SCENARIO]), 2);
    assert!(stderr.contains("is no journal: it looks like a scenario") && stderr.contains("--journal"), "{stderr}");
    let text = folder.join("notes.jsonl");
    fs::write(&text, "hello\nworld\n").expect("written");
    let (_, stderr) = expect(&vfiospec(&["report", text.to_str().expect("UTF-8")]), 2);
    assert!(stderr.contains("notes.jsonl: line 1: ") && stderr.contains("--journal"), "{stderr}");
    let journal = journal(&folder.join("a.jsonl"), &mixed());
    let before = fs::read(&journal).expect("readable");
    let (_, stderr) = expect(&vfiospec(&["report", &journal, "--json", &journal]), 2);
    assert!(stderr.contains("--json and --journal both name"), "{stderr}");
    assert_eq!(fs::read(&journal).expect("readable"), before, "a journal is never written over");
    let (_, stderr) = expect(&vfiospec(&["report", &journal, "--json", "-", "--tap", "-"]), 2);
    assert!(stderr.contains("--json and --tap both name -"), "{stderr}");
}

#[test]
fn diff_says_what_got_worse_by_its_exit_code() {
    let folder = folder("diff");
    let good = journal(&folder.join("good.jsonl"), &fixture::run_of_45(|_, _| {}));
    let bad = journal(&folder.join("bad.jsonl"), &mixed());
    let (stdout, _) = expect(&vfiospec(&["diff", &good, &bad]), 1);
    assert!(stdout.contains("\n1 newly failing\n  ✓ → ✗  kernel.dma_unmap.iommufd_compat_type1__edu."), "{stdout}");
    assert!(stdout.contains("      at scenarios/kernel/dma_unmap.yaml:23:33\n"), "{stdout}");
    let (stdout, _) = expect(&vfiospec(&["diff", &bad, &good]), 0);
    assert!(stdout.contains("\n2 fixed\n"), "{stdout}");
    let (stdout, _) = expect(&vfiospec(&["diff", &good, &good]), 0);
    assert!(stdout.ends_with("\n45 cases in both: no difference\n"), "{stdout}");
    let killed = journal(&folder.join("killed.jsonl"), &fixture::run_of_45(|_, _| {})[..60]);
    let (stdout, _) = expect(&vfiospec(&["diff", &good, &killed]), 3);
    assert!(stdout.contains(" without a verdict now\n"), "{stdout}");
    expect(&vfiospec(&["diff", &good, "no/such.jsonl"]), 2);
}

/// A run of three cases on this kernel, of which each names a fix; the first one fails unless the kernel `has` its fix.
fn with_fixes(kernel: &str, has: bool) -> Vec<Event> {
    let first = match started() {
        Event::RunStarted(first) => Event::RunStarted(RunStarted { kernel: kernel.into(), ..first }),
        other => other,
    };
    let fixes = [
        ("iommufd: Free <once>", "f00ba4c0ffee"),
        ("vfio: Count once", "ba5eba11f00d"),
        ("iommu: Flush", "0ddba11ca75e"),
    ];
    let releases = ["7.4", "7.3.5", "6.12.9"].map(|text| Release::parse(text).expect("a release")).to_vec();
    let planned = (0..).zip(fixes).map(|(at, (title, commit))| {
        let commit = Commit::parse(commit);
        let fixes = vec![Fix { title: title.into(), commit, releases: releases.clone(), broken_since: vec![] }];
        Event::CasePlanned(PlannedCase { fixes, ..planned(at, "s", "iommufd", &format!("c{at}")) })
    });
    let first_case = if has { passed(0) } else { with_reason(0, Verdict::Failed, "unmap gave EINVAL") };
    let results = [first_case, with_reason(1, Verdict::Skipped, "the device has no MSI-X"), passed(2)];
    let results = results.into_iter().map(Event::CaseFinished);
    [first].into_iter().chain(planned).chain(results).chain([finished(false)]).collect()
}

#[test]
fn a_report_says_which_fixes_are_there_and_which_are_missing() {
    let folder = folder("report-fixes");
    let old = journal(&folder.join("old.jsonl"), &with_fixes("6.12.7", false));
    let new = journal(&folder.join("new.jsonl"), &with_fixes("7.3.5", true));
    let broken = journal(&folder.join("broken.jsonl"), &with_fixes("7.3.5", false));
    let (stdout, _) = expect(&vfiospec(&["report", "--fixes", &old]), 1);
    let table = "\
✗  iommufd: Free <once> (f00ba4c0ffee), in 6.12.9 and later
     missing: unmap gave EINVAL
       kernel.s.iommufd__edu.c0
–  vfio: Count once (ba5eba11f00d), in 6.12.9 and later
     cannot tell: the device has no MSI-X
✓  iommu: Flush (0ddba11ca75e), in 6.12.9 and later

3 fixes: 1 missing, 1 cannot tell, 1 there
";
    assert!(stdout.contains(table), "{stdout}");
    let (stdout, _) = expect(&vfiospec(&["report", "--fixes", &broken]), 1);
    assert!(stdout.contains("\n     Linux 7.3.5 should have it\n"), "{stdout}");
    // Two kernels side by side; the release is mainline's, since each has its own.
    let (stdout, _) = expect(&vfiospec(&["report", "--fixes", &format!("old={old}"), &format!("new={new}")]), 1);
    let table = "\
┌ old
│ ┌ new

✗ ✓  iommufd: Free <once> (f00ba4c0ffee), in 7.4 and later
       old: missing: unmap gave EINVAL
         old: kernel.s.iommufd__edu.c0
– –  vfio: Count once (ba5eba11f00d), in 7.4 and later
       old: cannot tell: the device has no MSI-X
       new: cannot tell: the device has no MSI-X
✓ ✓  iommu: Flush (0ddba11ca75e), in 7.4 and later

old: 3 fixes: 1 missing, 1 cannot tell, 1 there
new: 3 fixes: 1 cannot tell, 2 there
";
    assert!(stdout.contains(table), "{stdout}");
    let none = journal(&folder.join("none.jsonl"), &fixture::run_of_45(|_, _| {}));
    let (stdout, _) = expect(&vfiospec(&["report", "--fixes", &none]), 0);
    assert!(stdout.contains("\n0 fixes: no case that was planned names one in `fixes`\n"), "{stdout}");

    // Every report says it of the failure.
    let lacks = "this kernel lacks: iommufd: Free <once> (f00ba4c0ffee), in 6.12.9 and later";
    let (stdout, _) = expect(&vfiospec(&["report", &old]), 1);
    assert!(stdout.contains(&format!("  unmap gave EINVAL\n  {lacks}\n")), "{stdout}");
    let (xml, _) = expect(&vfiospec(&["report", "--junit", "-", &old]), 1);
    let document = roxmltree::Document::parse(&xml).expect("valid XML");
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).expect("a failure");
    assert_eq!(failure.attribute("message"), Some(format!("unmap gave EINVAL; {lacks}").as_str()));
    assert!(failure.text().is_some_and(|text| text.contains(lacks)), "{xml}");
    let (tap, _) = expect(&vfiospec(&["report", "--tap", "-", &old]), 1);
    assert!(tap.contains(&format!("\n  fixes: \"{lacks}\"\n")), "{tap}");
    let (page, _) = expect(&vfiospec(&["report", "--html", "-", &old]), 1);
    let escaped = lacks.replace('<', "&lt;").replace('>', "&gt;");
    assert!(page.contains(&format!("<p class=\"why\"><b>{escaped}</b></p>")), "{page}");
    let (_, section) = page.split_once("<h2 id=\"fixes\">").expect("a section");
    assert_eq!(section.split("<h2").next().expect("its end").matches("<details>").count(), 3, "{section}");
    let (json, _) = expect(&vfiospec(&["report", "--json", "-", &old]), 1);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["cases"][0]["lacks"], lacks);
    let seen = json["fixes"].as_array().expect("a list").iter().map(|seen| seen["presence"].as_str());
    assert_eq!(seen.collect::<Vec<_>>(), [Some("missing"), Some("cannot_tell"), Some("there")]);

    let (stdout, _) = expect(&vfiospec(&["diff", &old, &new]), 0);
    let came = "\n1 bug fixed in B\n  ✗ → ✓  iommufd: Free <once> (f00ba4c0ffee), in 7.3.5 and later\n";
    assert!(stdout.contains(came), "{stdout}");
    let (stdout, _) = expect(&vfiospec(&["diff", &new, &old]), 1);
    let went = "\n1 bug that only B has\n  ✓ → ✗  iommufd: Free <once> (f00ba4c0ffee), in 6.12.9 and later\n";
    assert!(stdout.contains(went), "{stdout}");
}

#[test]
fn the_commands_of_the_guide_do_what_they_say() {
    let guide = read("reports/README.md");
    let (_, after) = guide.split_once("<!-- commands -->").expect("the marker");
    let folder = folder("report-guide");
    for name in ["journal", "shard1", "shard2", "6.12", "7.3"] {
        journal(&folder.join(format!("{name}.jsonl")), &mixed());
    }
    fs::write(folder.join("list.txt"), "REQ-1 Maps\n").expect("written");
    let binary = Path::new(env!("CARGO_BIN_EXE_vfiospec")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let blocks = common::blocks(after);
    let commands: Vec<_> = blocks[0].2.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()).collect();
    assert!(commands.len() > 5);
    for command in commands {
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", command]).current_dir(&folder).env("PATH", &path).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        // The run has a failure; a comparison with itself has none, a trend judges nothing, and of a pipe the last word counts.
        let expected = if ["diff", "trend", "|"].iter().any(|word| command.contains(word)) { 0 } else { 1 };
        assert_eq!(output.status.code(), Some(expected), "{command}\n{said}");
    }
}
