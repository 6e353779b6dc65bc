//! What is wrong with a text that is no YAML, or YAML that no scenario uses, in words for people who write scenarios.

use super::diagnostic::Diagnostic;
use super::node::shorten;
use super::path::Path;
use crate::model::code::Code;

/// How to begin a file.
pub(in crate::language) const BEGINNING: &str = "a scenario has a `name:`, its `backends:` and its `cases:`";

/// Raised by the reading of a tree whose aliases make it far larger than its text.
pub(in crate::language) const TOO_MANY_ALIASES: &str = "aliases repeat too much";
/// Raised for a list or a mapping in the place of a key.
pub(in crate::language) const KEY_IS_NO_TEXT: &str = "a key is no text";

/// Whether there is nothing but comments.
pub(in crate::language) fn is_blank(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start)
        .all(|line| line.is_empty() || line.starts_with('#') || line.trim_end() == "---" || line.trim_end() == "...")
}

/// The diagnostic for [`is_blank`].
pub(in crate::language) fn empty() -> Diagnostic {
    at(0..0, Code::EmptyFile, "the file is empty").help(BEGINNING)
}

/// The diagnostic for a text of more than `limit` bytes.
pub(in crate::language) fn too_large(text: &str, limit: usize) -> Diagnostic {
    let title = format!("the file has {} bytes", text.len());
    at(0..0, Code::TooLarge, title).label(format!("expected at most {limit} bytes"))
}

/// Where a text opens more brackets and braces than anybody reads without closing them. The YAML reader's time grows with the square of
/// their number. What stands in quotes and comments does not count; a text that makes this hard to tell is counted as a whole, too.
pub(in crate::language) fn too_many_open(text: &str) -> Option<Diagnostic> {
    const MOST: usize = 1000;
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= MOST {
        return None; // as in every file that a person writes
    }
    let (mut read, mut whole) = (0_usize, 0_usize);
    let mut quote: Option<char> = None;
    let mut before = '\n';
    let mut is_comment = false;
    for (place, c) in text.char_indices() {
        match c {
            '[' | '{' => whole += 1,
            ']' | '}' => whole = whole.saturating_sub(1),
            _ => {}
        }
        match (c, quote) {
            ('\n', _) => is_comment = false,
            _ if is_comment => {}
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('#', None) if before.is_whitespace() => is_comment = true,
            ('"' | '\'', None) if before.is_whitespace() || matches!(before, '[' | '{' | ',' | ':') => quote = Some(c),
            ('[' | '{', None) => read += 1,
            (']' | '}', None) => read = read.saturating_sub(1),
            _ => {}
        }
        before = c;
        if read.max(whole) > MOST {
            return Some(deep(place));
        }
    }
    None
}

fn deep(here: usize) -> Diagnostic {
    at(here..here + 1, Code::TooDeep, "values are nested too deeply here").label("expected fewer than 128 levels")
}

fn at(span: std::ops::Range<usize>, code: Code, title: impl Into<String>) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(code, Path::root(), title);
    diagnostic.span = Some(span);
    diagnostic
}

/// An error of serde_yaml as a diagnostic.
pub(in crate::language) fn explain(text: &str, error: &serde_yaml::Error) -> Diagnostic {
    let message = error.to_string();
    // The reader counts characters; the end of a text may lie behind it.
    let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
    let here = offset(text, line, column);
    let says = |part: &str| message.contains(part);
    if says("more than one document") {
        let second = second_document(text);
        return at(second..second + 3, Code::SecondDocument, "a second document begins here")
            .label("expected the file to end")
            .help("a file is one scenario: move the rest to a file of its own");
    }
    if says(TOO_MANY_ALIASES) || says("repetition limit") {
        let alias = first_alias(text).unwrap_or(here..here);
        return at(alias, Code::AliasBomb, "aliases make this file far larger than its text")
            .label("expected few aliases, of small values")
            .help("write the repeated parts out, or repeat them less often");
    }
    if says("recursion limit") {
        return deep(here);
    }
    if let Some(brace) = unquoted_braces(text, line) {
        let expression = braced(&text[brace..]);
        return at(brace..brace + expression.len(), Code::UnquotedExpression, "an expression needs quotes around it")
            .label("YAML reads the braces as a mapping")
            .help(format!("quote it: \"{}\"", expression.replace('"', "'")));
    }
    if says(KEY_IS_NO_TEXT) {
        return at(here..here + 1, Code::KeyIsNoText, "a key is a list or a mapping here")
            .label("expected a name")
            .help("write an entry of its own for each name");
    }
    if let Some(tab) = indenting_tab(text, line) {
        return at(tab..tab + 1, Code::TabIndentation, "a tab indents this line")
            .label("expected spaces")
            .help("YAML indents with spaces only: two for each level");
    }
    if let Some(problem) = foreign_space(text, here).or_else(|| foreign_sign(text, here)) {
        return problem;
    }
    syntax(text, &message, here)
}

