// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file's text, its tree, and from a path into the tree to a line and a column of the text.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::diagnostic::{Diagnostic, Target};
use super::node::{Key, Node, Value};
use super::path::{Path, Segment};
use super::{expand::expand, reader::parse};
use crate::model::code::Code;

/// A file's text, to point into.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The file's path as the user gave it.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: String,
    /// Made when it is first asked for.
    #[serde(skip)]
    read: OnceLock<Arc<Read>>,
}

/// What is known of a text once it is read.
#[derive(Debug)]
struct Read {
    /// Bytes at which lines start.
    lines: Vec<usize>,
    tree: Result<Node, Box<Diagnostic>>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The bytes of the file's text.
    pub span: Range<usize>,
}

impl Source {
    /// A text under a name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Source { name: name.into(), text, read: OnceLock::new() }
    }

    /// A file's bytes under a name. Where they are not UTF-8, the readable rest is the source, and the diagnostic says where and why.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Box<(Self, Diagnostic)>> {
        let name = name.into();
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(Source::new(name, text)),
            Err(error) => error,
        };
        let at = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let sixteen = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let title = match bytes.get(at) {
            _ if sixteen => "the file is UTF-16, not UTF-8".to_owned(),
            Some(byte) => format!("the file is not UTF-8: byte 0x{byte:02x}"),
            None => "the file is not UTF-8".to_owned(),
        };
        let mut diagnostic = Diagnostic::error(Code::NotUtf8, Path::root(), title)
            .label("expected UTF-8 from here on")
            .help("save the file as UTF-8");
        // The lossy text equals the bytes up to the first bad one, where a replacement character of three bytes stands.
        diagnostic.span = Some(at..at + '\u{fffd}'.len_utf8());
        Err(Box::new((Source::new(name, String::from_utf8_lossy(&bytes)), diagnostic)))
    }

    fn read(&self) -> &Read {
        self.read.get_or_init(|| {
            let lines = std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
            let expanded = |mut root| expand(&mut root, self.text.len()).map(|()| root);
            Arc::new(Read { lines, tree: parse(&self.text).and_then(expanded) })
        })
    }

    /// The text as a tree, with what the file says once copied to where it is used; or why it is not YAML.
    pub fn tree(&self) -> Result<&Node, &Diagnostic> {
        self.read().tree.as_ref().map_err(|problem| &**problem)
    }

    /// Where a path stands. For a path that is not there it is the nearest key or value above.
    pub fn locate(&self, path: &Path, target: Target) -> Location {
        self.location(self.span(path, target))
    }

    /// Where a diagnostic points.
    pub fn place(&self, diagnostic: &Diagnostic) -> Location {
        match (&diagnostic.span, &diagnostic.inside) {
            (Some(span), _) => self.location(span.clone()),
            (None, Some(inside)) => self.locate_inside(&diagnostic.path, inside),
            (None, None) => self.locate(&diagnostic.path, diagnostic.target),
        }
    }

    /// Where a part of a scalar's text stands; `inside` counts bytes of the text as YAML read it.
    fn locate_inside(&self, path: &Path, inside: &Range<usize>) -> Location {
        let node = self.tree().ok().and_then(|root| root.at(path));
        let span = node.and_then(|node| inside_of(&self.text, node.target(), inside));
        span.map_or_else(|| self.locate(path, Target::Value), |span| self.location(span))
    }

    /// The line and column of a byte range, cut to its first line and to the text.
    fn location(&self, span: Range<usize>) -> Location {
        let text = &self.text;
        let start = text.floor_char_boundary(span.start);
        let lines = &self.read().lines;
        let line = lines.partition_point(|at| *at <= start).max(1);
        let rest = &text[start..];
        let length = rest.find('\n').unwrap_or(rest.len()).min(span.end.saturating_sub(start));
        let end = start + rest[..rest.ceil_char_boundary(length)].trim_end().len();
        Location { line, column: text[lines[line - 1]..start].chars().count() + 1, span: start..end }
    }

    /// The text of a line (from 1) and the byte at which it starts, without its line break.
    pub(super) fn line(&self, line: usize) -> (usize, &str) {
        let start = self.read().lines.get(line.wrapping_sub(1)).copied().unwrap_or(self.text.len());
        let rest = &self.text[start..];
        let text = &rest[..rest.find('\n').unwrap_or(rest.len())];
        (start, text.strip_suffix('\r').unwrap_or(text))
    }

    fn span(&self, path: &Path, target: Target) -> Range<usize> {
        let Ok(root) = self.tree() else { return 0..0 };
        let mut node = root;
        let mut nearest = root.extent;
        for (position, segment) in path.segments().iter().enumerate() {
            let is_last = position + 1 == path.segments().len();
            match (node.value(), segment) {
                (Value::Sequence(elements), Segment::Index(index)) => match elements.get(*index) {
                    Some(element) => (node, nearest) = (element, element.extent),
                    None => return nearest.range(),
                },
                (Value::Mapping(entries), Segment::Key(key)) => {
                    let mut same = entries.iter().filter(|(name, _)| name.text == **key);
                    let skip = if let (Target::Repeat(times), true) = (target, is_last) { times } else { 0 };
                    let found = same.clone().nth(skip).or_else(|| same.next());
                    let Some((Key { extent, .. }, value)) = found else { return nearest.range() };
                    // A value that is left out has no text of its own; its key stands for it.
                    let is_empty = value.extent.range().is_empty() && *value.value() == Value::Null;
                    if is_last && (target != Target::Value || is_empty) {
                        return extent.range();
                    }
                    (node, nearest) = (value, *extent);
                }
                _ => return nearest.range(),
            }
        }
        node.extent.range()
    }
}

