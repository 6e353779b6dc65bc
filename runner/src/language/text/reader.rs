// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a text to its tree: the one place where YAML is read.
//!
//! `saphyr-parser` finds keys and values with their places; what a plain word means (a number, true, nothing) is decided here, as
//! YAML 1.2 has it, so that no two readers of a file can disagree.

use std::{collections::HashMap, ops::Range, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::node::{Content, Extent, Key, Node, Value};
use super::{diagnostic::Diagnostic, syntax};

/// Files beyond this many bytes are no scenarios.
const LARGEST: usize = 16 << 20;
/// Values nested this deeply are refused.
const DEEPEST: usize = 128;

/// Reads one document. An error is one of syntax; what the language lacks beyond YAML is found by
/// [`decode()`](super::decode::decode()).
pub fn parse(text: &str) -> Result<Node, Box<Diagnostic>> {
    if text.len() > LARGEST {
        return Err(syntax::too_large(text, LARGEST).into());
    }
    if let Some(problem) = syntax::control_character(text) {
        return Err(problem.into());
    }
    // The parser counts characters.
    let bytes: Vec<usize> = match text.is_ascii() {
        true => Vec::new(),
        false => text.char_indices().map(|(at, _)| at).chain([text.len()]).collect(),
    };
    let byte = |index: usize| if bytes.is_empty() { index } else { bytes.get(index).copied().unwrap_or(text.len()) };
    let range = |span: Span| {
        let (start, end) = (byte(span.start.index()).min(text.len()), byte(span.end.index()).min(text.len()));
        start..end.max(start)
    };
    let mut tree = Tree::new(text);
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => tree.take(event, range(span))?,
            Err(error) => {
                let here = byte(error.marker().index()).min(text.len());
                return Err(syntax::explain(text, error.info(), here).into());
            }
        }
    }
    match tree.root {
        Some(root) if *root.value() != Value::Null || !syntax::is_blank(text) => Ok(root),
        _ => Err(syntax::empty().into()),
    }
}

/// A tree that grows with the parser's events.
struct Tree<'t> {
    text: &'t str,
    root: Option<Node>,
    open: Vec<Frame>,
    /// The values with an anchor, each with its cost.
    anchors: HashMap<usize, (Arc<Node>, usize)>,
    /// What aliases may still cost, in nodes and bytes of text: with them a small text can stand for a huge tree.
    budget: usize,
}

/// A list or mapping that has not ended.
struct Frame {
    content: Collection,
    start: usize,
    anchor: usize,
    tag: Option<Box<str>>,
    cost: usize,
}

enum Collection {
    List(Vec<Node>),
    Table {
        entries: Vec<(Key, Node)>,
        key: Option<Key>,
        /// The inner pair of braces of an unquoted `{{ page }}`: YAML reads it as a mapping in the place of a key.
        braces: Option<String>,
    },
}

impl<'t> Tree<'t> {
    fn new(text: &'t str) -> Self {
        let budget = text.len().saturating_mul(4) + (64 << 10);
        Tree { text, root: None, open: Vec::new(), anchors: HashMap::new(), budget }
    }

