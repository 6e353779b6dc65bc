// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of an expression and where they stand: what minijinja does not tell.

use std::ops::Range;

/// What a word is, as far as telling variables from the rest needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::language) enum Kind {
    Name,
    Number,
    Text,
    /// An operator or bracket.
    Sign,
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::language) struct Word<'s> {
    pub kind: Kind,
    pub text: &'s str,
    /// The byte at which it starts.
    pub start: usize,
}

impl Word<'_> {
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }
}

/// The words of an expression; what is no word of any language is a sign of one character.
pub(in crate::language) struct Words<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Words<'s> {
    pub fn of(source: &'s str) -> Self {
        Words { source, at: 0 }
    }
}

impl<'s> Iterator for Words<'s> {
    type Item = Word<'s>;

    fn next(&mut self) -> Option<Word<'s>> {
        let rest = &self.source[self.at..];
        let start = self.source.len() - rest.trim_start().len();
        let rest = &self.source[start..];
        let first = rest.chars().next()?;
        let run = |accept: fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
        let (kind, length) = match first {
            c if c == '_' || c.is_alphabetic() => (Kind::Name, run(|c| c == '_' || c.is_alphanumeric())),
            c if c.is_ascii_digit() => (Kind::Number, run(|c| c == '_' || c.is_ascii_alphanumeric())),
            '"' | '\'' => (Kind::Text, quoted(rest, first)),
            _ => {
                let two = ["==", "!=", "<=", ">=", "**", "//"].iter().any(|sign| rest.starts_with(sign));
                (Kind::Sign, if two { 2 } else { first.len_utf8() })
            }
        };
        self.at = start + length;
        Some(Word { kind, text: &rest[..length], start })
    }
}

/// The length of quoted text with its quotes; to the end if it is never closed.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A variable with the attributes asked of it: `m.iova`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::language) struct Chain<'s> {
    pub words: Vec<Word<'s>>,
}

const KEYWORDS: [&str; 14] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None", "loop"];

/// All variables and functions that an expression names, filters and tests apart.
pub(in crate::language) fn chains(source: &str) -> Vec<Chain<'_>> {
    let words: Vec<Word> = Words::of(source).collect();
    let mut chains: Vec<Chain> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if word.kind != Kind::Name || KEYWORDS.contains(&word.text) {
            continue;
        }
        let before = |back: usize| index.checked_sub(back).map(|index| &words[index]);
        let is_named = before(1).is_some_and(|b| b.is("|") || b.is(".") || b.text == "is")
            || (before(1).is_some_and(|b| b.text == "not") && before(2).is_some_and(|b| b.text == "is"));
        let is_argument_name = words.get(index + 1).is_some_and(|next| next.is("="));
        if is_named || is_argument_name {
            continue;
        }
        let mut chain = vec![word.clone()];
        for pair in words[index + 1..].chunks(2) {
            match pair {
                [dot, name] if dot.is(".") && name.kind == Kind::Name => chain.push(name.clone()),
                _ => break,
            }
        }
        chains.push(Chain { words: chain });
    }
    chains
}

/// The last `/` of an expression that makes a fraction of the whole: outside of brackets, where no filter, function or condition makes
/// another value of it.
pub(in crate::language) fn last_division(source: &str) -> Option<Range<usize>> {
    let inner = whole(source)?;
    let words: Vec<Word> = Words::of(&source[inner.clone()]).collect();
    let mut depth = 0_usize;
    let mut last = None;
    for word in &words {
        match word.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "//" | "%" | "|" | "if" | "is" | "in" | "and" | "or" | "not" | "<" | ">" | "==" | "~" => return None,
            "/" if depth == 0 => last = Some(word.range()),
            _ => {}
        }
    }
    last.map(|range| range.start + inner.start..range.end + inner.start)
}

/// The number that stands where `version_at_least` takes a version: to YAML and to expressions, 6.10 is 6.1.
pub(in crate::language) fn bare_version(source: &str) -> Option<Range<usize>> {
    let inner = whole(source)?;
    let words: Vec<Word> = Words::of(&source[inner.clone()]).collect();
    let calls = words.iter().enumerate().filter(|(_, word)| word.text == "version_at_least");
    let bare = |at: usize| {
        let end = at + words[at..].iter().position(|word| word.is(")"))?;
        let comma = at + words[at..end].iter().position(|word| word.is(","))?;
        let first = words.get(comma + 1).filter(|word| word.kind == Kind::Number)?;
        Some(first.start + inner.start..words[end - 1].range().end + inner.start)
    };
    calls.map(|(at, _)| at).find_map(bare)
}

/// The filters and tests that an expression names.
pub(in crate::language) fn filters_and_tests(source: &str) -> (Vec<Word<'_>>, Vec<Word<'_>>) {
    let words: Vec<Word> = Words::of(source).collect();
    let (mut filters, mut tests) = (Vec::new(), Vec::new());
    for (index, word) in words.iter().enumerate() {
        let after = |count: usize| words.get(index + count).filter(|word| word.kind == Kind::Name);
        if word.is("|") {
            filters.extend(after(1).cloned());
        }
        if word.kind == Kind::Name && word.text == "is" {
            tests.extend(after(1).and_then(|next| if next.text == "not" { after(2) } else { Some(next) }).cloned());
        }
    }
    (filters, tests)
}

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
    let mut depth = 0_usize;
    let mut last: Option<Word> = None;
    for word in Words::of(expression) {
        match word.text {
            "{" | "(" | "[" if word.kind == Kind::Sign => depth += 1,
            "}" if word.kind == Kind::Sign && depth == 0 => match &last {
                Some(last) if last.is("}") && last.start + 1 == word.start => return Some(last.start),
                _ => {}
            },
            "}" | ")" | "]" if word.kind == Kind::Sign => {
                depth = depth.saturating_sub(1);
                last = None;
                continue;
            }
            _ => {}
        }
        last = Some(word);
    }
    // Brackets or quotes left open are the expression's own mistake.
    expression.find("}}")
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

    fn names(source: &str) -> Vec<String> {
        let join = |chain: Chain| chain.words.iter().map(|word| word.text).collect::<Vec<_>>().join(".");
        chains(source).into_iter().map(join).collect()
    }

    #[test]
    fn variables_are_told_from_keywords_attributes_filters_tests_and_arguments() {
        assert_eq!(
            names("m.iova + 4096 if backend is not defined else f(x, key=y) | length"),
            ["m.iova", "backend", "f", "x", "y"]
        );
        assert_eq!(names("'page' ~ \"a \\\" page\" ~ größe ~ 0x1f"), ["größe"]);
    }

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