/// What a space is called that looks like one and is none to YAML.
pub(in crate::language) fn foreign(c: char) -> Option<String> {
    match c {
        '\u{a0}' => Some("a non-breaking space".to_owned()),
        _ if !c.is_ascii() && c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}') => {
            Some(format!("a space that YAML does not know (U+{:04X})", u32::from(c)))
        }
        _ => None,
    }
}

/// What to do about [`foreign()`] spaces.
pub(in crate::language) const PLAIN_SPACES: &str =
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
pub(in crate::language) fn foreign_value(text: &str) -> Option<String> {
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

/// A quote that begins a text of several lines, and ends just before an error: it was to end on its line.
fn unclosed_quote(text: &str, here: usize) -> Option<Diagnostic> {
    let mut open: Option<(usize, char)> = None;
    let mut before = '\n';
    let mut is_comment = false;
    for (place, c) in text[..here].char_indices() {
        match (c, open) {
            ('\n', _) => is_comment = false,
            _ if is_comment => {}
            (c, Some((start, quote))) if c == quote && before != '\\' => {
                let lines = text[start..place].matches('\n').count();
                if lines > 0 && !text[place..here].contains('\n') {
                    let line = text[..place].matches('\n').count() + 1;
                    return Some(
                        at(start..start + 1, Code::UnclosedQuote, "this quote is not closed on its line")
                            .label("expected a closing quote")
                            .help(format!("the next quote, in line {line}, ends the text")),
                    );
                }
                open = None;
            }
            (_, Some(_)) => {}
            ('#', None) if before.is_whitespace() => is_comment = true,
            ('"' | '\'', None) if before.is_whitespace() || matches!(before, '[' | '{' | ',') => {
                open = Some((place, c))
            }
            _ => {}
        }
        before = c;
    }
    None
}

fn syntax(text: &str, message: &str, here: usize) -> Diagnostic {
    let says = |part: &str| message.contains(part);
    let mark = |title: &str| at(here..here + 1, Code::Syntax, title);
    let found = text.get(here..).and_then(|rest| rest.chars().next());
    if says("quoted scalar") && says("end of stream") || says("quoted scalar") && says("document indicator") {
        let open = context(text, message).unwrap_or(here);
        return at(open..open + 1, Code::UnclosedQuote, "this quote is never closed")
            .label("expected a closing quote")
            .help("close it on the same line");
    }
    if let Some(problem) = unclosed_quote(text, here) {
        return problem;
    }
    if says("mapping values are not allowed") {
        if let Some(problem) = unspaced(text, here) {
            return problem;
        }
        if let Some((line, help)) = no_entry_above(text, here) {
            return at(line, Code::Syntax, "this line is no `key: value`")
                .label("expected a `:` and a space")
                .help(help);
        }
        return mark("a second `:` on this line, or a line indented too far")
            .label("a `:` is not expected here")
            .help("text that contains `: ` needs quotes; keys of one mapping begin in one column");
    }
    if says("unknown anchor") {
        return mark("this alias names no anchor before it")
            .label("expected the name of an anchor")
            .help("text that begins with `*` needs quotes, such as \"*\"");
    }
    if says("cannot start any token") {
        let title = match found {
            Some('`') => "a value cannot begin with a backtick".to_owned(),
            Some('\t') => "a tab stands where a value begins".to_owned(),
            Some(c) => format!("a value cannot begin with `{c}`"),
            None => "a value cannot begin here".to_owned(),
        };
        return mark(&title).label("expected a value").help("text that begins with a special character needs quotes");
    }
    if says("expected '-' indicator") {
        return mark("this line is no item of the list above it").label("expected `- `").help(ALIGN);
    }
    if says("could not find expected ':'") || says("simple key") {
        let key = context(text, message).unwrap_or(here);
        if let Some(problem) = unspaced(text, key) {
            return problem;
        }
        let line = text[key..].lines().next().unwrap_or_default().trim_end();
        let (word, value) = line.split_once(' ').unwrap_or((line, "…"));
        return at(key..key + line.len().max(1), Code::Syntax, "this line is no `key: value`")
            .label("expected a `:` and a space")
            .help(format!("write `{word}: {}`", shorten(value.trim())));
    }
    if says("expected ',' or ']'") {
        return unclosed(text, message, here, "this list is not closed before here", "expected `,` or `]`");
    }
    if says("expected ',' or '}'") {
        return unclosed(text, message, here, "this mapping is not closed before here", "expected `,` or `}`");
    }
    if says("expected key") || says("block sequence entries are not allowed") || says("<document start>") {
        return mark("this line does not belong to the value above it").label("expected `key: value`").help(ALIGN);
    }
    if says("unknown escape") || says("escape") && says("quoted scalar") {
        return mark("a backslash in double quotes begins an escape, and this one is unknown")
            .label("expected an escape such as \\n or \\\\")
            .help("in single quotes a backslash is an ordinary character");
    }
    if says("control characters") {
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        let (at_byte, c) = text.char_indices().find(|(_, c)| control(*c)).unwrap_or((here, ' '));
        let title = format!("a control character stands in the file: U+{:04X}", u32::from(c));
        return at(at_byte..at_byte + 1, Code::Syntax, title)
            .label("expected text")
            .help(format!("remove it, or write \"\\x{:02x}\" in double quotes", u32::from(c)));
    }
    if says("undefined tag handle") {
        return mark("tags are not part of the language")
            .label("expected a value without a tag")
            .help("text that begins with `!` needs quotes");
    }
    if says("expected alphabetic or numeric character") {
        return mark("a name is missing behind this `*` or `&`")
            .label("expected the name of an anchor, or text in quotes")
            .help("text that begins with `*` or `&` needs quotes, such as \"*\"");
    }
    let words = message.split(" at line ").next().unwrap_or(message);
    mark(&format!("this is no YAML: {words}")).help(ALIGN)
}

/// The line above an error that has no `key: value`, and what to do about it.
fn no_entry_above(text: &str, here: usize) -> Option<(std::ops::Range<usize>, String)> {
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

/// The first `*name` that stands where a value begins.
fn first_alias(text: &str) -> Option<std::ops::Range<usize>> {
    let start = text.match_indices('*').map(|(at, _)| at).find(|&at| {
        text[..at].ends_with([' ', '[', ',']) && text[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric())
    })?;
    let length = text[start + 1..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    Some(start..length.map_or(text.len(), |length| start + 1 + length))
}

const ALIGN: &str = "keys of one mapping, and dashes of one list, begin in one column";

fn unclosed(text: &str, message: &str, here: usize, title: &str, label: &str) -> Diagnostic {
    let open = context(text, message).unwrap_or(here);
    at(here..here + 1, Code::Syntax, title).label(label).help(match text[..open].matches('\n').count() + 1 {
        line if open != here => format!("it begins in line {line}"),
        _ => "close it on the same line".to_owned(),
    })
}

/// The place that a message names last: where the thing began that has no end.
fn context(text: &str, message: &str) -> Option<usize> {
    let (_, place) = message.rsplit_once(" at line ")?;
    let (line, column) = place.split_once(" column ")?;
    Some(offset(text, line.parse().ok()?, column.parse().ok()?))
}

/// The byte at a line and column, both from 1; the last character when the text ends before.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line {
        0 | 1 => 0,
        _ => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
    };
    if start >= text.len() {
        // Behind the last line: its last visible character says more than an empty line.
        return text.trim_end().char_indices().last().map_or(0, |(at, _)| at);
    }
    let rest = &text[start..];
    rest.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| start + at)
}

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

fn second_document(text: &str) -> usize {
    let mut start = 0;
    let mut content = false;
    for line in text.split_inclusive('\n') {
        let is_mark = line.starts_with("---") && !line[3..].starts_with(|c: char| !c.is_whitespace());
        if is_mark && content {
            return start;
        }
        content |= is_mark || !is_blank(line);
        start += line.len();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::Code;
    use crate::language::text::node::parse;
    use crate::language::text::{diagnostic::Source, render::render};

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
}