    fn take(&mut self, event: Event<'t>, at: Range<usize>) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err(syntax::second_document(at.start).into()),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().filter(|tag| !tag.is_yaml_core_schema() || tag.suffix == "str");
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(Tag::is_yaml_core_schema);
                let cost = 1 + text.len();
                if self.wants_key() {
                    let key = Key { text: text.into_owned(), extent: at.into() };
                    if anchor != 0 {
                        let value = Content::Own(Value::Text(key.text.clone()));
                        self.anchors
                            .insert(anchor, (Arc::new(Node { content: value, extent: key.extent, tag: None }), cost));
                    }
                    self.key(key, cost);
                    return Ok(());
                }
                let value = if is_text { Value::Text(text.into_owned()) } else { plain(&text) };
                let tag = tag.filter(|tag| !tag.is_yaml_core_schema()).map(name);
                self.close(Node { content: Content::Own(value), extent: at.into(), tag }, anchor, cost)
            }
            Event::SequenceStart(anchor, tag) => self.open(Collection::List(Vec::new()), at, anchor, tag.as_deref()),
            Event::MappingStart(anchor, tag) => {
                let content = Collection::Table { entries: Vec::new(), key: None, braces: None };
                self.open(content, at, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.open.pop() else { return Ok(()) };
                let value = match frame.content {
                    Collection::List(elements) => Value::Sequence(elements),
                    Collection::Table { braces: Some(text), .. } => Value::Unquoted(text),
                    Collection::Table { entries, .. } => Value::Mapping(entries),
                };
                let extent = Extent::from(frame.start..at.end.max(frame.start));
                self.close(Node { content: Content::Own(value), extent, tag: frame.tag }, frame.anchor, frame.cost)
            }
            Event::Alias(anchor) => {
                let Some((node, cost)) = self.anchors.get(&anchor).cloned() else {
                    return Err(syntax::within_itself(at).into());
                };
                match self.budget.checked_sub(cost) {
                    Some(rest) => self.budget = rest,
                    None => return Err(syntax::alias_bomb(at).into()),
                }
                self.close(Node { content: Content::Shared(node), extent: at.into(), tag: None }, 0, cost)
            }
            _ => Ok(()),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last().map(|frame| &frame.content), Some(Collection::Table { key: None, .. }))
    }

    fn open(
        &mut self,
        content: Collection,
        at: Range<usize>,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= DEEPEST {
            return Err(syntax::too_deep(at.start).into());
        }
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema()).map(name);
        self.open.push(Frame { content, start: at.start, anchor, tag, cost: 1 });
        Ok(())
    }

    fn key(&mut self, read: Key, read_cost: usize) {
        if let Some(Frame { content: Collection::Table { key, .. }, cost, .. }) = self.open.last_mut() {
            *key = Some(read);
            *cost += read_cost;
        }
    }

    /// Puts a whole value where it belongs.
    fn close(&mut self, node: Node, anchor: usize, node_cost: usize) -> Result<(), Box<Diagnostic>> {
        let node = match anchor {
            0 => node,
            _ => {
                let extent = node.extent;
                let shared = Arc::new(node);
                self.anchors.insert(anchor, (shared.clone(), node_cost));
                Node { content: Content::Shared(shared), extent, tag: None }
            }
        };
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.cost += node_cost;
        match &mut frame.content {
            Collection::List(elements) => elements.push(node),
            Collection::Table { entries, key, braces } => match key.take() {
                Some(key) if braces.is_some() => {
                    // The value of the inner braces of `{{ page }}` is nothing; any other is no expression.
                    if *node.value() != Value::Null || !key.text.is_empty() {
                        return Err(syntax::no_key(self.text, node.extent.range()).into());
                    }
                }
                Some(key) => entries.push((key, node)),
                None => {
                    let extent = node.extent;
                    let text = match node.value() {
                        Value::Text(text) => text.clone(),
                        Value::Mapping(words) if entries.is_empty() && braces.is_none() => {
                            if !words.iter().all(|(_, value)| *value.value() == Value::Null) {
                                return Err(syntax::no_key(self.text, extent.range()).into());
                            }
                            let words: Vec<&str> = words.iter().map(|(key, _)| key.text.as_str()).collect();
                            *braces = Some(format!("{{{{ {} }}}}", words.join(", ")));
                            String::new()
                        }
                        Value::Sequence(_) | Value::Mapping(_) | Value::Unquoted(_) => {
                            return Err(syntax::no_key(self.text, extent.range()).into());
                        }
                        _ => node.to_string(),
                    };
                    *key = Some(Key { text, extent });
                }
            },
        }
        Ok(())
    }
}

fn name(tag: &Tag) -> Box<str> {
    match tag.handle.as_str() {
        "!" => tag.suffix.as_str().into(),
        handle => format!("{handle}{}", tag.suffix).into(),
    }
}

