//! A YAML document as a tree: what serde_yaml read, before any type is asked for.
//!
//! Duplicate keys are kept, so that [`decode()`](super::decode::decode()) can report them with all other mistakes.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::diagnostic::Diagnostic;
use super::syntax;

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
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
    Mapping(Vec<(String, Node)>),
    /// A value with a tag, `!name value`: not part of the language.
    Tagged(Box<(String, Node)>),
    /// `{{ page }}` without quotes, which YAML reads as two nested mappings. The text is the expression with its braces.
    Unquoted(String),
}

/// Files beyond this are no scenarios.
const LARGEST: usize = 16 << 20;

/// Reads one document. An error is one of syntax; what the language lacks beyond YAML is found by [`decode()`](super::decode::decode()).
pub fn parse(text: &str) -> Result<Node, Box<Diagnostic>> {
    if text.len() > LARGEST {
        return Err(syntax::too_large(text, LARGEST).into());
    }
    if let Some(problem) = syntax::too_many_open(text) {
        return Err(problem.into());
    }
    // Aliases can make a small text a huge tree. Without them every node costs at least half a byte of text.
    let budget = Cell::new(text.len().saturating_mul(4) + (64 << 10));
    let seed = NodeSeed { budget: Some(&budget) };
    match seed.deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(Node::Null) if syntax::is_blank(text) => Err(syntax::empty().into()),
        Ok(node) => Ok(node),
        Err(error) => Err(syntax::explain(text, &error).into()),
    }
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Mapping(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// What was read, as an error names it: "the number 5", "a list".
    pub fn describe(&self) -> String {
        match self {
            Node::Null => "nothing".to_owned(),
            Node::Bool(value) => format!("the boolean {value}"),
            Node::Integer(value) => format!("the number {value}"),
            Node::Float(value) => format!("the number {value:?}"),
            Node::Text(text) | Node::Unquoted(text) => format!("the text `{}`", shorten(text)),
            Node::Sequence(_) => "a list".to_owned(),
            Node::Mapping(_) => "a mapping".to_owned(),
            Node::Tagged(tagged) => tagged.1.describe(),
        }
    }
}

/// Text short enough for a sentence: its first line, cut.
pub(in crate::language) fn shorten(text: &str) -> Cow<'_, str> {
    const MOST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= MOST {
        return Cow::Borrowed(line);
    }
    Cow::Owned(line.chars().take(MOST).chain(['…']).collect())
}

/// As an author would write it; mappings and lists in one line.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Null => f.write_str("null"),
            Node::Bool(value) => write!(f, "{value}"),
            Node::Integer(value) => write!(f, "{value}"),
            Node::Float(value) => write!(f, "{value:?}"),
            Node::Text(text) | Node::Unquoted(text) => f.write_str(text),
            Node::Sequence(elements) => {
                f.write_str("[")?;
                for (index, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Node::Mapping(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Node::Tagged(tagged) => write!(f, "!{} {}", tagged.0, tagged.1),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_u64(value),
                (_, Ok(value)) => serializer.serialize_i64(value),
                _ => serializer.serialize_i128(*value),
            },
            Node::Float(value) => serializer.serialize_f64(*value),
            Node::Text(text) | Node::Unquoted(text) => serializer.serialize_str(text),
            Node::Sequence(elements) => {
                let mut sequence = serializer.serialize_seq(Some(elements.len()))?;
                elements.iter().try_for_each(|element| sequence.serialize_element(element))?;
                sequence.end()
            }
            Node::Mapping(entries) => {
                let mut mapping = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| mapping.serialize_entry(key, value))?;
                mapping.end()
            }
            Node::Tagged(tagged) => tagged.1.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NodeSeed { budget: None }.deserialize(deserializer)
    }
}

impl JsonSchema for Node {
    fn schema_name() -> Cow<'static, str> {
        "Node".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

/// Reads any value; `budget` is what the whole tree may still cost, in nodes and bytes of text.
#[derive(Clone, Copy)]
struct NodeSeed<'b> {
    budget: Option<&'b Cell<usize>>,
}

