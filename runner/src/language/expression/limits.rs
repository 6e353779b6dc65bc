// SPDX-License-Identifier: MIT OR Apache-2.0
//! What fuel does not bound: `"x" * 100000000` is one step, and a hundred megabytes.
//!
//! So text and lists cannot be multiplied, and what an expression gives is bounded. The operands of each `*` are evaluated by
//! themselves, innermost first, before the whole is: minijinja multiplies constants already when it compiles.

use std::ops::Range;

use minijinja::Value;
use minijinja::value::ValueKind;

use super::error::ExpressionError;
use super::functions::environment;
use super::scan::{self, Kind, Word, Words};
use super::scope::Scope;

/// The longest text and the longest list that an expression may give, in bytes and elements.
const MOST: usize = 64 << 10;

/// What of an expression decides whether it can give text or lists at all; most cannot.
pub(super) struct Shape {
    /// It multiplies nothing.
    without_products: bool,
    /// It is made of numbers, names and operators alone.
    plain: bool,
    /// It is one name and nothing else.
    name: bool,
    /// The names in it, each with its attributes.
    chains: Vec<Vec<String>>,
}

impl Shape {
    pub fn of(expression: &str) -> Shape {
        let owned = |chain: scan::Chain| chain.words.iter().map(|word| word.text.to_owned()).collect();
        let chains: Vec<Vec<String>> = scan::chains(expression).into_iter().map(owned).collect();
        Shape {
            without_products: !expression.contains('*'),
            plain: !expression.contains(['"', '\'', '[', '{', '|', '~', ',']),
            name: matches!(chains.as_slice(), [chain] if *chain == [expression]),
            chains,
        }
    }

    /// Whether it is one name and nothing else, and so gives what the name stands for.
    pub fn is_name(&self) -> bool {
        self.name
    }

    /// Whether nothing in it can be multiplied but numbers: its names are numbers, or unknown, which fails by itself.
    pub fn is_arithmetic(&self, scope: &Scope) -> bool {
        self.without_products || self.plain && self.chains.iter().all(|chain| is_number(scope, chain))
    }
}

fn is_number(scope: &Scope, chain: &[String]) -> bool {
    let Some((root, attributes)) = chain.split_first() else { return false };
    let Some(value) = scope.get(root) else { return root != "hex" };
    let mut value = value.clone();
    for attribute in attributes {
        value = value.get_attr(attribute).unwrap_or(Value::UNDEFINED);
    }
    matches!(value.kind(), ValueKind::Number | ValueKind::Undefined)
}

/// Refuses the multiplication of text and lists.
pub(super) fn no_repeats(scope: &Scope, expression: &str) -> Result<(), ExpressionError> {
    if !expression.contains('*') {
        return Ok(());
    }
    let words: Vec<Word> = Words::of(expression).collect();
    let mut depth = 0_usize;
    let mut products: Vec<(usize, usize)> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match word.text {
            "(" | "[" | "{" if word.kind == Kind::Sign => depth += 1,
            ")" | "]" | "}" if word.kind == Kind::Sign => depth = depth.saturating_sub(1),
            "*" if word.kind == Kind::Sign => products.push((depth, index)),
            _ => {}
        }
    }
    products.sort_by_key(|(depth, index)| (std::cmp::Reverse(*depth), *index));
    for (_, index) in products {
        for operand in [left(&words, index), right(&words, index)] {
            let Some((first, last)) =
                words.get(operand.clone()).and_then(|words| Some((words.first()?, words.last()?)))
            else {
                continue; // a mistake of syntax
            };
            if operand.len() == 1 && first.kind == Kind::Number {
                continue;
            }
            let range = first.start..last.range().end;
            if let Some(what) = repeatable(scope, &expression[range.clone()]) {
                return Err(ExpressionError::new(format!("{what} cannot be multiplied"), range)
                    .expected("a number")
                    .help("`*` is for numbers; `~` joins texts"));
            }
        }
    }
    Ok(())
}

fn repeatable(scope: &Scope, operand: &str) -> Option<&'static str> {
    let value = environment().compile_expression(operand).ok()?.eval(Value::from_dyn_object(scope.shared())).ok()?;
    match value.kind() {
        ValueKind::String | ValueKind::Bytes => Some("text"),
        ValueKind::Seq | ValueKind::Iterable => Some("a list"),
        _ => None,
    }
}

