//! From a path into a document to lines and columns of its text.
//!
//! serde_yaml keeps no positions, so the text is parsed a second time, by a parser that does, and only once a diagnostic
//! is to be shown.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::diagnostic::{Location, Target};
use super::path::{Path, Segment};

/// The positions of all keys and values of one text.
#[derive(Debug)]
pub struct Locator {
    text: String,
    /// Byte offsets at which lines start.
    lines: Vec<usize>,
    places: Vec<Place>,
    root: Option<usize>,
}

#[derive(Debug)]
struct Place {
    span: Range<usize>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Scalar {
        text: String,
        style: ScalarStyle,
    },
    Sequence(Vec<usize>),
    /// Alternating keys and values.
    Mapping(Vec<usize>),
    /// Stands for this place.
    Alias(Option<usize>),
}

impl Locator {
    /// Parses the text. Where it is no YAML, the places up to there are known.
    pub fn new(text: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut locator = Locator { text: text.to_owned(), lines, places: Vec::new(), root: None };
        locator.read();
        locator
    }

    fn read(&mut self) {
        // The parser counts characters.
        let bytes: Option<Vec<usize>> = (!self.text.is_ascii())
            .then(|| self.text.char_indices().map(|(at, _)| at).chain([self.text.len()]).collect());
        let byte = |index: usize| match &bytes {
            Some(bytes) => bytes.get(index).copied().unwrap_or(self.text.len()),
            None => index.min(self.text.len()),
        };
        let range = |span: Span| {
            let start = byte(span.start.index());
            start..byte(span.end.index()).max(start)
        };
        let mut places: Vec<Place> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        let mut anchors: Vec<(usize, usize)> = Vec::new();
        for event in Parser::new_from_str(&self.text) {
            let Ok((event, span)) = event else { break };
            let (content, anchor, opens) = match event {
                Event::Alias(anchor) => {
                    let found = anchors.iter().rev().find(|(id, _)| *id == anchor).map(|(_, place)| *place);
                    (Content::Alias(found), 0, false)
                }
                Event::Scalar(text, style, anchor, _) => {
                    (Content::Scalar { text: text.into_owned(), style }, anchor, false)
                }
                Event::SequenceStart(anchor, _) => (Content::Sequence(Vec::new()), anchor, true),
                Event::MappingStart(anchor, _) => (Content::Mapping(Vec::new()), anchor, true),
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(closed) = open.pop() {
                        let place = &mut places[closed].span;
                        place.end = place.end.max(range(span).end);
                    }
                    continue;
                }
                Event::DocumentEnd => break,
                _ => continue,
            };
            let place = places.len();
            places.push(Place { span: range(span), content });
            if anchor != 0 {
                anchors.push((anchor, place));
            }
            if let Some(parent) = open.last() {
                match &mut places[*parent].content {
                    Content::Sequence(children) | Content::Mapping(children) => children.push(place),
                    _ => {}
                }
            }
            if opens {
                open.push(place);
            }
        }
        self.root = (!places.is_empty()).then_some(0);
        self.places = places;
    }

    /// Where a path stands; a path that is not there gives its nearest ancestor that is, its key rather than its value.
    pub fn locate(&self, path: &Path, target: Target) -> Location {
        self.location(self.span(path, target))
    }

    /// Where a part of a scalar's text stands; `inside` counts bytes of the text as YAML read it.
    pub fn locate_inside(&self, path: &Path, inside: &Range<usize>) -> Location {
        let span = self.find(path, Target::Value).ok().and_then(|place| self.inside(place, inside));
        span.map_or_else(|| self.locate(path, Target::Value), |span| self.location(span))
    }

    /// The line and column of a byte range, cut to its first line and to the text.
    pub fn location(&self, span: Range<usize>) -> Location {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let line = self.lines.partition_point(|at| *at <= start).max(1);
        let line_start = self.lines[line - 1];
        let rest = &self.text[start..];
        let length = rest.find('\n').unwrap_or(rest.len()).min(span.end.saturating_sub(start));
        let mut end = start + length;
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let end = start + self.text[start..end].trim_end().len();
        Location { line, column: self.text[line_start..start].chars().count() + 1, span: start..end }
    }

    /// The text of a line (from 1) and the byte at which it starts, without its line break.
    pub fn line(&self, line: usize) -> (usize, &str) {
        let start = self.lines.get(line.wrapping_sub(1)).copied().unwrap_or(self.text.len());
        let rest = &self.text[start..];
        let text = &rest[..rest.find('\n').unwrap_or(rest.len())];
        (start, text.strip_suffix('\r').unwrap_or(text))
    }

    fn span(&self, path: &Path, target: Target) -> Range<usize> {
        match self.find(path, target) {
            Ok(place) | Err(Some(place)) => self.shown(place),
            Err(None) => 0..0,
        }
    }

    /// What of a place is underlined. A missing value has no text; its place is where it would stand.
    fn shown(&self, place: usize) -> Range<usize> {
        self.places[place].span.clone()
    }

    /// The place at a path, or the nearest known one above.
    fn find(&self, path: &Path, target: Target) -> Result<usize, Option<usize>> {
        let mut place = self.root.ok_or(None)?;
        let mut nearest = place;
        for (position, segment) in path.segments().iter().enumerate() {
            let last = position + 1 == path.segments().len();
            while let Content::Alias(Some(target)) = self.places[place].content {
                place = target;
            }
            match (&self.places[place].content, segment) {
                (Content::Sequence(children), Segment::Index(index)) => {
                    place = *children.get(*index).ok_or(Some(nearest))?;
                    nearest = place;
                }
                (Content::Mapping(children), Segment::Key(key)) => {
                    let skip = match target {
                        Target::Repeat(times) if last => times,
                        _ => 0,
                    };
                    let pair = self.pair(children, key, skip).or_else(|| self.pair(children, key, 0));
                    let pair = pair.ok_or(Some(nearest))?;
                    if last && target != Target::Value {
                        return Ok(pair[0]);
                    }
                    nearest = pair[0];
                    let Some(value) = pair.get(1) else { return Err(Some(nearest)) };
                    // A value left out has no text of its own; its key stands for it.
                    if last && self.places[*value].span.is_empty() && self.is_empty(*value) {
                        return Ok(pair[0]);
                    }
                    place = *value;
                }
                _ => return Err(Some(nearest)),
            }
        }
        Ok(place)
    }

    fn is_empty(&self, place: usize) -> bool {
        matches!(&self.places[place].content, Content::Scalar { text, .. } if text.is_empty() || text == "~")
    }

    fn pair<'p>(&self, children: &'p [usize], key: &str, skip: usize) -> Option<&'p [usize]> {
        let is_key = |pair: &&[usize]| match &self.places[pair[0]].content {
            Content::Scalar { text, .. } => text == key,
            Content::Alias(Some(place)) => {
                matches!(&self.places[*place].content, Content::Scalar { text, .. } if text == key)
            }
            _ => false,
        };
        children.chunks(2).filter(is_key).nth(skip)
    }

    /// The part of a scalar's source that `inside` of its text comes from. Between the two lie quotes, escapes and folded
    /// lines; the text's visible characters stand in the source in the same order, which finds the place well enough.
    fn inside(&self, place: usize, inside: &Range<usize>) -> Option<Range<usize>> {
        let place = match self.places[place].content {
            Content::Alias(Some(target)) => target,
            _ => place,
        };
        let Content::Scalar { text, style } = &self.places[place].content else { return None };
        let span = self.places[place].span.clone();
        let source = self.text.get(span.clone())?;
        let skip = match style {
            ScalarStyle::Plain => 0,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
            // The indicator's line is no text.
            ScalarStyle::Literal | ScalarStyle::Folded if source.starts_with(['|', '>']) => source.find('\n')? + 1,
            ScalarStyle::Literal | ScalarStyle::Folded => 0,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: x\ncases:\n  - name: a\n    expct: [ok, EINVAL]\n  - { name: \"b c\", name: d }\n";

    fn shown<'t>(text: &'t str, path: &[Segment], target: Target) -> (usize, usize, &'t str) {
        let path: Path = path.iter().cloned().collect();
        let location = Locator::new(text).locate(&path, target);
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
        assert_eq!(shown("a: 1\nb: [1, ]]\n", &path(&["b", "0"]), Target::Value), (2, 5, "1"));
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
        assert_eq!(shown("\u{feff}a: 1\nb: 2\n", &path(&["b"]), Target::Value), (2, 4, "2"));
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
            let locator = Locator::new(source);
            let location = locator.locate_inside(&Path::root().join("a"), &(start..start + part.len()));
            assert_eq!(&source[location.span], part, "{source}");
        }
    }
}
