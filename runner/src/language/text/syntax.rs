// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is wrong with a text that is no YAML, or YAML that no scenario uses, in words for people who write scenarios.

use std::ops::Range;

use super::{diagnostic::Diagnostic, path::Path, suggest::shorten};
use crate::model::code::Code;

/// How to begin a file.
pub(super) const BEGINNING: &str = "a scenario has a `name:`, its `backends:` and its `cases:`";

/// Whether there is nothing but comments.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start)
        .all(|line| line.is_empty() || line.starts_with('#') || line.trim_end() == "---" || line.trim_end() == "...")
}

/// The diagnostic for [`is_blank`].
pub(super) fn empty() -> Diagnostic {
    at(0..0, Code::EmptyFile, "the file is empty").help(BEGINNING)
}

/// The diagnostic for a text of more than `limit` bytes.
pub(super) fn too_large(text: &str, limit: usize) -> Diagnostic {
    let title = format!("the file has {} bytes", text.len());
    at(0..0, Code::TooLarge, title).label(format!("expected at most {limit} bytes"))
}

fn at(span: Range<usize>, code: Code, title: impl Into<String>) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(code, Path::root(), title);
    diagnostic.span = Some(span);
    diagnostic
}

/// A value nested too deeply.
pub(super) fn too_deep(here: usize) -> Diagnostic {
    at(here..here + 1, Code::TooDeep, "values are nested too deeply here").label("expected fewer than 128 levels")
}

/// The beginning of a second document.
pub(super) fn second_document(start: usize) -> Diagnostic {
    at(start..start + 3, Code::SecondDocument, "a second document begins here")
        .label("expected the file to end")
        .help("a file is one scenario: move the rest to a file of its own")
}

/// An alias that makes the tree far larger than its text.
pub(super) fn alias_bomb(alias: Range<usize>) -> Diagnostic {
    at(alias, Code::AliasBomb, "aliases make this file far larger than its text")
        .label("expected few aliases, of small values")
        .help("write the repeated parts out, or repeat them less often")
}

/// Copies of what a file says once that make the tree far larger than its text.
pub(super) fn copies(written: Range<usize>) -> Diagnostic {
    at(written, Code::AliasBomb, "copies of this make the file far larger than its text")
        .label("expected small `regions` and `requests`: each case and each `like` gets a copy")
}

/// An alias within the value of its own anchor.
pub(super) fn within_itself(alias: Range<usize>) -> Diagnostic {
    at(alias, Code::Syntax, "this alias stands within the value that it repeats").label("expected a value of its own")
}

/// A list or a mapping in the place of a key.
pub(super) fn no_key(text: &str, key: Range<usize>) -> Diagnostic {
    unquoted(text, key.start).unwrap_or_else(|| {
        at(key.start..key.start + 1, Code::KeyIsNoText, "a key is a list or a mapping here")
            .label("expected a name")
            .help("write an entry of its own for each name")
    })
}

/// An expression without quotes in or just before the line of an error.
fn unquoted(text: &str, here: usize) -> Option<Diagnostic> {
    let line = text[..here].matches('\n').count() + 1;
    let brace = unquoted_braces(text, line)?;
    let expression = braced(&text[brace..]);
    Some(
        at(brace..brace + expression.len(), Code::UnquotedExpression, "an expression needs quotes around it")
            .label("YAML reads the braces as a mapping")
            .help(format!("quote it: \"{}\"", expression.replace('"', "'"))),
    )
}

/// The mistakes that the YAML parser finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slip {
    Deep,
    Tab,
    Quote,
    Colon,
    NoValue,
    Flow,
    Alias,
    Item,
    Line,
    Bracket,
    Escape,
    Tag,
    Character,
    Other,
}

