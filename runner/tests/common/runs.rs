// SPDX-License-Identifier: MIT OR Apache-2.0
//! Journals of made-up runs, beside those that the library's own tests use too.

use std::{fs, path::Path};

use vfiospec::{
    event::{
        self, Answer, Answered, Attempt, CaseResult, DeviceUsed, Event, Explored, Free, Injected, Measured,
        Observation, PlannedCase, RunStarted, Unchecked,
    },
    model::{Commit, Fix, Observed, Release, Verdict},
};

use super::fixture::mixed;

/// Writes a journal, and returns its path.
pub fn journal(path: &Path, events: &[Event]) -> String {
    let lines: String = events.iter().map(|event| serde_json::to_string(event).expect("JSON") + "\n").collect();
    fs::write(path, lines).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

/// A fix of this title.
pub fn fix(title: &str) -> Fix {
    let releases = ["7.4", "7.3.5"].iter().map(|text| Release::parse(text).expect("a release")).collect();
    Fix { title: title.to_owned(), commit: Commit::parse("f00ba4c0ffee"), releases, broken_since: vec![] }
}

/// A run with something of every verdict.
pub fn everything() -> Vec<Event> {
    let mut events = mixed();
    for event in &mut events {
        let Event::CaseFinished(result) = event else { continue };
        match result.case {
            20 => {
                result.verdict = Verdict::KnownIssue;
                result.message = Some("known issue: warns on VT-d # not a directive".into());
            }
            21 => {
                result.verdict = Verdict::Flaky;
                result.message = Some("passed at the second attempt".into());
                result.attempts = [Verdict::Failed, Verdict::Passed]
                    .map(|verdict| Attempt { verdict, micros: 1_000, message: Some("timed out".into()) })
                    .to_vec();
            }
            _ => {}
        }
    }
    events
}

/// A run of each verdict, with `text` in every string of every event.
pub fn run_full_of(text: &str) -> Vec<Event> {
    let s = || text.to_owned();
    let mut events = vec![Event::RunStarted(RunStarted {
        format: event::FORMAT,
        tool: s(),
        started_ms: u64::MAX,
        hostname: s(),
        host: Some(s()),
        kernel: s(),
        arch: s(),
        iommu: s(),
        devices: vec![DeviceUsed {
            name: s(),
            bdf: s(),
            ids: s(),
            class: 0,
            capabilities: Vec::new(),
            largest_bar: 0,
            driver: Some(s()),
        }],
        lab: Some(s()),
        boot: s(),
        scenarios: s(),
        shuffle: Some(u64::MAX),
        lab_iommu: Some(s()),
        again: s(),
    })];
    let verdicts = [Verdict::Passed, Verdict::Failed, Verdict::Error, Verdict::Skipped];
    events.extend((0..4).map(|case| {
        Event::CasePlanned(PlannedCase {
            case,
            pack: s(),
            scenario: s(),
            backend: s(),
            device: s(),
            name: s(),
            file: s(),
            line: 1,
            covers: vec![s()],
            tags: vec![s()],
            fixes: vec![fix(&s())],
            summary: s(),
        })
    }));
    events.extend((0..).zip(verdicts).map(|(case, verdict)| {
        Event::CaseFinished(CaseResult {
            case,
            verdict,
            micros: 1,
            message: Some(s()),
            link: Some(s()),
            detail: Some(s()),
            carets: vec![0, 7],
            at: Some(s()),
            trace: vec![s()],
            failed_calls: vec![0, 7],
            before: vec![s()],
            kernel_log: vec![s()],
            page_table: vec![s()],
            console: vec![s()],
            unchecked: vec![Unchecked { what: s(), reason: s(), by_choice: false }],
            checks: 1,
            injected: vec![Injected { what: s(), points: 3, failed: 2 }],
            measured: vec![Measured { what: s(), micros: 1, each: vec![1, 2], rounds: false, bytes: None }],
            observers: [Observed::Held, Observed::Broken, Observed::Unchecked]
                .map(|state| Observation { observer: s(), state, detail: Some(s()), by: Vec::new() })
                .to_vec(),
            answers: [Answered::Ok, Answered::Fails(s()), Answered::Differs(s()), Answered::NotRun(s())]
                .map(|answer| Answer {
                    at: format!("{}:7:{}", s(), u64::MAX),
                    step: s(),
                    answer,
                    read: Some(s()),
                    times: u32::MAX,
                    expected: false,
                    key: Some(s()),
                    line: Some(u32::MAX),
                })
                .to_vec(),
            explored: Some(Explored {
                calls: s(),
                free: vec![Free { sequence: 7, call: u32::MAX, step: s(), may: vec![s(), s()], gave: s() }],
            }),
            scenario: Some(s()),
            true_backend: Some(s()),
            attempts: vec![Attempt { verdict, micros: 1, message: Some(s()) }; 2],
            died: true,
        })
    }));
    events
}

/// Texts that terminals, XML, JSON, TAP and HTML have to be kept from.
pub fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "\u{1b}[31mred\u{1b}[0m",
        "nul \0 nul",
        "\u{fffe}\u{ffff}\u{feff}",
        "]]>",
        "]]]]>>]]",
        "]]></failure><skipped/><failure><![CDATA[",
        "]]></system-out><skipped/><system-out><![CDATA[",
        "\"/><skipped/><x y=\"",
        "'/><!-- <?xml version='1.1'?> <!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]> &y; &#0; &#x1b; &amp;lt;",
        "one\r\ntwo\rthree\n\n\tfour\n",
        "[[ATTACHMENT|/etc/passwd]]",
        "🦀 ü € \u{202e}txet",
    ]
    .map(str::to_owned)
    .into();
    let beyond = ['\u{2028}', '\u{fffd}', '\u{fffe}', '\u{ffff}', '\u{1fffe}', '\u{10ffff}'];
    texts.push(('\0'..'\u{300}').chain(beyond).collect());
    texts.push("]]>\u{1b}&".repeat(40_000));
    texts
}
