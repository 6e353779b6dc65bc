// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a stranger's files can do to the machine that checks them: nothing but be refused.
//!
//! The binary runs with 256 MiB of address space and a few seconds of processor time; `fuzz/` goes further.

use std::{
    fmt::Write,
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
};

use proptest::prelude::*;
use vfiospec::{
    language::{self, Packs, Source},
    plan,
};

use crate::common::folder;

/// `vfiospec check` on a file with this text, kept short of memory and time.
fn check(name: &str, text: &str) -> Output {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let file = FOLDER.get_or_init(|| folder("hostile")).join(format!("{name}.yaml"));
    fs::write(&file, text).expect("writable");
    Command::new("sh")
        .args(["-c", r#"ulimit -v 262144; ulimit -t 20; exec "$0" check "$1""#, env!("CARGO_BIN_EXE_vfiospec")])
        .arg(&file)
        .env("NO_COLOR", "1")
        .output()
        .expect("a shell")
}

/// The codes that are told, and that nothing else happened.
#[track_caller]
fn refused(name: &str, text: &str) -> Vec<String> {
    let output = check(name, text);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (head, _) = said.split_at(said.char_indices().nth(2000).map_or(said.len(), |(at, _)| at));
    assert_eq!(output.status.code(), Some(2), "{name}: {:?}\n{head}", output.status);
    assert!(output.stderr.len() < 1 << 20, "{name}: {} bytes are said", output.stderr.len());
    let code = |line: &str| Some(line.strip_prefix("error[")?.split_once(']')?.0.to_owned());
    said.lines().filter_map(code).collect()
}

fn scenario(case: &str) -> String {
    format!("name: hostile\nbackends: all\ncases:\n  - name: a\n{case}")
}

fn of_size(size: &str) -> String {
    scenario(&format!("    region: {{ memory: anonymous, size: {size} }}\n    expect: {{ map: ok }}\n"))
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = String::from("x0: &x0 [a, a, a, a, a, a, a, a, a]\n");
    for level in 1..30 {
        let below = vec![format!("*x{}", level - 1); 9].join(", ");
        writeln!(bomb, "x{level}: &x{level} [{below}]").unwrap();
    }
    assert_eq!(refused("bomb", &bomb), ["alias-bomb"]);
    let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(20_000), "*a, ".repeat(20_000));
    assert_eq!(refused("wide", &wide), ["alias-bomb"]);
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(100_000));
    assert_eq!(refused("text", &text), ["alias-bomb"]);
    assert_eq!(refused("itself", "a: &a [*a]\n").len(), 1);
}

#[test]
fn a_hundred_thousand_levels_are_refused() {
    const LEVELS: usize = 100_000;
    for (name, text) in [
        ("brackets", format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS))),
        ("open-brackets", "[".repeat(LEVELS)),
        ("braces", format!("{}x{}", "{a: ".repeat(LEVELS), "}".repeat(LEVELS))),
        ("dashes", format!("{}x", "- ".repeat(LEVELS))),
        ("question-marks", format!("{}x", "? ".repeat(LEVELS))),
        ("tags", format!("a: {}x", "!t ".repeat(LEVELS))),
        ("expression", of_size(&format!("\"{{{{ {}1{} }}}}\"", "(".repeat(LEVELS), ")".repeat(LEVELS)))),
    ] {
        let codes = refused(name, &text);
        assert_eq!(codes.len(), 1, "{name}: {codes:?}");
    }
}

#[test]
fn huge_numbers_are_refused() {
    let digits = "9".repeat(1_000_000);
    for (name, size) in [
        ("digits", digits.clone()),
        ("hexadecimal", format!("0x{digits}")),
        ("unit", format!("{digits}KiB")),
        ("fraction", format!("0.{digits}KiB")),
        ("exponent", "1e999999999".to_owned()),
        ("infinite", ".inf".to_owned()),
    ] {
        let codes = refused(name, &of_size(&size));
        assert_eq!(codes.len(), 1, "{name}: {codes:?}");
    }
    let matrix = |count: usize| {
        let values: Vec<String> = (0..count).map(|value| value.to_string()).collect();
        (0..12)
            .fold("    matrix:\n".to_owned(), |text, name| text + &format!("      m{name}: [{}]\n", values.join(", ")))
    };
    let case = "    region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n";
    assert_eq!(refused("matrix", &scenario(&(matrix(1000) + case))), ["matrix-too-large"]);
}

