// SPDX-License-Identifier: MIT OR Apache-2.0
//! An error of minijinja in the words of an author.

use std::ops::Range;

use minijinja::ErrorKind;

use super::error::ExpressionError;
use super::missing::{misnamed, undefined};
use super::scan::{Kind, Word, Words};
use super::scope::Scope;

/// How each function is called.
const CALLS: [(&str, &str); 8] = [
    ("align_up", "align_up(value, alignment)"),
    ("align_down", "align_down(value, alignment)"),
    ("min", "min(a, b, …)"),
    ("max", "max(a, b, …)"),
    ("bit", "bit(value, number)"),
    ("pow2", "pow2(exponent)"),
    ("version_at_least", "version_at_least(kernel, '6.18')"),
    ("hex", "hex(value)"),
];

/// Explains an error with what is known of the scope.
pub(super) fn explain(scope: &Scope, expression: &str, error: &minijinja::Error) -> ExpressionError {
    let end = expression.len();
    let range = error.range().map_or(0..end, |range| range.start.min(end)..range.end.min(end));
    // At the end of an expression there is nothing to underline.
    let range = if range.is_empty() { end.saturating_sub(1)..end } else { range };
    let range = if expression.get(range.clone()).is_some() { range } else { 0..end };
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::SyntaxError => syntax(expression, range, detail),
        ErrorKind::OutOfFuel => ExpressionError::new("the expression takes too many steps", 0..end),
        ErrorKind::UndefinedError | ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            undefined(scope, expression).unwrap_or_else(|| ExpressionError::new("this has no value", range))
        }
        kind @ (ErrorKind::UnknownFilter | ErrorKind::UnknownTest) => {
            misnamed(expression).unwrap_or_else(|| ExpressionError::new(format!("{kind}: {detail}"), range))
        }
        // Strictly undefined, but first seen by an operator.
        ErrorKind::InvalidOperation if detail.contains("undefined") => {
            undefined(scope, expression).unwrap_or_else(|| ExpressionError::new(detail, range))
        }
        kind => {
            let said = if detail.is_empty() { kind.to_string() } else { detail.to_owned() };
            operation(&expression[range.clone()], &said, range)
        }
    }
}

/// What is wrong with how an expression is written.
fn syntax(expression: &str, range: Range<usize>, detail: &str) -> ExpressionError {
    let words: Vec<Word> = Words::of(expression).collect();
    let at = words.iter().position(|word| word.range().end > range.start);
    let word = at.map(|at| &words[at]);
    let before = at.and_then(|at| at.checked_sub(1)).map(|before| &words[before]);
    let says = |what: &str, range: Range<usize>| ExpressionError::new(format!("this is no expression: {what}"), range);
    if detail.contains("end of string") {
        let quote = words.iter().rev().find(|word| word.kind == Kind::Text).map_or(range, |w| w.start..w.start + 1);
        return says("a quote is never closed", quote).expected("a closing quote");
    }
    if let Some((bracket, closing)) = open_bracket(&words) {
        return says(&format!("`{}` is never closed", bracket.text), bracket.range())
            .expected(format!("a `{closing}`"));
    }
    if let Some([_, second]) = words.windows(2).find(|pair| pair.iter().all(|word| word.kind == Kind::Text)) {
        return says("two texts stand side by side", second.range()).expected("an operator").help("`~` joins texts");
    }
    if detail.contains("unexpected end of input") {
        return says("it ends too early", range).expected("a value behind this");
    }
    let Some(word) = word else { return says(detail, range) };
    let here = |what: &str| says(what, word.range());
    match (word.text, before) {
        ("<" | ">", Some(Word { text, .. })) if *text == word.text => here("there are no shifts")
            .expected("an operator")
            .help("write 2 ** 12 or pow2(12), and // for a shift right"),
        ("&" | "^" | "!" | "|" | "?" | ";" | "#" | "$" | "@" | "`" | "\\", _) => {
            here(&format!("`{}` is no operator here", word.text))
                .expected("an operator such as + - * // % ** ~ == < and or not")
                .help("write `and`, `or` and `not` for conditions, `A if CONDITION else B` for a choice")
        }
        ("=", _) => here("`=` gives no value a name").expected("`==`, which compares"),
        (unit @ ("KiB" | "MiB" | "GiB" | "TiB"), Some(number)) if number.kind == Kind::Number => {
            here(&format!("`{unit}` follows a number"))
                .expected("an operator")
                .help(format!("write {} * {unit}", number.text))
        }
        (text, _) if word.kind == Kind::Number && text.ends_with("iB") => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            here(&format!("`{text}` is no number"))
                .expected("a number")
                .help(format!("write {digits} * {}", &text[digits.len()..]))
        }
        (text, _) if detail.contains("after expression") => {
            here(&format!("it ends before `{text}`")).expected("an operator such as + - * // % ** ~ == < and or")
        }
        _ => says(detail, range),
    }
}

/// The last bracket that is never closed, and what would close it.
fn open_bracket<'w, 's>(words: &'w [Word<'s>]) -> Option<(&'w Word<'s>, char)> {
    let mut open: Vec<(&Word, char)> = Vec::new();
    for word in words.iter().filter(|word| word.kind == Kind::Sign) {
        match word.text {
            "(" => open.push((word, ')')),
            "[" => open.push((word, ']')),
            "{" => open.push((word, '}')),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

/// What is wrong with an operation whose operands are known.
fn operation(source: &str, detail: &str, range: Range<usize>) -> ExpressionError {
    if let Some((operator, types)) =
        detail.strip_prefix("tried to use ").and_then(|rest| rest.split_once(" operator on unsupported types "))
    {
        let types = types.replace("string", "text").replace("sequence", "a list").replace("bool", "true or false");
        return ExpressionError::new(format!("`{operator}` does not work on {types}"), range)
            .help("`+` is for numbers; `~` joins texts");
    }
    if let Some(operation) = detail.strip_prefix("unable to calculate ") {
        let by_zero =
            operation.split_once(" // ").or_else(|| operation.split_once(" % ")).is_some_and(|(_, by)| by == "0");
        return match by_zero {
            true => ExpressionError::new(format!("{operation} divides by zero"), range),
            false => ExpressionError::new(format!("{operation} is more than 128 bits can hold"), range),
        };
    }
    let function = source.split('(').next().unwrap_or_default().trim();
    let call = CALLS.iter().find(|(name, _)| *name == function).map(|(_, call)| *call);
    let mut error = match detail {
        "missing argument" => ExpressionError::new(format!("`{function}` has too few arguments"), range),
        "too many arguments" => ExpressionError::new(format!("`{function}` has too many arguments"), range),
        _ if detail.ends_with("is not callable") => {
            let factor = source.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
            return ExpressionError::new(format!("`{function}` is no function"), range)
                .help(format!("it is a value: write {factor} * {function}"));
        }
        _ => ExpressionError::new(detail, range),
    };
    if let Some(call) = call {
        error = error.expected(call);
    }
    error
}
