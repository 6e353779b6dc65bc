// SPDX-License-Identifier: MIT OR Apache-2.0
//! How reports grow: memory with the number of cases and never with what they have to tell, time in a straight line.
//!
//! `cargo test --release --test cli scale -- --ignored --nocapture` prints the figures in runner/README.md.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use vfiospec::{
    event::{CaseResult, Event, Unchecked},
    model::Verdict,
};

use crate::{
    common::{command, folder},
    fixture::{BACKENDS, finished, passed, planned, started, with_reason},
};

/// What making every report of a journal took.
struct Cost {
    time: Duration,
    /// The most memory that was resident at a time, in KiB.
    memory: u64,
}

/// Writes a journal of so many results, of which each hundredth fails with texts of so many bytes.
fn journal(path: &Path, cases: u32, failure_bytes: usize) {
    let mut out = BufWriter::new(File::create(path).expect("the target folder is writable"));
    let mut write = |event: &Event| {
        serde_json::to_writer(&mut out, event).expect("JSON");
        out.write_all(b"\n").expect("written");
    };
    write(&started());
    let case = |n: u32| {
        // Scenarios of 1,000 results, each case on all five backends.
        planned(
            n,
            &format!("s{}", n / 1_000),
            BACKENDS[n as usize % 5],
            &format!("map_unmap[page=2MiB,size={}KiB]", n / 5),
        )
    };
    (0..cases).for_each(|n| write(&Event::CasePlanned(case(n))));
    for n in 0..cases {
        let texts = || vec!["x".repeat(100); failure_bytes / 200];
        let result = match n % 100 {
            0 => CaseResult {
                detail: Some(format!("error[outcome]: map gave EINVAL\n  --> s.yaml:{n}:20")),
                trace: texts(),
                kernel_log: texts(),
                ..with_reason(n, Verdict::Failed, "map gave EINVAL, expected success")
            },
            1..10 => with_reason(n, Verdict::Skipped, "the device does not support reset"),
            10..20 => CaseResult {
                unchecked: vec![Unchecked {
                    what: "pagesize".into(),
                    reason: "no page-table dump for this IOMMU".into(),
                    by_choice: false,
                }],
                ..passed(n)
            },
            _ => passed(n),
        };
        write(&Event::CaseStarted { case: n });
        write(&Event::CaseFinished(result));
    }
    write(&finished(false));
}

/// Makes all reports in a process of their own.
fn report(folder: &Path, journal: &Path) -> Cost {
    let file = |name: &str| folder.join(name);
    let begin = Instant::now();
    let mut child = command()
        .arg("report")
        .arg(journal)
        .args([Path::new("--junit"), &file("a.xml"), Path::new("--html"), &file("a.html")])
        .args([Path::new("--tap"), &file("a.tap"), Path::new("--json"), &file("a.json")])
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut memory = 0;
    let status = format!("/proc/{}/status", child.id());
    let code = loop {
        // The peak only grows, so the last look before the end has it.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        memory = peak.unwrap_or(memory);
        if let Some(status) = child.try_wait().expect("ours") {
            break status.code();
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(code, Some(1), "the journal has failures");
    Cost { time: begin.elapsed(), memory }
}

#[test]
fn memory_does_not_grow_with_what_cases_have_to_tell() {
    let folder = folder("scale-texts");
    let path = folder.join("a.jsonl");
    // 40 failures of 2 MB: 80 MB of texts, of which one is held at a time, in several forms.
    journal(&path, 4_000, 2_000_000);
    let text = fs::metadata(&path).expect("there").len() / 1024;
    let Cost { memory, .. } = report(&folder, &path);
    assert!(text > 75_000 && memory < text / 2, "{memory} KiB for a journal of {text} KiB");
    fs::remove_dir_all(folder).expect("ours");
}

#[test]
#[ignore = "a benchmark"]
fn reports_of_100_000_results() {
    let folder = folder("scale");
    let path = folder.join("a.jsonl");
    println!("results  journal MiB  time s  peak memory MiB  reports MiB");
    for cases in [25_000, 50_000, 100_000, 200_000] {
        journal(&path, cases, 4_000);
        let Cost { time, memory } = report(&folder, &path);
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let size = |name: &str| fs::metadata(folder.join(name)).map_or(0, |file| file.len());
        let reports: u64 = ["a.xml", "a.html", "a.tap", "a.json"].iter().map(|name| size(name)).sum();
        let journal = mib(size("a.jsonl"));
        let (time, memory, reports) = (time.as_secs_f64(), memory as f64 / 1024.0, mib(reports));
        println!("{cases:>7}  {journal:>11.1}  {time:>6.2}  {memory:>15.1}  {reports:>11.1}");
    }
    fs::remove_dir_all(folder).expect("ours");
}
