// SPDX-License-Identifier: MIT OR Apache-2.0
//! From an expression to what minijinja made of it: of the whole of it.

use minijinja::{Error, Expression};

use super::functions::environment;
use super::scan::{Kind, Words};

/// Compiles an expression.
pub(super) fn parse(expression: &str) -> Result<Expression<'static, 'static>, Error> {
    let parsed = environment().compile_expression_owned(expression.to_owned());
    // minijinja (3.0 and 3.1) takes what is no word of its language for the end of the expression where that follows a text:
    // `backend == 'iommufd' && false` is `backend == 'iommufd'` to it. Behind a list it tells the mistake.
    if parsed.as_ref().err().is_none_or(|error| error.detail().is_some_and(|says| says.contains("end of input")))
        && let Some(without) = without_texts(expression)
    {
        environment().compile_expression(&without)?;
    }
    parsed
}

/// The expression with an empty list for each text, which leaves everything else where it was; none if it has no text.
fn without_texts(expression: &str) -> Option<String> {
    let mut without: Option<String> = None;
    for text in Words::of(expression).filter(|word| word.kind == Kind::Text) {
        let quote = &text.text[..1];
        // One that is never closed is a mistake by itself.
        if text.text.len() > 1 && text.text.ends_with(quote) {
            let list = format!("[{}]", " ".repeat(text.text.len() - 2));
            without.get_or_insert_with(|| expression.to_owned()).replace_range(text.range(), &list);
        }
    }
    without
}

#[cfg(test)]
mod tests {
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
}
