// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the expressions in a text begin and end.

use std::ops::Range;

use minijinja::machinery::{Token, tokenize};

/// A part of a text with expressions in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::language) enum Piece {
    Literal(Range<usize>),
    /// What stands between the braces.
    Expression(Range<usize>),
}

/// The literal parts and expressions of a text; an error is the place of braces that are never closed.
pub(in crate::language) fn pieces(text: &str) -> Result<Vec<Piece>, Range<usize>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").map(|found| at + found) {
        if open > at {
            pieces.push(Piece::Literal(at..open));
        }
        let start = open + 2;
        let end = closing(&text[start..]).map(|length| start + length).ok_or(open..start)?;
        pieces.push(Piece::Expression(start..end));
        at = end + 2;
    }
    if at < text.len() {
        pieces.push(Piece::Literal(at..text.len()));
    }
    Ok(pieces)
}

/// Where the braces around an expression close: outside of its own brackets and quotes.
fn closing(expression: &str) -> Option<usize> {
    if !expression.contains("}}") {
        return None;
    }
    let mut tokens = tokenize(expression, true, Default::default()).map_while(Result::ok);
    let end = tokens.find(|(token, _)| matches!(token, Token::VariableEnd));
    // Brackets or quotes left open are the expression's own mistake.
    end.map(|(_, span)| span.end_offset as usize - 2).or_else(|| expression.find("}}"))
}

/// The range between the braces of a text that is wholly one expression.
pub(in crate::language) fn whole(text: &str) -> Option<Range<usize>> {
    let begin = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    let inside = text.get(begin..end)?.strip_prefix("{{")?.strip_suffix("}}")?;
    // Nearly always the first braces that close are the last.
    if !inside.contains('}') {
        return Some(begin + 2..end - 2);
    }
    let mut expressions = Vec::new();
    for piece in pieces(text).ok()? {
        match piece {
            Piece::Literal(range) if text[range.clone()].trim().is_empty() => {}
            Piece::Literal(_) => return None,
            Piece::Expression(range) => expressions.push(range),
        }
    }
    match expressions.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_close_outside_of_brackets_and_quotes() {
        for (text, inner) in [
            ("{{ page }}", Some(" page ")),
            ("  {{page}} ", Some("page")),
            ("{{ {'a': {'b': 1}}['a'] }}", Some(" {'a': {'b': 1}}['a'] ")),
            ("{{ '}}' }}", Some(" '}}' ")),
            ("{{ f(1 }}", Some(" f(1 ")),
            ("{{ a }}{{ b }}", None),
            ("{{ a }}KiB", None),
            ("{{ a", None),
            ("a", None),
            ("{{}}", Some("")),
        ] {
            assert_eq!(whole(text).map(|range| &text[range]), inner, "{text}");
        }
    }

    #[test]
    fn a_text_falls_into_pieces() {
        let text = "map {{ page }} at {{ iova }}";
        let shown: Vec<&str> = pieces(text)
            .unwrap()
            .into_iter()
            .map(|piece| match piece {
                Piece::Literal(range) | Piece::Expression(range) => &text[range],
            })
            .collect();
        assert_eq!(shown, ["map ", " page ", " at ", " iova "]);
        assert_eq!(pieces("a {{ b"), Err(2..4));
    }
}