/// How `saphyr-parser` begins to say each of them: its errors carry no kind. The tests have a text for every row.
const WORDS: [(&str, Slip); 24] = [
    ("recursion limit exceeded", Slip::Deep),
    ("while scanning a plain scalar, found a tab", Slip::Tab),
    ("while scanning a quoted scalar", Slip::Quote),
    ("invalid indentation in quoted", Slip::Quote),
    ("mapping values are not allowed in this context", Slip::Colon),
    ("simple key expected", Slip::NoValue),
    ("simple key expect ':'", Slip::NoValue),
    ("while parsing a flow sequence, expected ',' or ']'", Slip::Flow),
    ("while parsing a flow mapping, did not find expected ',' or '}'", Slip::Flow),
    ("illegal placement of ':' indicator", Slip::Flow),
    ("invalid indentation in flow construct", Slip::Flow),
    ("while parsing node, found unknown anchor", Slip::Alias),
    ("while scanning an anchor or alias, did not find expected alphabetic or numeric character", Slip::Alias),
    ("while parsing a block collection, did not find expected '-' indicator", Slip::Item),
    ("while parsing a block mapping, did not find expected key", Slip::Line),
    ("block sequence entries are not allowed in this context", Slip::Line),
    ("did not find expected <document start>", Slip::Line),
    ("invalid indentation", Slip::Line),
    ("misplaced bracket", Slip::Bracket),
    ("while parsing a quoted scalar", Slip::Escape),
    ("the handle wasn't declared", Slip::Tag),
    ("invalid global tag character", Slip::Tag),
    ("while scanning a tag, did not find expected whitespace or line break", Slip::Tag),
    ("unexpected character", Slip::Character),
];

impl Slip {
    fn of(says: &str) -> Slip {
        WORDS.iter().find(|(words, _)| says.starts_with(words)).map_or(Slip::Other, |(_, slip)| *slip)
    }
}

/// An error of the YAML parser as a diagnostic: what it says, and the byte that it points at.
pub(super) fn explain(text: &str, says: &str, here: usize) -> Diagnostic {
    let slip = Slip::of(says);
    if slip == Slip::Deep {
        return too_deep(here);
    }
    if let Some(problem) = unquoted(text, here) {
        return problem;
    }
    let line = text[..here].matches('\n').count() + 1;
    // Of a value whose next line is indented by a tab, the parser points at the value.
    let behind = if slip == Slip::Tab { line + 1 } else { line };
    if let Some(tab) = indenting_tab(text, behind) {
        return at(tab..tab + 1, Code::TabIndentation, "a tab indents this line")
            .label("expected spaces")
            .help("YAML indents with spaces only: two for each level");
    }
    if let Some(problem) = foreign_space(text, here).or_else(|| foreign_sign(text, here)) {
        return problem;
    }
    syntax(text, slip, says, here)
}

/// The name of a character that looks like a space, but is not one in YAML.
pub(super) fn foreign(c: char) -> Option<String> {
    match c {
        '\u{a0}' => Some("a non-breaking space".to_owned()),
        _ if !c.is_ascii() && c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}') => {
            Some(format!("a space that YAML does not know (U+{:04X})", u32::from(c)))
        }
        _ => None,
    }
}

/// What to do about [`foreign()`] spaces.
pub(super) const PLAIN_SPACES: &str =
    "write plain spaces instead; texts copied from web pages have such characters in them";

/// The nearest line at an error or above it that a foreign space indents, or that has one behind its key.
fn foreign_space(text: &str, here: usize) -> Option<Diagnostic> {
    let end = text[here..].find('\n').map_or(text.len(), |length| here + length);
    text[..end].lines().rev().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let spaces = line.len() - line.trim_start().len();
        let behind =
            line.find(":").map(|colon| colon + 1).filter(|&at| line[at..].starts_with(|c| foreign(c).is_some()));
        let at = line[..spaces].find(|c| foreign(c).is_some()).or(behind)?;
        let (c, start) = (line[at..].chars().next()?, line.as_ptr() as usize - text.as_ptr() as usize + at);
        let title = match at < spaces {
            true => format!("{} indents this line", foreign(c)?),
            false => format!("{} stands behind this colon", foreign(c)?),
        };
        Some(
            self::at(start..start + c.len_utf8(), Code::TabIndentation, title)
                .label("expected a space")
                .help(PLAIN_SPACES),
        )
    })
}

/// On an error's line a sign at the beginning of a value that means something elsewhere: a typographic quote, or a shell's `$`.
fn foreign_sign(text: &str, here: usize) -> Option<Diagnostic> {
    let start = text[..here].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next()?;
    let begins = |at: usize| line[..at].ends_with([' ', '[', '{', ',']);
    line.char_indices().filter(|(at, _)| begins(*at)).find_map(|(at, c)| {
        let help = foreign_value(&line[at..])?;
        let title = if c == '$' { "`$` begins no expression".to_owned() } else { format!("`{c}` is no quote to YAML") };
        let problem = self::at(start + at..start + at + c.len_utf8(), Code::Syntax, title);
        Some(problem.label("expected a value").help(help))
    })
}

