// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every code of a message has a page, and what the page shows as wrong and as right is so.

use std::{collections::BTreeSet, fs, path::Path};

use vfiospec::{
    explain::Page,
    language::{self, Inventory, Machine, Packs, Source},
    model::code::{Code, Found},
};

use crate::common;

/// Codes whose page cannot show a wrong file, and why.
const WITHOUT_WRONG: [(Code, &str); 6] = [
    (Code::Expired, "which day it is, no file says"),
    (Code::UnmatchedCases, "an inventory is wrong so only with its scenarios"),
    (Code::NotUtf8, "a page is UTF-8"),
    (Code::TooLarge, "the file would have 16 MiB"),
    (Code::UnusedCondition, "a pack is wrong so only with its scenarios"),
    (Code::InvalidValue, "what a visitor raises that gives no code, and none does so"),
];

#[test]
fn every_page_has_its_code() {
    let files: BTreeSet<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explain"))
        .expect("the pages")
        .map(|entry| entry.expect("a page").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert!(
        files.iter().map(String::as_str).eq(codes.iter().copied()),
        "Code::ALL has every page, in alphabetical order"
    );
}

/// The packs that a page's scenarios find, and the name of theirs.
fn packs(page: &Page) -> (Packs, String) {
    let mut packs = Packs::default();
    for text in page.examples("pack") {
        let added = packs.add(Source::new("pack.yaml", text)).map_err(|invalid| invalid.render(false));
        assert_eq!(added, Ok(()), "the pack of {}", page.code);
    }
    let name = packs.list.first().map_or("pack", |loaded| loaded.pack.name.0.as_str()).to_owned();
    (packs, name)
}

/// The codes of what is wrong with a scenario of a page, a pack or a machine, and how it is told.
fn wrong(page: &Page, text: &str, kind: &str) -> (Vec<Code>, String) {
    let (mut packs, name) = packs(page);
    let source = Source::new(page.code.as_str(), text);
    let read = match kind.rsplit(' ').next() {
        Some("pack") => packs.add(source),
        Some("lab") => Machine::read(source).map(drop),
        Some("inventory") => Inventory::read(source).map(drop),
        _ => language::load(source, name, &packs, &[]).map(drop),
    };
    let told = |invalid: language::Invalid| {
        let codes = invalid.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        (codes, invalid.render(false))
    };
    read.err().map(told).unwrap_or_default()
}

#[test]
fn what_a_page_shows_as_wrong_is_told_with_its_code_and_what_it_shows_as_right_is_right() {
    for page in Page::all() {
        let blocks = common::blocks(page.text);
        for (line, info, text) in &blocks {
            let at = format!("{}.md:{line}", page.code);
            let kind = info.strip_prefix("yaml ").unwrap_or_else(|| panic!("{at}: a block of {info:?}"));
            let (codes, told) = wrong(&page, text, kind);
            match kind {
                // Beside scenarios; loading them reads it.
                "pack" => {
                    assert!(blocks.iter().any(|(_, info, _)| info == "yaml wrong" || info == "yaml wrong pack"), "{at}")
                }
                "right" | "right pack" | "right lab" | "right inventory" => assert_eq!(told, "", "{at}"),
                // The case looks at nothing, which only a run finds.
                "wrong" if page.code.found() == Found::Run => assert_eq!(told, "", "{at}"),
                "wrong" | "wrong pack" | "wrong lab" | "wrong inventory" => {
                    assert_eq!(codes, [page.code], "{at}: {told}")
                }
                _ => panic!("{at}: a block of {info:?}"),
            }
        }
        let has = |what: &str| blocks.iter().any(|(_, info, _)| info.contains(what));
        let is_exempt = WITHOUT_WRONG.iter().any(|(code, _)| *code == page.code) || page.code.found() == Found::Run;
        assert!(is_exempt || has("wrong") && has("right"), "{} shows nothing wrong and right", page.code);
    }
}

#[test]
fn a_page_fits_on_a_terminal() {
    for Page { code, text } in Page::all() {
        assert!(text.lines().all(|line| line.chars().count() <= 150 || line.contains("[[")), "{code}");
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{code}");
    }
}
