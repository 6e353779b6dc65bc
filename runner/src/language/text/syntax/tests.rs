// SPDX-License-Identifier: MIT OR Apache-2.0
use super::{Code, WORDS};
use crate::language::text::reader::parse;
use crate::language::text::{render::render, source::Source};

/// The code, the line and column, and the whole drawing of a text's mistake.
fn read(text: &str) -> (Code, String, String) {
    let source = Source::new("f", text);
    let diagnostic = parse(text).expect_err(text);
    let drawn = render(&source, std::slice::from_ref(&diagnostic), false);
    let place = drawn.lines().find_map(|line| line.trim().strip_prefix("--> f:")).unwrap_or("none").to_owned();
    (diagnostic.code, place, drawn)
}

#[test]
fn each_slip_of_syntax_is_named_where_it_is() {
    for (text, code, place) in [
        ("a:\n\tb: 1\n", Code::TabIndentation, "2:1"),
        ("a: 1\nb: \"x\nc: 2\n", Code::UnclosedQuote, "2:4"),
        ("a: 'x\nb: 2\n", Code::UnclosedQuote, "1:4"),
        ("a: {{ m[0] }}\n", Code::UnquotedExpression, "1:4"),
        ("size: {{ page }}KiB\n", Code::UnquotedExpression, "1:7"),
        ("a: {{ page }}b\nc: 1\n", Code::UnquotedExpression, "1:4"),
        ("a: b: c\n", Code::Syntax, "1:5"),
        ("a: 1\n b: 2\n", Code::Syntax, "2:3"),
        ("a: @b\n", Code::Syntax, "1:4"),
        ("a: *b\n", Code::Syntax, "1:4"),
        ("a: [1, 2\nb: 3\n", Code::Syntax, "2:2"),
        ("a: \"\\q\"\n", Code::Syntax, "1:5"),
        ("a:\n  - 1\n  b: 2\n", Code::Syntax, "3:3"),
        ("a: 1\n---\nb: 2\n", Code::SecondDocument, "2:1"),
        ("---\na: 1\n---\nb: 2\n", Code::SecondDocument, "3:1"),
        ("? [a]\n: b\n", Code::KeyIsNoText, "1:3"),
        ("a: b\rc\rd: e\n", Code::Syntax, "1:8"),
        ("", Code::EmptyFile, "1:1"),
        ("# nothing\n\n---\n", Code::EmptyFile, "1:1"),
    ] {
        let (found, at, drawn) = read(text);
        assert_eq!((found, at.as_str()), (code, place), "{text:?}\n{drawn}");
    }
}

#[test]
fn an_unquoted_expression_is_shown_quoted() {
    let (.., drawn) = read("size: {{ page }}KiB\n");
    assert!(drawn.contains("quote it: \"{{ page }}\""), "{drawn}");
}

/// A text for each row of [`WORDS`], in its order.
#[test]
fn the_parser_words_its_errors_as_the_table_has_them() {
    let deep = "[".repeat(20_000);
    let texts = [
        deep.as_str(),
        "? ---\n\ta",
        "\"",
        "b: '\n&",
        "b: :",
        ":\n!",
        ":\n!\n",
        "[!",
        "{!",
        "[!\n:",
        "- [b: \na][#",
        "*a",
        "&",
        "- !\n,,",
        "''::",
        "!\t- ",
        "%!",
        "- {\n*",
        "]",
        "\"\\q",
        "!x!y ",
        "%TAG !x! [\n",
        "!,",
        "@",
    ];
    assert_eq!(texts.len(), WORDS.len());
    for (text, (words, _)) in texts.into_iter().zip(WORDS) {
        let error = saphyr_parser::Parser::new_from_str(text).find_map(Result::err);
        let says = error.map(|error| error.info().to_owned()).unwrap_or_default();
        let first = WORDS.iter().find(|(words, _)| says.starts_with(words)).map(|(words, _)| *words);
        assert_eq!(first, Some(words), "{says}: {}", &text[..text.len().min(40)]);
    }
}