/// How a value is written that begins with a typographic quote or a shell's `$`.
pub(super) fn foreign_value(text: &str) -> Option<String> {
    let quotes = ['“', '”', '„', '‘', '’', '‚', '«', '»'];
    if let Some(inner) = text.strip_prefix(quotes) {
        return Some(match inner.split_once(quotes) {
            Some((inner, _)) => format!("write \"{inner}\": YAML knows only straight quotes"),
            None => "YAML knows only straight quotes: \" and '".to_owned(),
        });
    }
    let inner = text.strip_prefix('$')?;
    let name = inner.trim_start_matches('{');
    let length = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(name.len());
    let is_meant = length > 0 && !name.starts_with(|c: char| c.is_ascii_digit());
    is_meant.then(|| format!("an expression stands in double braces and quotes: \"{{{{ {} }}}}\"", &name[..length]))
}

/// A line whose key has no space behind its colon, and how it is written.
fn unspaced(text: &str, place: usize) -> Option<Diagnostic> {
    let start = text[..place].rfind('\n').map_or(0, |at| at + 1);
    let content = text[start..].lines().next()?.trim_end();
    let content = content.trim_start_matches([' ', '-']);
    let colon = content.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let value = content[colon..].strip_prefix(':')?;
    if colon == 0 || value.is_empty() || value.starts_with(char::is_whitespace) {
        return None;
    }
    let start = content.as_ptr() as usize - text.as_ptr() as usize;
    let problem = at(start + colon..start + colon + 1, Code::Syntax, "a space is missing behind this colon");
    Some(problem.label("expected `key: value`").help(format!("write `{}: {}`", &content[..colon], shorten(value))))
}

/// The quotes, brackets and comments of a text, as far as a reader of a few characters can tell them.
struct Marks<'t> {
    rest: std::str::CharIndices<'t>,
    before: char,
    quote: Option<(usize, char)>,
    is_comment: bool,
}

enum Mark {
    /// A quote that began here ends there.
    Quoted(usize, usize),
    /// A bracket or brace.
    Bracket(usize, char),
}

impl<'t> Marks<'t> {
    fn of(text: &'t str) -> Self {
        Marks { rest: text.char_indices(), before: '\n', quote: None, is_comment: false }
    }
}

impl Iterator for Marks<'_> {
    type Item = Mark;

    fn next(&mut self) -> Option<Mark> {
        for (place, c) in self.rest.by_ref() {
            let before = std::mem::replace(&mut self.before, c);
            let begins = before.is_whitespace() || matches!(before, '[' | '{' | ',');
            match (c, self.quote) {
                ('\n', _) => self.is_comment = false,
                _ if self.is_comment => {}
                (c, Some((start, quote))) if c == quote && before != '\\' => {
                    self.quote = None;
                    return Some(Mark::Quoted(start, place));
                }
                (_, Some(_)) => {}
                ('#', None) if before.is_whitespace() => self.is_comment = true,
                ('"' | '\'', None) if begins => self.quote = Some((place, c)),
                ('[' | ']' | '{' | '}', None) => return Some(Mark::Bracket(place, c)),
                _ => {}
            }
        }
        None
    }
}

/// A quote that begins a text of several lines, and ends just before an error: it was to end on its line.
fn unclosed_quote(text: &str, here: usize) -> Option<Diagnostic> {
    Marks::of(&text[..here]).find_map(|mark| match mark {
        Mark::Quoted(start, end) if text[start..end].contains('\n') && !text[end..here].contains('\n') => {
            Some(open_quote(text, start, Some(end)))
        }
        _ => None,
    })
}

/// A quote that does not end on its line.
fn open_quote(text: &str, start: usize, end: Option<usize>) -> Diagnostic {
    let (title, help) = match end {
        Some(end) => {
            let line = text[..end].matches('\n').count() + 1;
            ("this quote is not closed on its line", format!("the next quote, in line {line}, ends the text"))
        }
        None => ("this quote is never closed", "close it on the same line".to_owned()),
    };
    at(start..start + 1, Code::UnclosedQuote, title).label("expected a closing quote").help(help)
}