#[test]
fn expressions_without_an_end_are_refused() {
    for (name, expression) in [
        ("text", "'x' * 1000000000".to_owned()),
        ("list", "[1] * 1000000000".to_owned()),
        ("power", "9 ** 9 ** 9 ** 9 ** 9".to_owned()),
        ("joined", format!("'{}'{}", "x".repeat(100), " ~ 'y'".repeat(100))),
        ("long", format!("1{}", " + 1".repeat(100_000))),
        ("steps", format!("1{}", " + 1".repeat(200))),
        ("nested", format!("{}1{}", "[".repeat(400), "]".repeat(400))),
        ("signs", format!("{}1", "-".repeat(900))),
        ("not", format!("{}1", "not ".repeat(250))),
        ("powers", format!("2{}", " ** 2".repeat(200))),
        ("comparisons", format!("1{}", " < 1".repeat(200))),
        ("conditions", format!("1{}", " if 1 else 1".repeat(80))),
    ] {
        let output = check(name, &of_size(&format!("\"{{{{ {expression} }}}}\"")));
        let code = output.status.code();
        // A long sum of small numbers is a number.
        assert!(
            matches!(code, Some(0 | 2)),
            "{name}: {:?}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    // From variable to variable.
    let mut vars = String::from("    vars:\n      v0: \"{{ 'xxxxxxxxxxxxxxxx' }}\"\n");
    for level in 1..60 {
        let below = level - 1;
        writeln!(vars, "      v{level}: \"{{{{ v{below} ~ v{below} ~ v{below} ~ v{below} }}}}\"").unwrap();
    }
    let case = "    region: { memory: anonymous, size: 4KiB }\n    expect: { map: ok }\n";
    assert_eq!(refused("variables", &scenario(&(vars + case))), ["expression"]);
}

#[test]
fn many_mistakes_and_long_lines_are_told_briefly() {
    let wrong = "      - mpa: { region: x }\n".repeat(20_000);
    assert!(refused("steps", &scenario(&format!("    steps:\n{wrong}"))).len() <= 100);
    let long = format!("    summary: {}\n    expcet: {{ map: ok }}\n", "x".repeat(4 << 20));
    assert!(refused("line", &scenario(&long)).len() < 5);
    let keys: String = (0..50_000).map(|key| format!("key{key}: 1\n")).collect();
    assert!(refused("keys", &keys).len() <= 100);
}

/// Parts of scenarios, right and wrong, put together in any way.
fn part() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "name",
        "backends",
        "all",
        "cases",
        "region",
        "memory",
        "anonymous",
        "size",
        "4KiB",
        "expect",
        "map",
        "ok",
        "steps",
        "unmap",
        "iova",
        "save",
        "m",
        "check",
        "\"{{ m.iova + 1 }}\"",
        "\"{{ page * 'x' }}\"",
        "matrix",
        "page",
        "vars",
        "requires",
        "that",
        "because",
        "iommufd",
        "\"*\"",
        "vfio_*",
        "EINVAL",
        "0755",
        "1e36",
        "-1",
        "0x10000000000000000",
        "~",
        "yes",
        "*a",
        "&a x",
        "!t x",
        "{{ x }}",
        "\"{{ ((((1 }}\"",
        "ü🦀",
        "\"\\x1b\"",
        "repeat",
        "times",
        "ioctl",
        "fields",
        "tail",
        "bits",
        "timeout",
        "1:30",
        "<<",
    ];
    let leaf = prop::sample::select(WORDS).prop_map(str::to_owned);
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|list| format!("[{}]", list.join(", "))),
            prop::collection::vec((inner.clone(), inner.clone()), 0..6).prop_map(|entries| {
                let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a} {b}")),
        ]
    })
}

/// Reads, checks, counts and draws; what is drawn holds nothing that a terminal obeys.
fn read(text: &str) -> Result<(), TestCaseError> {
    let source = match Source::from_bytes("hostile.yaml", text.as_bytes().to_vec()) {
        Ok(source) => source,
        Err(wrong) => wrong.0,
    };
    match language::load(source, "pack".to_owned(), &Packs::default(), &[]) {
        Ok(loaded) => plan::Count::default().add(&loaded),
        Err(invalid) => {
            let drawn = invalid.render(false);
            prop_assert!(!drawn.is_empty());
            prop_assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'), "{drawn:?}");
            for line in language::json_lines(&invalid.source, &invalid.diagnostics).lines() {
                let message: serde_json::Value = serde_json::from_str(line).expect("JSON");
                let at = |key: &str| message["span"][key].as_u64().expect("a number") as usize;
                prop_assert!(invalid.source.text.get(at("start")..at("end")).is_some(), "{message}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        read(&text)?;
    }

    #[test]
    fn any_document_of_our_words_is_read_or_refused(document in part()) {
        read(&document)?;
    }

    #[test]
    fn any_value_in_any_place_of_a_scenario_is_read_or_refused(value in part(), at in 0_usize..40) {
        let text = of_size("4KiB") + "  - name: b\n    regions: { r: { memory: anonymous, size: 4KiB } }\n    steps:\n      - map: { region: r }\n        save: m\n      - unmap: { iova: \"{{ m.iova }}\", size: 4KiB }\n        expect: { \"*\": ok }\n";
        let words: Vec<&str> = text.split_inclusive([' ', '\n']).collect();
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let at = at % words.len();
        let end = if words[at].ends_with('\n') { "\n" } else { " " };
        words[at] = value + end;
        read(&words.concat())?;
    }
}
