// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever stands behind an expression is part of it or a mistake.

use std::collections::BTreeSet;

use crate::language::{Scope, eval, undeclared};

/// Expressions that end in every kind of word, and so in every state in which the parser may look for more.
const VALID: [&str; 20] = [
    "n",
    "m.size",
    "17",
    "0x1f",
    "1.5",
    "true",
    "(n)",
    "list[0]",
    "[1, 2]",
    "{'a': 1}",
    "''",
    "'text'",
    "\"text\"",
    "'a\\n'",
    "word == 'ab'",
    "word is startingwith 'a'",
    "word is defined",
    "list | length",
    "list | join(', ')",
    "1 if word == 'x' else 'y'",
];

fn scope() -> Scope {
    let m = minijinja::Value::from_pairs([("size", 4096)]);
    Scope::new().with("n", 1).with("m", m).with("list", vec![1, 2]).with("word", "ab")
}

/// Whether a character behind an expression makes its last word a longer one.
fn lengthens(expression: &str, c: char) -> bool {
    expression.ends_with(|last: char| last.is_ascii_alphanumeric()) && (c.is_ascii_alphanumeric() || c == '_')
        || expression.ends_with(|last: char| last.is_ascii_digit()) && c == '.'
}

#[test]
fn whatever_stands_behind_an_expression_is_part_of_it_or_a_mistake() {
    for valid in VALID {
        assert!(eval(&scope(), valid).is_ok(), "{valid}");
        for c in (0..128_u8).map(char::from).filter(|c| !c.is_whitespace()) {
            for between in ["", " "] {
                for behind in ["", "&", " junk", " 'junk'", " && false", " 'n"] {
                    let source = format!("{valid}{between}{c}{behind}");
                    let is_longer = between.is_empty() && behind.is_empty() && lengthens(valid, c);
                    let is_joined = behind == " 'junk'" && "+~<>".contains(c);
                    assert!(is_longer || is_joined || eval(&scope(), &source).is_err(), "{source}");
                }
            }
        }
    }
}

#[test]
fn no_character_joins_two_expressions_but_an_operator() {
    let mut joins = BTreeSet::new();
    for left in VALID {
        for right in ["n", "17", "'text'"] {
            for c in (0..128_u8).map(char::from).filter(|c| !c.is_whitespace()) {
                if undeclared(&format!("{left} {c} {right}")).is_ok() {
                    joins.insert(c);
                }
            }
        }
    }
    assert_eq!(joins.into_iter().collect::<String>(), "%*+-./<>~");
}