/// The list or mapping that is open at an error.
fn unclosed(text: &str, here: usize) -> Option<Diagnostic> {
    let mut open = Vec::new();
    for mark in Marks::of(&text[..here]) {
        match mark {
            Mark::Bracket(place, c @ ('[' | '{')) => open.push((place, c)),
            Mark::Bracket(..) => drop(open.pop()),
            Mark::Quoted(..) => {}
        }
    }
    let (begin, bracket) = open.pop()?;
    let (title, label) = match bracket {
        '[' => ("this list is not closed before here", "expected `,` or `]`"),
        _ => ("this mapping is not closed before here", "expected `,` or `}`"),
    };
    let line = text[..begin].matches('\n').count() + 1;
    Some(at(here..here + 1, Code::Syntax, title).label(label).help(format!("it begins in line {line}")))
}

/// A character that no file may hold.
pub(super) fn control_character(text: &str) -> Option<Diagnostic> {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}');
    let (place, c) = text.char_indices().find(|(_, c)| is_control(*c))?;
    let title = format!("a control character stands in the file: U+{:04X}", u32::from(c));
    let problem = at(place..place + c.len_utf8(), Code::Syntax, title).label("expected text");
    Some(problem.help(format!("remove it, or write \"\\x{:02x}\" in double quotes", u32::from(c))))
}

/// The first escape of a text in double quotes that YAML does not know.
fn unknown_escape(text: &str, quote: usize) -> usize {
    let mut characters = text[quote + 1..].char_indices();
    while let Some((place, c)) = characters.next() {
        let Some((_, escaped)) = (c == '\\').then(|| characters.next()).flatten() else { continue };
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ if "0abt\tnvfre \"/\\N_LP\n\r".contains(escaped) => continue,
            _ => return quote + 1 + place,
        };
        let code = text.get(quote + 3 + place..quote + 3 + place + digits);
        let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?)).is_none() {
            return quote + 1 + place;
        }
    }
    quote
}

/// A mistake by what the parser says of it, in the words of `saphyr-parser`, and the byte that it points at.
fn syntax(text: &str, slip: Slip, says: &str, here: usize) -> Diagnostic {
    // At the end of the file its last visible character says more than an empty line.
    let here = match text.get(here..).is_none_or(|rest| rest.trim().is_empty()) {
        true => text.trim_end().char_indices().last().map_or(0, |(at, _)| at),
        false => here,
    };
    let mark = |title: &str| at(here..here + 1, Code::Syntax, title);
    let mut found = text[here..].chars();
    if slip == Slip::Quote {
        let end = Marks::of(&text[here..]).find_map(|mark| match mark {
            Mark::Quoted(0, end) => Some(here + end),
            _ => None,
        });
        let is_text = end.is_some_and(|end| !text[here..end].contains('\n'));
        return match is_text {
            true => mark(&format!("this is no YAML: {says}")),
            false => open_quote(text, here, end),
        };
    }
    if let Some(problem) = unclosed_quote(text, here) {
        return problem;
    }
    match slip {
        Slip::Colon => {
            if let Some(problem) = unspaced(text, here) {
                return problem;
            }
            if let Some((line, help)) = no_entry_above(text, here) {
                return at(line, Code::Syntax, "this line is no `key: value`")
                    .label("expected a `:` and a space")
                    .help(help);
            }
            mark("a second `:` on this line, or a line indented too far")
                .label("a `:` is not expected here")
                .help("text that contains `: ` needs quotes; keys of one mapping begin in one column")
        }
        Slip::NoValue => no_value(text, here),
        Slip::Flow => {
            unclosed(text, here).unwrap_or_else(|| mark("this line does not belong to the value above it").help(ALIGN))
        }
        Slip::Alias => match found.nth(1).is_some_and(char::is_alphanumeric) {
            true => mark("this alias names no anchor before it")
                .label("expected the name of an anchor")
                .help("text that begins with `*` needs quotes, such as \"*\""),
            false => mark("a name is missing behind this `*` or `&`")
                .label("expected the name of an anchor, or text in quotes")
                .help("text that begins with `*` or `&` needs quotes, such as \"*\""),
        },
        Slip::Item => mark("this line is no item of the list above it").label("expected `- `").help(ALIGN),
        Slip::Line => {
            mark("this line does not belong to the value above it").label("expected `key: value`").help(ALIGN)
        }
        Slip::Bracket => mark("this bracket closes nothing")
            .label("expected a value, or the end of the line")
            .help("text that begins with a bracket needs quotes"),
        Slip::Escape => {
            let escape = unknown_escape(text, here);
            let title = "a backslash in double quotes begins an escape, and this one is unknown";
            at(escape..escape + 1, Code::Syntax, title)
                .label("expected an escape such as \\n or \\\\")
                .help("in single quotes a backslash is an ordinary character")
        }
        Slip::Tag => mark("tags are not part of the language")
            .label("expected a value without a tag")
            .help("text that begins with `!` needs quotes"),
        Slip::Character => {
            let title = match found.next() {
                Some('`') => "a value cannot begin with a backtick".to_owned(),
                Some('\t') => "a tab stands where a value begins".to_owned(),
                Some(c) => format!("a value cannot begin with `{c}`"),
                None => "a value cannot begin here".to_owned(),
            };
            mark(&title).label("expected a value").help("text that begins with a special character needs quotes")
        }
        Slip::Deep | Slip::Tab | Slip::Quote | Slip::Other => mark(&format!("this is no YAML: {says}")).help(ALIGN),
    }
}

