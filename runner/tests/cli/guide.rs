// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guides say is so: examples, commands, exit codes, links, events.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;
use vfiospec::{
    event::Event,
    language::{Saves, Verb},
};

use crate::common::{self, folder, read, text, top, vfiospec};

const GUIDES: [&str; 5] =
    ["README.md", "scenarios/README.md", "schemas/README.md", "reports/README.md", "runner/README.md"];

#[test]
fn every_example_is_a_right_scenario() {
    let folder = folder("guide-examples");
    for guide in ["README.md", "scenarios/README.md"] {
        let examples = common::yaml_examples(&read(guide));
        assert!(!examples.is_empty(), "{guide} has no example");
        for (line, text) in examples {
            let file = folder.join(format!("{}_{line}.yaml", guide.replace(['/', '.'], "_")));
            fs::write(&file, &text).expect("written");
            let output = vfiospec(&["check", file.to_str().expect("UTF-8")]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "the example at {guide}:{line}:\n{said}");
        }
    }
    // Together too: no two of them are called the same, so that a reader can keep them all in one folder.
    let output = vfiospec(&["check", folder.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_tables_of_verbs_have_every_verb_with_what_it_saves() {
    let guide = read("scenarios/README.md");
    let rows: Vec<Vec<&str>> =
        guide.lines().filter(|line| line.starts_with("| `")).map(|line| line.split(" | ").collect()).collect();
    for (name, about) in Verb::NAMES.iter().zip(Verb::ABOUT) {
        let is_of = |cell: &str| cell.contains(&format!("`{name}:"));
        let Some(row) = rows.iter().find(|row| is_of(row[0])) else {
            panic!("scenarios/README.md has no row of `{name}`");
        };
        if let Saves::Fields(fields) = about.saves {
            for field in fields {
                assert!(row.last().is_some_and(|saves| saves.contains(&format!("`{field}`"))), "{name}: {row:?}");
            }
        }
    }
}

#[test]
fn a_block_of_yaml_is_an_example_or_says_that_it_is_a_fragment() {
    for guide in GUIDES {
        let text = read(guide);
        let whole = common::yaml_examples(&text).len();
        let mut yaml = common::blocks(&text);
        yaml.retain(|(_, info, _)| info.starts_with("yaml") && info != "yaml fragment");
        assert_eq!(yaml.len(), whole, "{guide}: {yaml:?}");
    }
}

#[test]
fn the_inventory_is_right_with_our_scenarios() {
    let guide = read("scenarios/README.md");
    let (_, after) = guide.split_once("<!-- an inventory -->").expect("the marker");
    let file = folder("guide-inventory").join("lab.yaml");
    fs::write(&file, &common::blocks(after)[0].2).expect("written");
    let output = vfiospec(&["check", "--inventory", file.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(text(&output.stdout).contains(" and the inventory: no mistakes"), "{}", text(&output.stdout));
}

#[test]
fn the_exit_codes_are_those_of_help() {
    let help = text(&vfiospec(&["--help"]).stdout);
    let codes = &help[help.find("Exit codes:").expect("help tells the exit codes")..];
    let readme = read("README.md");
    let (_, after) = readme.split_once("<!-- exit codes -->").expect("the marker");
    let blocks = common::blocks(after);
    assert_eq!(blocks[0].2.trim_end(), codes.trim_end());
}

#[test]
fn every_command_is_there_with_its_options() {
    let mut seen = 0;
    for guide in GUIDES {
        for command in commands(&read(guide)) {
            let verb: Vec<&str> = command
                .split(' ')
                .skip(1)
                .take_while(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase()))
                .take(if command.starts_with("vfiospec lab") || command.starts_with("vfiospec new") { 2 } else { 1 })
                .collect();
            let help = vfiospec(&[verb.as_slice(), &["--help"]].concat());
            assert!(help.status.success(), "{guide}: `{command}`\n{}", String::from_utf8_lossy(&help.stderr));
            let help = text(&help.stdout);
            for option in command.split([' ', '[', ']', '=']).filter(|word| word.starts_with("--")) {
                assert!(
                    [' ', '\n', '['].iter().any(|end| help.contains(&format!("{option}{end}"))),
                    "{guide}: `{command}` has no {option}:\n{help}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

/// The commands of ours in a text: in code spans, with the options named in code spans of the same line, and in blocks of shell.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for line in text.lines() {
        let spans: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let options: Vec<&str> = spans.iter().copied().filter(|span| span.starts_with("--")).collect();
        let named = spans.iter().filter(|span| span.starts_with("vfiospec "));
        commands.extend(named.map(|command| format!("{command} {}", options.join(" "))));
    }
    for (_, info, text) in common::blocks(text) {
        if info == "sh" {
            let ours =
                |line: &str| Some(format!("vfiospec {}", line.split_once("vfiospec ")?.1.split('#').next()?.trim()));
            commands.extend(text.lines().filter_map(ours));
        }
    }
    commands
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for guide in GUIDES {
        let text = read(guide);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let here = top().join(guide);
            let path = if file.is_empty() { here } else { here.parent().expect("a folder").join(file) };
            assert!(path.exists(), "{guide}: {target}");
            if let Some(anchor) = anchor {
                assert!(anchors(&path).contains(&anchor.to_owned()), "{guide}: {target}");
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

/// The anchors that a Markdown file's headings get.
fn anchors(file: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(file).expect("readable");
    let heading = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines().filter(|line| line.starts_with('#')).map(heading).collect()
}

#[test]
fn the_journals_example_is_what_is_written() {
    let guide = read("reports/README.md");
    let mut seen = Vec::new();
    for (at, info, text) in common::blocks(&guide) {
        if info != "json" {
            continue;
        }
        for line in text.lines() {
            let event: Event =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("reports/README.md:{at}: {error}\n{line}"));
            assert_eq!(serde_json::to_string(&event).expect("JSON"), line, "reports/README.md:{at}");
            seen.push(match event {
                Event::RunStarted(_) => "run_started",
                Event::CasePlanned(_) => "case_planned",
                Event::CaseStarted { .. } => "case_started",
                Event::CaseFinished(_) => "case_finished",
                Event::RunFinished(_) => "run_finished",
                Event::RunResumed(_) => "run_resumed",
                Event::CaseAttempted(_) => "case_attempted",
                Event::Called { .. } => "called",
                Event::Exploring { .. } => "exploring",
                Event::Busy { .. } => "busy",
                Event::Kept => "kept",
            });
        }
    }
    assert_eq!(seen, ["run_started", "case_planned", "case_started", "case_finished", "run_finished"]);
}

/// The code spans of a text.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_tables_of_steps_have_every_verb() {
    let schema = vfiospec::language::schema();
    let beside = ["backends", "device", "expect", "save", "with", "within"];
    let keys = schema["definitions"]["Step"]["properties"].as_object().expect("the keys of a step");
    let verbs: BTreeSet<&str> = keys.keys().map(String::as_str).filter(|key| !beside.contains(key)).collect();
    let guide = read("scenarios/README.md");
    let told = guide.split("| verb |").skip(1).flat_map(|table| {
        let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
        rows.flat_map(|row| spans(row.trim_start_matches("| ").split(" | ").next().unwrap_or_default()))
    });
    let told: BTreeSet<&str> = told.filter_map(|span| Some(span.split_once(':')?.0)).collect();
    assert_eq!(told, verbs, "the tables in scenarios/README.md, and the schema");
}

#[test]
fn the_list_of_keys_without_expressions_is_that_of_the_schema() {
    /// The definitions that a part of the schema names.
    fn named<'s>(part: &str, schema: &'s Value) -> Vec<(String, &'s Value)> {
        let names = part.split("\"#/definitions/").skip(1).filter_map(|rest| rest.split('"').next());
        names.map(|name| (name.to_owned(), &schema["definitions"][name])).collect()
    }
    /// Whether an expression may stand there, or keys, which are looked at by themselves.
    fn takes(part: &Value, schema: &Value) -> bool {
        named(&part.to_string(), schema).into_iter().any(|(name, definition)| {
            ["Expression", "Template", "Scalar", "Tail", "NoArguments"].contains(&name.as_str())
                || definition["properties"].is_object()
                || takes(definition, schema)
        })
    }
    let schema = vfiospec::language::schema();
    let definitions = schema["definitions"].as_object().expect("definitions").values();
    let keys = [&schema].into_iter().chain(definitions).filter_map(|part| part["properties"].as_object()).flatten();
    let mut without: BTreeSet<&str> =
        keys.filter(|(_, value)| !takes(value, &schema)).map(|(key, _)| key.as_str()).collect();
    // Its values have the form of those of `vars`, and are taken as they are written.
    without.insert("matrix");
    let guide = read("scenarios/README.md");
    let (_, table) = guide.split_once("| no expression in |").expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    let told: BTreeSet<&str> = rows.flat_map(|row| spans(row.rsplit(" | ").next().unwrap_or_default())).collect();
    assert_eq!(told, without, "the table in scenarios/README.md, and the schema");
}