/// What a word without quotes stands for.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {}
        _ => {
            if let Some(value) = number(text) {
                return value;
            }
        }
    }
    Value::Text(text.to_owned())
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.starts_with(['+', '-']) {
        return None;
    }
    // `0755` is text: to some readers it is octal, and to some decimal.
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)];
    let (digits, radix) = match radix.iter().find_map(|(mark, radix)| Some((digits.strip_prefix(mark)?, *radix))) {
        Some((digits, _)) if digits.starts_with(['+', '-']) => return None,
        Some(number) => number,
        None => (digits, 10),
    };
    let is_negative = text.starts_with('-');
    if let Ok(number) = u128::from_str_radix(digits, radix) {
        return match i128::try_from(number) {
            Ok(number) => Some(Value::Integer(if is_negative { -number } else { number })),
            Err(_) if is_negative => None,
            Err(_) => Some(Value::Text(number.to_string())),
        };
    }
    match digits {
        _ if radix != 10 => None,
        ".inf" | ".Inf" | ".INF" => Some(Value::Float(if is_negative { f64::NEG_INFINITY } else { f64::INFINITY })),
        ".nan" | ".NaN" | ".NAN" => Some(Value::Float(f64::NAN)),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code::Code;

    fn read(text: &str) -> Value {
        parse(text).unwrap().value().clone()
    }

    #[test]
    fn a_document_keeps_its_order_and_its_duplicate_keys() {
        let node = parse("b: 1\na: [x, 0x10, -3, 1.5, true, ~]\nb: 2\n").unwrap();
        assert_eq!(node.to_string(), "{b: 1, a: [x, 16, -3, 1.5, true, null], b: 2}");
    }

    #[test]
    fn a_plain_word_is_what_yaml_says() {
        for (text, value) in [
            ("0x1F", Value::Integer(31)),
            ("-0x10", Value::Integer(-16)),
            ("0o17", Value::Integer(15)),
            ("+5", Value::Integer(5)),
            ("0", Value::Integer(0)),
            ("1e3", Value::Float(1000.0)),
            ("-.5", Value::Float(-0.5)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("~", Value::Null),
            ("True", Value::Bool(true)),
            ("!!str 5", Value::Text("5".to_owned())),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
        for text in
            ["0755", "-007", "yes", "on", "1_000", "0xzz", "+-1", "0x-1", "1:30", "nan", "inf", "12:30:45", "4KiB"]
        {
            assert_eq!(read(text), Value::Text(text.to_owned()), "{text}");
        }
        let digits = "340282366920938463463374607431768211455";
        assert_eq!(read(digits), Value::Text(digits.to_owned()), "no digit is lost");
    }

    #[test]
    fn keys_are_text_as_they_are_written() {
        let node = parse("0: a\ntrue: b\n0x10: c\n\"q\": d\n&x e: f\n*x : g\n").unwrap();
        let keys: Vec<&str> = node.entries().iter().map(|(key, _)| key.text.as_str()).collect();
        assert_eq!(keys, ["0", "true", "0x10", "q", "e", "e"]);
    }

    #[test]
    fn an_expression_without_quotes_is_kept_as_such() {
        let node = parse("a: {{ page }}\nb: {{ align_up(x, 4096) }}\n").unwrap();
        assert_eq!(node.get("a").unwrap().value(), &Value::Unquoted("{{ page }}".to_owned()));
        assert_eq!(node.get("b").unwrap().value(), &Value::Unquoted("{{ align_up(x, 4096) }}".to_owned()));
    }

    #[test]
    fn tags_are_kept_to_be_reported() {
        let node = parse("a: !secret b\n").unwrap();
        assert_eq!(node.get("a").unwrap().tag.as_deref(), Some("secret"));
    }

    #[test]
    fn aliases_work_and_cannot_explode() {
        assert_eq!(parse("a: &x 1\nb: *x\n").unwrap().get("b").unwrap().value(), &Value::Integer(1));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert_eq!(parse(&bomb).unwrap_err().code, Code::AliasBomb);
        let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(5000), "*a, ".repeat(5000));
        assert_eq!(parse(&wide).unwrap_err().code, Code::AliasBomb);
        assert_eq!(parse("a: &a [*a]\n").unwrap_err().code, Code::Syntax);
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in ["[".repeat(1000), format!("{}{}", "[".repeat(500), "]".repeat(500)), "- ".repeat(100_000)] {
            assert_eq!(parse(&text).unwrap_err().code, Code::TooDeep);
        }
    }
}