/// The line before an error that has no `key: value`: the parser finds that only behind it.
fn no_value(text: &str, here: usize) -> Diagnostic {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let start = text[..here].rfind('\n').map_or(0, |at| at + 1);
    let above = &text[..if text[here..].contains('\n') { start } else { text.len() }];
    let mut lines = above.lines().rev().filter(is_content);
    // If only carriage returns end the lines, there is no line feed.
    let Some(mut line) = lines.next() else {
        return at(here..here + 1, Code::Syntax, "a line before here is no `key: value`")
            .label("expected a `:` and a space");
    };
    // Text that goes on in further lines stands further right there.
    for earlier in lines {
        if indent(earlier) >= indent(line) || earlier.contains(':') {
            break;
        }
        line = earlier;
    }
    let key = line.trim_start_matches([' ', '-']);
    let start = key.as_ptr() as usize - text.as_ptr() as usize;
    if let Some(problem) = unspaced(text, start) {
        return problem;
    }
    let key = key.trim_end();
    let (word, value) = key.split_once(' ').unwrap_or((key, "…"));
    at(start..start + key.len().max(1), Code::Syntax, "this line is no `key: value`")
        .label("expected a `:` and a space")
        .help(format!("write `{word}: {}`", shorten(value.trim())))
}

/// The line above an error that has no `key: value`, and what to do about it.
fn no_entry_above(text: &str, here: usize) -> Option<(Range<usize>, String)> {
    let line_start = text[..here].rfind('\n')?;
    // A second colon on the error's own line is the mistake itself.
    if text[line_start + 1..here].contains(": ") {
        return None;
    }
    let above = text[..line_start].lines().rev().find(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    })?;
    let content = above.trim().trim_start_matches("- ").trim_start();
    if content.contains(": ") || content.ends_with(':') || content.contains(['"', '\'', '{', '[', '|', '>']) {
        return None;
    }
    let start = content.as_ptr() as usize - text.as_ptr() as usize;
    let (key, value) = match content.split_once(':') {
        Some(parts) => parts,
        None => content.split_once(' ').unwrap_or((content, "…")),
    };
    Some((start..start + content.len(), format!("write `{key}: {}`", value.trim())))
}

const ALIGN: &str = "keys of one mapping, and dashes of one list, begin in one column";

/// `{{` as a value's first characters, without quotes, in or just before the line of an error.
fn unquoted_braces(text: &str, line: usize) -> Option<usize> {
    let first = line.saturating_sub(2);
    let mut start = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        if number > line {
            break;
        }
        if number >= first
            && let Some(at) = content.find("{{")
            && content[..at].trim_end().ends_with([':', '-', ',', '['])
        {
            return Some(start + at);
        }
        start += content.len();
    }
    None
}

/// The expression that begins a text: up to its closing braces, else up to the line's end.
fn braced(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.find("}}").map_or(line.trim_end(), |end| &line[..end + 2])
}

fn indenting_tab(text: &str, line: usize) -> Option<usize> {
    let mut start = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        let indentation = content.len() - content.trim_start_matches([' ', '\t']).len();
        if (number + 1 == line || number + 2 == line)
            && let Some(tab) = content[..indentation].find('\t')
        {
            return Some(start + tab);
        }
        start += content.len();
    }
    None
}

#[cfg(test)]
mod tests;
