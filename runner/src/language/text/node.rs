// SPDX-License-Identifier: MIT OR Apache-2.0
//! A YAML document as a tree that keeps where everything stands.

use std::{fmt, ops::Range, sync::Arc};

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::path::{Path, Segment};
use super::suggest::shorten;

/// A part of a file's text, in bytes. Files are smaller than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    start: u32,
    end: u32,
}

impl Extent {
    /// The bytes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl From<Range<usize>> for Extent {
    fn from(range: Range<usize>) -> Self {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Extent { start: place(range.start), end: place(range.end) }
    }
}

/// One value of a document, and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is written there; [`Node::value`] follows aliases.
    pub(super) content: Content,
    /// Where it stands. An alias stands where it is written, and not where its anchor is.
    pub extent: Extent,
    /// `!name` before the value, without the mark: not part of the language.
    pub tag: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Own(Value),
    /// A value with an anchor, and each alias of it.
    Shared(Arc<Node>),
}

/// A value, whatever its place.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing written after the colon or dash, or `null`, or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; those beyond `i128` are kept as text.
    Integer(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// Text, quoted or not.
    Text(String),
    /// `[a, b]` or lines with dashes.
    Sequence(Vec<Node>),
    /// `{a: 1}` or lines with colons, in the document's order, duplicates included.
    Mapping(Vec<(Key, Node)>),
    /// `{{ page }}` without quotes, which YAML reads as two nested mappings. The text is the expression with its braces.
    Unquoted(String),
}

/// A key as it is written, without quotes: `0x10` is not `16`.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub extent: Extent,
}

/// Two nodes are equal where their values are, wherever these stand.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value() == other.value() && self.tag == other.tag
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.text == other.text
    }
}

impl Node {
    /// The node that this one is an alias of, else itself.
    pub fn target(&self) -> &Node {
        match &self.content {
            Content::Own(_) => self,
            Content::Shared(node) => node.target(),
        }
    }

    /// The value; that of an alias is its anchor's.
    pub fn value(&self) -> &Value {
        match &self.content {
            Content::Own(value) => value,
            Content::Shared(node) => node.value(),
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        match self.value() {
            Value::Text(text) | Value::Unquoted(text) => Some(text),
            _ => None,
        }
    }

    /// The value as it would be written, if it is one of a single line.
    pub fn scalar(&self) -> Option<String> {
        match self.value() {
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
            _ => Some(self.to_string()),
        }
    }

    /// Keys and values, if this is a mapping.
    pub fn entries(&self) -> &[(Key, Node)] {
        match self.value() {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The value to change. That of an alias becomes its own.
    fn value_mut(&mut self) -> &mut Value {
        if let Content::Shared(node) = &self.content {
            self.content = Content::Own(node.value().clone());
        }
        match &mut self.content {
            Content::Own(value) => value,
            Content::Shared(_) => unreachable!("it was just replaced"),
        }
    }

    /// The value of a key to change, if this is a mapping that has it.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries_mut().iter_mut().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// Keys and values to change, if this is a mapping.
    pub(super) fn entries_mut(&mut self) -> &mut [(Key, Node)] {
        match self.value_mut() {
            Value::Mapping(entries) => entries,
            _ => &mut [],
        }
    }

    /// The elements to change, if this is a list.
    pub(super) fn elements_mut(&mut self) -> &mut [Node] {
        match self.value_mut() {
            Value::Sequence(elements) => elements,
            _ => &mut [],
        }
    }

    /// Removes a key of a mapping, and puts others in front.
    pub(super) fn rewrite(&mut self, without: &str, mut front: Vec<(Key, Node)>) {
        if let Value::Mapping(entries) = self.value_mut() {
            front.extend(entries.drain(..).filter(|(key, _)| key.text != without));
            *entries = front;
        }
    }

    /// Nodes and bytes of text.
    pub(super) fn cost(&self) -> usize {
        1 + match self.value() {
            Value::Text(text) | Value::Unquoted(text) => text.len(),
            Value::Sequence(elements) => elements.iter().map(Node::cost).sum(),
            Value::Mapping(entries) => entries.iter().map(|(key, value)| key.text.len() + value.cost()).sum(),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => 0,
        }
    }

    /// The value at a path, if there is one.
    pub fn at(&self, path: &Path) -> Option<&Node> {
        path.segments().iter().try_fold(self, |node, segment| match (node.value(), segment) {
            (Value::Sequence(elements), Segment::Index(index)) => elements.get(*index),
            (_, Segment::Key(key)) => node.get(key),
            _ => None,
        })
    }

    /// What was read, as an error names it: "the number 5", "a list".
    pub fn describe(&self) -> String {
        match self.value() {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value:?}"),
            Value::Text(text) | Value::Unquoted(text) => format!("the text `{}`", shorten(text)),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// As an author would write it; mappings and lists in one line.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comma = |index| if index == 0 { "" } else { ", " };
        match self.value() {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Text(text) | Value::Unquoted(text) => f.write_str(text),
            Value::Sequence(elements) => {
                f.write_str("[")?;
                elements.iter().enumerate().try_for_each(|(index, element)| write!(f, "{}{element}", comma(index)))?;
                f.write_str("]")
            }
            Value::Mapping(entries) => {
                f.write_str("{")?;
                let mut entries = entries.iter().enumerate();
                entries.try_for_each(|(index, (key, value))| write!(f, "{}{}: {value}", comma(index), key.text))?;
                f.write_str("}")
            }
        }
    }
}

/// To write a document anew; tags are left out.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value() {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_u64(value),
                (_, Ok(value)) => serializer.serialize_i64(value),
                _ => serializer.serialize_i128(*value),
            },
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(text) | Value::Unquoted(text) => serializer.serialize_str(text),
            Value::Sequence(elements) => {
                let mut sequence = serializer.serialize_seq(Some(elements.len()))?;
                elements.iter().try_for_each(|element| sequence.serialize_element(element))?;
                sequence.end()
            }
            Value::Mapping(entries) => {
                let mut mapping = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| mapping.serialize_entry(&key.text, value))?;
                mapping.end()
            }
        }
    }
}