impl NodeSeed<'_> {
    fn pay<E: de::Error>(self, cost: usize) -> Result<(), E> {
        let Some(budget) = self.budget else { return Ok(()) };
        let Some(rest) = budget.get().checked_sub(cost) else { return Err(E::custom(syntax::TOO_MANY_ALIASES)) };
        budget.set(rest);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.pay(1)?;
        Ok(Node::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        self.pay(1)?;
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        self.visit_i128(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.visit_i128(value.into())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        self.pay(1)?;
        Ok(Node::Integer(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        match i128::try_from(value) {
            Ok(value) => self.visit_i128(value),
            Err(_) => self.visit_string(value.to_string()),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        self.pay(1)?;
        Ok(Node::Float(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        self.pay(1 + text.len())?;
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Node, E> {
        self.pay(1 + text.len())?;
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        self.pay(1)?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Node::Sequence(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        self.pay(1)?;
        let mut entries = Vec::new();
        let mut braces: Option<String> = None;
        while let Some(key) = access.next_key_seed(KeySeed(self))? {
            let value = access.next_value_seed(self)?;
            match key {
                Key::Text(key) if braces.is_none() => entries.push((key, value)),
                Key::Braces(text) if entries.is_empty() && braces.is_none() && value == Node::Null => {
                    braces = Some(text);
                }
                _ => return Err(de::Error::custom(syntax::KEY_IS_NO_TEXT)),
            }
        }
        Ok(match braces {
            Some(text) => Node::Unquoted(text),
            None => Node::Mapping(entries),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Node, A::Error> {
        self.pay(1)?;
        let (tag, content) = access.variant::<String>()?;
        Ok(Node::Tagged(Box::new((tag, content.newtype_variant_seed(self)?))))
    }
}

enum Key {
    Text(String),
    /// A mapping as a key: the inner pair of braces of an unquoted `{{ page }}`.
    Braces(String),
}

struct KeySeed<'b>(NodeSeed<'b>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
        self.0.pay(1 + text.len())?;
        Ok(Key::Text(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Key, E> {
        self.visit_str("null")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Key, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Key, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Key, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Key, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Key, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Key, E> {
        self.visit_str(&format!("{value:?}"))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Key, A::Error> {
        match self.0.visit_map(access)? {
            Node::Mapping(entries) if entries.iter().all(|(_, value)| *value == Node::Null) => {
                let words: Vec<String> = entries.into_iter().map(|(key, _)| key).collect();
                Ok(Key::Braces(format!("{{{{ {} }}}}", words.join(", "))))
            }
            _ => Err(de::Error::custom(syntax::KEY_IS_NO_TEXT)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Key, A::Error> {
        Err(de::Error::custom(syntax::KEY_IS_NO_TEXT))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Key, A::Error> {
        Err(de::Error::custom(syntax::KEY_IS_NO_TEXT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code::Code;

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn a_document_keeps_its_order_and_its_duplicate_keys() {
        let node = parse("b: 1\na: [x, 0x10, -3, 1.5, true, ~]\nb: 2\n").unwrap();
        let list = Node::Sequence(vec![
            text("x"),
            Node::Integer(16),
            Node::Integer(-3),
            Node::Float(1.5),
            Node::Bool(true),
            Node::Null,
        ]);
        let entries =
            vec![("b".to_owned(), Node::Integer(1)), ("a".to_owned(), list), ("b".to_owned(), Node::Integer(2))];
        assert_eq!(node, Node::Mapping(entries));
        assert_eq!(node.to_string(), "{b: 1, a: [x, 16, -3, 1.5, true, null], b: 2}");
    }

    #[test]
    fn keys_are_text_however_they_look() {
        let node = parse("0: a\ntrue: b\n0x10: c\n\"q\": d\n").unwrap();
        for key in ["0", "true", "16", "q"] {
            assert!(node.get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn an_expression_without_quotes_is_kept_as_such() {
        let node = parse("a: {{ page }}\nb: {{ align_up(x, 4096) }}\n").unwrap();
        assert_eq!(node.get("a"), Some(&Node::Unquoted("{{ page }}".to_owned())));
        assert_eq!(node.get("b"), Some(&Node::Unquoted("{{ align_up(x, 4096) }}".to_owned())));
    }

    #[test]
    fn tags_are_kept_to_be_reported() {
        let node = parse("a: !secret b\n").unwrap();
        assert_eq!(node.get("a"), Some(&Node::Tagged(Box::new(("secret".to_owned(), text("b"))))));
    }

    #[test]
    fn numbers_beyond_128_bits_do_not_lose_digits() {
        let digits = "340282366920938463463374607431768211455";
        assert_eq!(parse(digits).unwrap(), text(digits));
    }

    #[test]
    fn aliases_work_and_cannot_explode() {
        assert_eq!(parse("a: &x 1\nb: *x\n").unwrap().get("b"), Some(&Node::Integer(1)));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert_eq!(parse(&bomb).unwrap_err().code, Code::AliasBomb);
        // Few jumps, each to something large: serde_yaml's own limit does not see this one.
        let wide = format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(5000), "*a, ".repeat(5000));
        assert_eq!(parse(&wide).unwrap_err().code, Code::AliasBomb);
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(parse(&"[".repeat(1000)).unwrap_err().severity, crate::language::Severity::Error);
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(parse(&deep).unwrap_err().code, Code::TooDeep);
    }
}