/// The part of a scalar's source that `inside` of its text comes from. Between the two lie quotes, escapes and folded lines; the
/// text's visible characters stand in the source in the same order, which finds the place well enough.
fn inside_of(file: &str, node: &Node, inside: &Range<usize>) -> Option<Range<usize>> {
    let Value::Text(text) = node.value() else { return None };
    let span = node.extent.range();
    let source = file.get(span.clone())?;
    let skip = match source.chars().next()? {
        '"' | '\'' => 1,
        // The indicator's line is no text.
        '|' | '>' => source.find('\n')? + 1,
        _ => 0,
    };
    let body = source.get(skip..)?;
    if body.starts_with(text.as_str()) {
        let base = span.start + skip;
        return Some(base + inside.start.min(text.len())..base + inside.end.min(text.len()));
    }
    let mut source = body.char_indices().filter(|(_, c)| !c.is_whitespace());
    let (mut start, mut end) = (None, None);
    for (at, wanted) in text.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        if at >= inside.end && start.is_some() {
            break;
        }
        let (found, c) = source.find(|(_, c)| *c == wanted)?;
        if at >= inside.start {
            start.get_or_insert(found);
            end = Some(found + c.len_utf8());
        }
    }
    Some(span.start + skip + start?..span.start + skip + end?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::render;

    const TEXT: &str = "name: x\ncases:\n  - name: a\n    expct: [ok, EINVAL]\n  - { name: \"b c\", name: d }\n";

    fn shown<'t>(text: &'t str, path: &[Segment], target: Target) -> (usize, usize, &'t str) {
        let path: Path = path.iter().cloned().collect();
        let location = Source::new("f", text).locate(&path, target);
        (location.line, location.column, &text[location.span])
    }

    fn path(segments: &[&str]) -> Vec<Segment> {
        segments.iter().map(|s| s.parse().map_or_else(|_| Segment::from(*s), Segment::Index)).collect()
    }

    #[test]
    fn keys_and_values_are_found() {
        for (segments, target, expected) in [
            (path(&["name"]), Target::Key, (1, 1, "name")),
            (path(&["name"]), Target::Value, (1, 7, "x")),
            (path(&["cases", "0", "expct"]), Target::Key, (4, 5, "expct")),
            (path(&["cases", "0", "expct", "1"]), Target::Value, (4, 17, "EINVAL")),
            (path(&["cases", "0"]), Target::Value, (3, 5, "name: a")),
            (path(&["cases", "1", "name"]), Target::Value, (5, 13, "\"b c\"")),
            (path(&["cases", "1", "name"]), Target::Repeat(1), (5, 20, "name")),
        ] {
            assert_eq!(shown(TEXT, &segments, target), expected, "{segments:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_shown_at_what_is() {
        assert_eq!(shown(TEXT, &path(&["cases", "0", "expct", "7"]), Target::Value), (4, 5, "expct"));
        assert_eq!(shown(TEXT, &path(&["cases", "9"]), Target::Value), (2, 1, "cases"));
        assert_eq!(shown("a:\nb: 1\n", &path(&["a"]), Target::Value), (1, 1, "a"));
        assert_eq!(shown("", &path(&["a"]), Target::Value), (1, 1, ""));
    }

    #[test]
    fn aliases_lead_to_where_their_value_stands() {
        let text = "a: &a { size: 1 }\nb: *a\n";
        assert_eq!(shown(text, &path(&["b"]), Target::Value), (2, 4, "*a"));
        assert_eq!(shown(text, &path(&["b", "size"]), Target::Value), (1, 15, "1"));
    }

    #[test]
    fn columns_count_characters_whatever_the_line_ends_with() {
        assert_eq!(shown("a: 'ü🦀'\r\nb: [ü, x]\r\n", &path(&["b", "1"]), Target::Value), (2, 8, "x"));
    }

    #[test]
    fn a_part_of_a_scalar_is_found_through_quotes_escapes_and_folds() {
        let cases = [
            ("a: \"{{ page }}\"", "{{ page }}", "page"),
            ("a: '{{ ''x'' ~ page }}'", "{{ 'x' ~ page }}", "page"),
            ("a: \"{{ \\\"x\\\" ~ page }}\"", "{{ \"x\" ~ page }}", "page"),
            ("a: >-\n  {{ 1 +\n  page }}\n", "{{ 1 + page }}", "page"),
            ("a: |\n  one\n  page\n", "one\npage\n", "page"),
            ("a: ü page", "ü page", "page"),
        ];
        for (source, text, part) in cases {
            let start = text.find(part).unwrap();
            let file = Source::new("f", source);
            let location = file.locate_inside(&Path::root().join("a"), &(start..start + part.len()));
            assert_eq!(&source[location.span], part, "{source}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let source = Source::from_bytes("a.yaml", b"\xef\xbb\xbfa: 1".to_vec()).unwrap();
        assert_eq!(source.text, "a: 1");
    }

    #[test]
    fn bytes_that_are_no_text_are_pointed_at() {
        let (source, diagnostic) = *Source::from_bytes("a.yaml", b"a: \xfff".to_vec()).unwrap_err();
        assert_eq!(diagnostic.title, "the file is not UTF-8: byte 0xff");
        assert!(render(&source, &[diagnostic], false).contains("a.yaml:1:4"));
        let (source, diagnostic) = *Source::from_bytes("a.yaml", b"\xff\xfea\0".to_vec()).unwrap_err();
        assert_eq!(diagnostic.title, "the file is UTF-16, not UTF-8");
        render(&source, &[diagnostic], false);
    }
}
