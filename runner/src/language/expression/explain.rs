// SPDX-License-Identifier: MIT OR Apache-2.0
//! An error of minijinja in the words of an author.

use std::ops::Range;

use minijinja::ErrorKind;
use minijinja::machinery::{Token, parse_expr};

use super::missing::{misnamed, undefined};
use super::tree::{Tree, second_of_two_texts, tokens};
use super::{error::ExpressionError, scope::Scope};

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
            let misnamed = Tree::parse(expression).ok().and_then(|tree| misnamed(&tree));
            misnamed.unwrap_or_else(|| ExpressionError::new(format!("{kind}: {detail}"), range))
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
    let (tokens, stopped) = tokens(expression);
    let says = |what: &str, range: Range<usize>| ExpressionError::new(format!("this is no expression: {what}"), range);
    // What is no word of the language.
    let foreign = stopped.and_then(|error| error.range()).and_then(|range| {
        let start = expression.floor_char_boundary(range.start.min(expression.len()));
        expression[start..].chars().next().map(|c| (c, start..start + c.len_utf8()))
    });
    let unclosed = tokens.last().map_or(0, |(_, range)| range.end);
    let quote = expression[unclosed..].trim_start();
    if quote.starts_with(['"', '\'']) {
        let start = expression.len() - quote.len();
        return says("a quote is never closed", start..start + 1).expected("a closing quote");
    }
    if foreign.is_none()
        && let Some((bracket, closing)) = open_bracket(&tokens)
    {
        let what = format!("`{}` is never closed", &expression[bracket.clone()]);
        return says(&what, bracket).expected(format!("a `{closing}`"));
    }
    if let Some(second) = second_of_two_texts(&tokens) {
        return says("two texts stand side by side", second).expected("an operator").help("`~` joins texts");
    }
    if foreign.is_none() && parse_expr(&format!("{expression} x")).is_ok() {
        return says("it ends too early", range).expected("a value behind this");
    }
    let at = tokens.iter().position(|(_, word)| word.end > range.start);
    let word = foreign.as_ref().filter(|(_, foreign)| foreign.start <= range.start);
    let Some(word) = word.map(|(_, word)| word.clone()).or_else(|| Some(tokens[at?].1.clone())) else {
        return says(detail, range);
    };
    let before = tokens.iter().rfind(|(_, before)| before.end <= word.start);
    let here = |what: &str| says(what, word.clone());
    let before_text = before.map(|(_, range)| &expression[range.clone()]);
    let is_number = |token: &Token| matches!(token, Token::Int(_) | Token::Int128(_) | Token::Float(_));
    match &expression[word.clone()] {
        sign @ ("<" | ">") if before_text == Some(sign) => here("there are no shifts")
            .expected("an operator")
            .help("write 2 ** 12 or pow2(12), and // for a shift right"),
        sign @ ("&" | "^" | "!" | "|" | "?" | ";" | "#" | "$" | "@" | "`" | "\\") => {
            here(&format!("`{sign}` is no operator here"))
                .expected("an operator such as + - * // % ** ~ == < and or not")
                .help("write `and`, `or` and `not` for conditions, `A if CONDITION else B` for a choice")
        }
        "=" => here("`=` gives no value a name").expected("`==`, which compares"),
        unit @ ("KiB" | "MiB" | "GiB" | "TiB") if before.is_some_and(|(token, _)| is_number(token)) => {
            let (number, joined) =
                (before_text.unwrap_or_default(), before.is_some_and(|(_, range)| range.end == word.start));
            match joined {
                true => says(&format!("`{number}{unit}` is no number"), word.start - number.len()..word.end)
                    .expected("a number"),
                false => here(&format!("`{unit}` follows a number")).expected("an operator"),
            }
            .help(format!("write {number} * {unit}"))
        }
        text if parse_expr(&expression[..word.start]).is_ok() => {
            here(&format!("it ends before `{text}`")).expected("an operator such as + - * // % ** ~ == < and or")
        }
        _ => says(detail, range),
    }
}

/// The last bracket that is never closed, and what would close it.
fn open_bracket(tokens: &[(Token, Range<usize>)]) -> Option<(Range<usize>, char)> {
    let mut open = Vec::new();
    for (token, range) in tokens {
        match token {
            Token::ParenOpen => open.push((range.clone(), ')')),
            Token::BracketOpen => open.push((range.clone(), ']')),
            Token::BraceOpen => open.push((range.clone(), '}')),
            Token::ParenClose | Token::BracketClose | Token::BraceClose => drop(open.pop()),
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