/// Whether a word ends an operand: everything that binds less than `*`.
fn ends(word: &Word) -> bool {
    match word.kind {
        Kind::Sign => matches!(word.text, "+" | "-" | "~" | "<" | ">" | "=" | "==" | "!=" | "<=" | ">=" | "," | ":"),
        Kind::Name => matches!(word.text, "and" | "or" | "not" | "in" | "is" | "if" | "else"),
        Kind::Number | Kind::Text => false,
    }
}

/// The words left of a `*`: everything of the product so far.
fn left(words: &[Word], product: usize) -> Range<usize> {
    let mut depth = 0_usize;
    let mut start = product;
    while let Some(word) = start.checked_sub(1).map(|before| &words[before]) {
        match word.text {
            ")" | "]" | "}" if word.kind == Kind::Sign => depth += 1,
            "(" | "[" | "{" if word.kind == Kind::Sign && depth == 0 => break,
            "(" | "[" | "{" if word.kind == Kind::Sign => depth -= 1,
            _ if depth == 0 && ends(word) => break,
            _ => {}
        }
        start -= 1;
    }
    start..product
}

/// The words right of a `*`: one factor with its signs, powers, attributes and filters.
fn right(words: &[Word], product: usize) -> Range<usize> {
    let mut depth = 0_usize;
    let start = product + 1;
    let mut end = start;
    while let Some(word) = words.get(end) {
        let is_sign = |signs: &[&str]| word.kind == Kind::Sign && signs.contains(&word.text);
        let signed = end == start || words[end - 1].text == "**" || (is_minus(&words[end - 1]) && end - start == 1);
        if is_sign(&["(", "[", "{"]) {
            depth += 1;
        } else if is_sign(&[")", "]", "}"]) {
            if depth == 0 {
                break;
            }
            depth -= 1;
        } else if depth == 0 && !(signed && is_minus(word)) && (ends(word) || is_sign(&["*", "/", "//", "%"])) {
            break;
        }
        end += 1;
    }
    start..end
}

fn is_minus(word: &Word) -> bool {
    word.kind == Kind::Sign && word.text == "-"
}

/// Refuses what is too large to go on with: an expression may use it hundreds of times.
pub(super) fn bounded(value: &Value, expression: &str) -> Result<(), ExpressionError> {
    let length = value.as_str().map(str::len).or_else(|| value.len()).unwrap_or(0);
    if length <= MOST {
        return Ok(());
    }
    let what = if value.as_str().is_some() { "a text" } else { "a list" };
    let message = format!("the expression gives {what} of length {length}");
    Err(ExpressionError::new(message, 0..expression.len()).expected(format!("at most {MOST}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::eval;

    #[test]
    fn text_and_lists_are_not_multiplied_wherever_they_come_from() {
        let scope = Scope::new().with("word", "ab").with("n", 100_000_000).with("list", vec![1, 2]);
        for source in [
            "'x' * 100000000",
            "100000000 * 'x'",
            "('x' * n) | length",
            "n * (word)",
            "1 * n * word",
            "(list * n) | length",
            "[1] * 100000000",
            "(1, 2) * n",
            "[[1] * n, 2][1]",
            "2 * n ** 1 * [1]",
            "word[0] * n",
            "(word if n else 1) * n",
            "{'a': 'x'}['a'] * n",
            "n * -1 * 'x'",
            "n * hex(3)",
            "(word | upper) * 3",
        ] {
            let error = eval(&scope, source).expect_err(source);
            assert!(error.message.contains("cannot be multiplied"), "{source}: {error}");
        }
    }

    #[test]
    fn numbers_are_multiplied_beside_texts_and_lists() {
        let scope = Scope::new().with("word", "ab").with("n", 3).with("list", vec![1, 2]);
        for (source, value) in [
            ("list[1] * n", 6),
            ("(n if word == 'ab' else 1) * 2", 6),
            ("n * list | length", 6),
            ("2 * n if word == 'ab' else 4 * n", 6),
            ("2 * -n + 12", 6),
            ("2 ** 1 * n", 6),
            ("align_up(n * 2, 6)", 6),
        ] {
            assert_eq!(eval(&scope, source), Ok(Value::from(value)), "{source}");
        }
    }

    #[test]
    fn what_grows_from_variable_to_variable_is_bounded() {
        let mut scope = Scope::new().with("v", "x".repeat(100));
        for round in 0..3 {
            match eval(&scope, &format!("v{}", " ~ v".repeat(200))) {
                Ok(value) => scope.set("v", value),
                Err(error) => {
                    assert!(round > 0 && error.message.contains("of length"), "{error}");
                    return;
                }
            }
        }
        panic!("the text grows without bounds");
    }
}
