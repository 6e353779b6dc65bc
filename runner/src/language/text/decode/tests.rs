// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::language::text::reader::parse;
use crate::language::text::{render::render, source::Source};
use crate::language::{Duration, Scalar, Size, keys, words};

keys! {
    struct Scenario {
        name: String,
        cases: Vec<Case> = empty,
        vars: Ordered<Scalar> = empty,
    }
}

keys! {
    struct Case {
        name: String,
        region: Option<Region>,
        timeout: Option<Duration>,
        tags: Vec<String> = empty,
        unmap_all: Option<UnmapAll>,
    }
}

keys! {
    struct Region {
        memory: Memory,
        size: Size,
        count: Option<u8>,
        locked: Option<bool>,
    }
}

keys! {
    struct UnmapAll {
        iova: Option<Size>,
    }
}

words! {
    enum Memory {
        Anonymous = "anonymous",
        Hugetlb = "hugetlb",
    }
}

fn read(text: &str) -> (Option<Scenario>, Vec<(String, String)>) {
    let mut problems = Problems::new();
    let value = decode(&parse(text).unwrap(), &mut problems);
    let source = Source::new("f", text);
    let drawn = render(&source, problems.as_slice(), false);
    let found = drawn.split("\n\n").map(|drawn| {
        let title = drawn.lines().next().unwrap_or_default().to_owned();
        let place = drawn.lines().find_map(|line| line.trim().strip_prefix("--> f:")).unwrap_or_default();
        (place.to_owned(), title)
    });
    (value, if problems.is_empty() { Vec::new() } else { found.collect() })
}

fn expect(text: &str, expected: &[(&str, &str)]) {
    let (_, found) = read(text);
    let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_right_file_decodes() {
    let text = "name: x\ncases:\n  - name: a\n    region: { memory: hugetlb, size: 2MiB }\n    unmap_all:\nvars: { b: 1, a: 2MiB }\n";
    let (value, found) = read(text);
    assert_eq!(found, []);
    let value = value.unwrap();
    assert_eq!(value.vars.keys().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(value.cases[0].region.as_ref().unwrap().size, Size(2 << 20));
    assert_eq!(value.cases[0].unmap_all, Some(UnmapAll { iova: None }));
}

#[test]
fn five_mistakes_give_five_diagnostics() {
    expect(
        "\
name: [x]
cases:
  - name: a
    region: { memory: anonymus, size: 2MB, count: 3 }
    timeuot: 3s
  - name: b
    timeout: 30
",
        &[
            ("1:7", "error[wrong-type]: `name` cannot be a list"),
            ("4:23", "error[unknown-value]: unknown value `anonymus` for `memory`"),
            ("4:39", "error[invalid-quantity]: `2MB` has no known unit"),
            ("5:5", "error[unknown-key]: unknown key `timeuot` in a case"),
            ("7:14", "error[invalid-quantity]: `30` has no unit"),
        ],
    );
}

#[test]
fn all_missing_keys_are_found_and_nothing_that_follows_from_them() {
    expect(
        "cases:\n  - region: {}\n  - region: { size: 2MB, locked: yes }\n  - tags: [1, a, 2]\n",
        &[
            ("1:1", "error[missing-key]: missing key `name` in a scenario"),
            ("2:5", "error[missing-key]: missing key `name` in a case"),
            ("2:5", "error[missing-key]: missing key `memory` in a region"),
            ("2:5", "error[missing-key]: missing key `size` in a region"),
            ("3:5", "error[missing-key]: missing key `name` in a case"),
            ("3:5", "error[missing-key]: missing key `memory` in a region"),
            ("3:21", "error[invalid-quantity]: `2MB` has no known unit"),
            ("3:34", "error[wrong-type]: `locked` cannot be the text `yes`"),
            ("4:5", "error[missing-key]: missing key `name` in a case"),
            ("4:12", "error[wrong-type]: an element of `tags` cannot be the number 1"),
            ("4:18", "error[wrong-type]: an element of `tags` cannot be the number 2"),
        ],
    );
}

#[test]
fn what_yaml_has_and_the_language_has_not_is_named() {
    expect(
        "name: x\nvars: { a: 1, a: 2, b: !secret 3, c: {{ page }} }\nname: y\ncases:\n  - <<: *x\n    name: &x a\n"
            .replace("<<: *x", "<<: {}")
            .as_str(),
        &[
            ("2:15", "error[duplicate-key]: the key `a` is written twice"),
            ("2:24", "error[tag]: the tag `!secret` is not part of the language"),
            ("2:38", "error[unquoted-expression]: an expression needs quotes around it"),
            ("3:1", "error[duplicate-key]: the key `name` is written twice"),
            ("5:5", "error[merge-key]: merge keys are not part of the language"),
        ],
    );
}

#[test]
fn a_key_without_a_value_is_a_mistake_unless_it_opens_a_mapping() {
    expect(
        "name: x\ncases:\n  - name: a\n    timeout:\n    unmap_all:\n",
        &[("4:5", "error[missing-value]: `timeout` has no value")],
    );
}

#[test]
fn a_misspelt_key_is_not_missing_too() {
    expect("name: x\ncases:\n  - nmae: a\n", &[("3:5", "error[unknown-key]: unknown key `nmae` in a case")]);
}

#[test]
fn values_of_another_shape_are_named_in_plain_words() {
    for (text, title, label) in [
        ("name: 5", "`name` cannot be the number 5", "expected text"),
        ("name: x\ncases: 1", "`cases` cannot be the number 1", "expected a list"),
        ("name: x\nvars: [1]", "`vars` cannot be a list", "expected a mapping"),
        ("- 1", "the file cannot be a list", "expected a mapping with the keys `name`, `cases` and `vars`"),
    ] {
        let mut problems = Problems::new();
        decode::<Scenario>(&parse(text).unwrap(), &mut problems);
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((problem.title.as_str(), problem.label.as_str()), (title, label));
    }
}

#[test]
fn unknown_keys_do_not_keep_the_rest_from_being_read() {
    let (value, found) = read("name: x\nnmae: y\n");
    assert_eq!(value.unwrap().name, "x");
    assert_eq!(found.len(), 1);
}

#[test]
fn at_most_a_hundred_mistakes_are_shown_and_many_take_no_time() {
    let text = format!("name: x\ncases:\n{}", "  - { name: [], tags: [1], timeout: 3 }\n".repeat(20_000));
    let mut problems = Problems::new();
    decode::<Scenario>(&parse(&text).unwrap(), &mut problems);
    assert_eq!(problems.as_slice().len(), 100);
}
