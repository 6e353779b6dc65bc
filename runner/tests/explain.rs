//! Every code of a message has a page, and what the page shows as wrong and as right is so.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use vfiospec::{
    explain::{PAGES, Page},
    language::{self, Packs, Source},
};

/// Codes whose page cannot show a wrong file, and why.
const WITHOUT_WRONG: [(&str, &str); 3] = [
    ("not-utf8", "a page is UTF-8"),
    ("too-large", "the file would have 16 MiB"),
    ("invalid-value", "what a visitor raises that gives no code, and none does so"),
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let known: BTreeSet<String> =
        common::codes_of_check().into_keys().chain(common::codes_of_runs().into_keys()).collect();
    let pages: BTreeSet<String> = PAGES.iter().map(|page| page.code.to_owned()).collect();
    let missing: Vec<&String> = known.difference(&pages).collect();
    assert!(
        missing.is_empty(),
        "these codes have no page for `vfiospec explain`: {missing:?}\n\
         write runner/src/explain/CODE.md (what it means; for one that `check` tells a block of `yaml wrong` and one of \
         `yaml right`) and add the code to the list in runner/src/explain.rs"
    );
    let left: Vec<&String> = pages.difference(&known).collect();
    assert!(left.is_empty(), "the sources no longer have these codes: {left:?}");
    let files: BTreeSet<String> = fs::read_dir(sources().join("explain"))
        .expect("the pages")
        .map(|entry| entry.expect("a page").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, pages, "runner/src/explain.rs lists every file of runner/src/explain");
    assert!(PAGES.is_sorted_by_key(|page| page.code), "the list is in alphabetical order");
}

#[test]
fn what_a_page_shows_as_wrong_is_told_with_its_code_and_what_it_shows_as_right_is_right() {
    let checked: BTreeSet<String> = common::codes_of_check().into_keys().collect();
    for page in PAGES {
        let load = |text: &str| language::load(Source::new(page.code, text), "pack".to_owned(), &Packs::default(), &[]);
        for text in page.examples("right") {
            let wrong = load(&text).err().map(|invalid| invalid.render(false));
            assert_eq!(wrong, None, "the right example of {}", page.code);
        }
        let wrong = page.examples("wrong");
        let is_exempt = WITHOUT_WRONG.iter().any(|(code, _)| *code == page.code);
        // What is no whole scenario, such as a part of a pack's manifest, is shown as a fragment.
        let is_shown = !wrong.is_empty() && !page.examples("right").is_empty() || !page.examples("fragment").is_empty();
        assert!(is_shown || is_exempt || !checked.contains(page.code), "{} shows nothing wrong and right", page.code);
        for text in wrong {
            let invalid = load(&text).err().unwrap_or_else(|| panic!("{}: this is right:\n{text}", page.code));
            let codes: Vec<&str> = invalid.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
            assert_eq!(codes, [page.code], "{}", invalid.render(false));
        }
    }
}

#[test]
fn a_page_fits_on_a_terminal() {
    for Page { code, text } in PAGES {
        assert!(text.lines().all(|line| line.chars().count() <= 150 || line.contains("[[")), "{code}");
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{code}");
    }
}
