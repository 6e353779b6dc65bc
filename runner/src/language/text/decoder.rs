//! A serde deserialiser over a tree: it knows the path, checks the keys of structs, and obeys the repairs that a session
//! made around mistakes it has already reported.

use std::collections::HashSet;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::complaint::Complaint;
use super::diagnostic::{Diagnostic, Target};
use super::fault::{self, Fault, Kind, Read, Site};
use super::node::{Key, Node, Value};
use super::path::{Path, Segment};
use super::session::{Session, Treatment, address};
use super::stand_in::StandIn;
use super::suggest;
use crate::model::code::Code;

/// What stands behind the name of a variant that stands alone.
static NOTHING: Node = Node::NOTHING;

/// The way from the root to a node, kept on the stack: a path is only made of it when something is wrong.
pub(in crate::language) struct Trail<'d> {
    pub parent: Option<&'d Trail<'d>>,
    pub step: Step<'d>,
    pub node: &'d Node,
}

#[derive(Clone, Copy)]
pub(in crate::language) enum Step<'d> {
    Root,
    Key(&'d str),
    Index(usize),
}

#[derive(Clone, Copy)]
pub(in crate::language) struct Decoder<'d> {
    pub node: &'d Node,
    pub trail: &'d Trail<'d>,
    pub session: &'d Session,
}

impl<'d> Decoder<'d> {
    fn path(&self) -> Path {
        let mut segments = Vec::new();
        let mut trail = Some(self.trail);
        while let Some(here) = trail {
            match here.step {
                Step::Root => {}
                Step::Key(key) => segments.push(Segment::from(key)),
                Step::Index(index) => segments.push(Segment::Index(index)),
            }
            trail = here.parent;
        }
        self.session.base.segments().iter().cloned().chain(segments.into_iter().rev()).collect()
    }

    fn site(&self) -> Site {
        let mut nodes = Vec::new();
        let mut trail = Some(self.trail);
        while let Some(here) = trail {
            nodes.push(address(here.node));
            trail = here.parent;
        }
        nodes.reverse();
        Site { path: self.path(), target: Target::Value, nodes, read: Read::of(self.node), place: None }
    }

    fn key_site(&self, key: &str) -> Site {
        let mut site = self.site();
        site.path.push(key);
        site.target = Target::Key;
        site
    }

    fn locate<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| fault.located(|| self.site()))
    }

    /// Reports what is no part of the language and goes on with what it stands for.
    fn plain(self) -> Self {
        if let Some(tag) = &self.node.target().tag {
            self.session.report_once(self.node, || {
                Diagnostic::error(Code::Tag, self.path(), format!("the tag `!{tag}` is not part of the language"))
                    .label("expected a value without a tag")
                    .help("text that begins with `!` needs quotes")
            });
        }
        if let Value::Unquoted(text) = self.node.value() {
            self.session.report_once(self.node, || {
                Diagnostic::error(Code::UnquotedExpression, self.path(), "an expression needs quotes around it")
                    .label("YAML reads the braces as a mapping")
                    .help(format!("quote it: \"{}\"", text.replace('"', "'")))
            });
        }
        self
    }

    fn entries(self, entries: &'d [(Key, Node)], fields: Option<Fields>) -> Entries<'d> {
        let supplied = match self.session.is_repairing() {
            true => self.session.supplied(self.trail.node),
            false => Vec::new(),
        };
        Entries { owner: self, entries, next: 0, many: HashSet::new(), fields, supplied, current: None }
    }

    fn elements(self, elements: &'d [Node]) -> Elements<'d> {
        let next = if self.session.is_repairing() { self.session.start(self.trail.node) } else { 0 };
        Elements { owner: self, elements, next }
    }
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let decoder = self.plain();
        decoder.locate(match decoder.node.value() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) | Value::Unquoted(text) => visitor.visit_str(text),
            Value::Sequence(elements) => visitor.visit_seq(decoder.elements(elements)),
            Value::Mapping(entries) => visitor.visit_map(decoder.entries(entries, None)),
        })
    }

    /// A key without a value is a mistake, not an absent key: only an absent key gives `None`.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.locate(visitor.visit_some(self))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.locate(visitor.visit_newtype_struct(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let decoder = self.plain();
        let keys = Some(Fields { name, known: fields });
        let result = match decoder.node.value() {
            Value::Mapping(entries) => visitor.visit_map(decoder.entries(entries, keys)),
            // `- unmap_all:` means all its defaults.
            Value::Null => visitor.visit_map(decoder.entries(&[], keys)),
            _ => Err(Fault::new(Kind::Type { expected: fault::mapping_with(fields) })),
        };
        result.map_err(|fault| fault.located(|| Site { place: Some(fault::place(name)), ..decoder.site() }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let decoder = self.plain();
        decoder.locate(match decoder.node.value() {
            Value::Text(name) | Value::Unquoted(name) => visitor.visit_enum(Variant { decoder, name, content: None }),
            Value::Mapping(entries) if entries.len() == 1 => {
                let (Key { text: name, .. }, content) = &entries[0];
                visitor.visit_enum(Variant { decoder, name, content: Some(content) })
            }
            _ => {
                let expected = suggest::expected_one_of(variants.iter().copied());
                let expected = expected.strip_prefix("expected ").unwrap_or(&expected).to_owned();
                Err(Fault::new(Kind::Type { expected }))
            }
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

struct Elements<'d> {
    owner: Decoder<'d>,
    elements: &'d [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        while let Some(node) = self.elements.get(self.next) {
            let index = self.next;
            self.next += 1;
            let session = self.owner.session;
            let trail = Trail { parent: Some(self.owner.trail), step: Step::Index(index), node };
            let decoder = Decoder { node, trail: &trail, session };
            match session.treatment(node) {
                Some(Treatment::Hidden) => {}
                Some(Treatment::StandIn(attempt)) => return stand_in(decoder, None, attempt, seed).map(Some),
                None => return decoder.locate(seed.deserialize(decoder)).map(Some),
            }
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.elements.len().saturating_sub(self.next))
    }
}

fn stand_in<'de, T: DeserializeSeed<'de>>(
    decoder: Decoder,
    key: Option<&'static str>,
    attempt: usize,
    seed: T,
) -> Result<T::Value, Fault> {
    let owner = address(decoder.trail.node);
    seed.deserialize(StandIn(attempt)).map_err(|_| Fault::new(Kind::StandIn { owner, key }).located(|| decoder.site()))
}

#[derive(Clone, Copy)]
struct Fields {
    name: &'static str,
    known: &'static [&'static str],
}

struct Entries<'d> {
    owner: Decoder<'d>,
    entries: &'d [(Key, Node)],
    next: usize,
    /// The keys so far, once there are many.
    many: HashSet<&'d str>,
    /// For a struct: its keys.
    fields: Option<Fields>,
    /// Keys that are missing, with the attempt of their stand-ins.
    supplied: Vec<(&'static str, usize)>,
    current: Option<Current<'d>>,
}

#[derive(Clone, Copy)]
enum Current<'d> {
    Read(&'d str, &'d Node),
    Supplied(&'static str, usize),
}

impl<'d> Entries<'d> {
    fn is_repeated(&mut self, index: usize) -> bool {
        const FEW: usize = 16;
        let key = self.entries[index].0.text.as_str();
        let before = &self.entries[..index];
        if index < FEW {
            return before.iter().any(|(earlier, _)| earlier.text == key);
        }
        if self.many.is_empty() {
            self.many.extend(before.iter().map(|(earlier, _)| earlier.text.as_str()));
        }
        !self.many.insert(key)
    }

    /// Whether an entry is to be decoded; reports why not.
    fn is_wanted(&mut self, index: usize) -> bool {
        let entries = self.entries;
        let (Key { text: key, .. }, node) = &entries[index];
        let owner = self.owner;
        let session = owner.session;
        if key == "<<" {
            session.report_once(node, || {
                Diagnostic::error(Code::MergeKey, owner.path().join("<<"), "merge keys are not part of the language")
                    .at(Target::Key)
                    .label("expected a key")
                    .help("write the keys out; cases that differ in a value are one case with a `matrix`")
            });
            return false;
        }
        if self.is_repeated(index) {
            session.report_once(node, || {
                let path = owner.path().join(key.as_str());
                let times = entries[..index].iter().filter(|(earlier, _)| earlier.text == *key).count();
                Diagnostic::error(Code::DuplicateKey, path.clone(), format!("the key `{key}` is written twice"))
                    .at(Target::Repeat(times))
                    .label("expected each key once")
                    .note(path, Target::Key, "first written here")
            });
            return false;
        }
        if let Some(fields) = self.fields
            && !fields.known.contains(&key.as_str())
        {
            session.report_once(node, || match session.shape() {
                Some(shape) => shape.unknown_key(&owner.path(), fields.name, fields.known, entries, index),
                None => {
                    let complaint = Complaint::unknown_key(key, &fault::place(fields.name), fields.known);
                    Some(fault::complained(owner.path(), Target::Key, &complaint))
                }
            });
            return false;
        }
        !matches!(session.treatment(node), Some(Treatment::Hidden))
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        while self.next < self.entries.len() {
            let index = self.next;
            self.next += 1;
            if self.is_wanted(index) {
                let (Key { text: key, .. }, node) = &self.entries[index];
                self.current = Some(Current::Read(key, node));
                let read: StrDeserializer<Fault> = key.as_str().into_deserializer();
                let located = |fault: Fault| {
                    fault.located(|| {
                        let mut site = self.owner.key_site(key);
                        // To leave the entry out is to leave out its value.
                        site.nodes.push(address(node));
                        site
                    })
                };
                return seed.deserialize(read).map(Some).map_err(located);
            }
        }
        let Some((key, attempt)) = self.supplied.pop() else { return Ok(None) };
        self.current = Some(Current::Supplied(key, attempt));
        let read: StrDeserializer<Fault> = key.into_deserializer();
        self.owner.locate(seed.deserialize(read).map(Some))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        match self.current.take() {
            None => Err(serde::de::Error::custom("a value was asked for before its key")),
            Some(Current::Supplied(key, attempt)) => stand_in(self.owner, Some(key), attempt, seed),
            Some(Current::Read(key, node)) => {
                let session = self.owner.session;
                let trail = Trail { parent: Some(self.owner.trail), step: Step::Key(key), node };
                let decoder = Decoder { node, trail: &trail, session };
                match session.treatment(node) {
                    Some(Treatment::StandIn(attempt)) => stand_in(decoder, None, attempt, seed),
                    _ => decoder.locate(seed.deserialize(decoder)),
                }
            }
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len().saturating_sub(self.next))
    }
}

struct Variant<'d> {
    decoder: Decoder<'d>,
    name: &'d str,
    content: Option<&'d Node>,
}

impl<'de, 'd> EnumAccess<'de> for Variant<'d> {
    type Error = Fault;
    type Variant = Content<'d>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'d>), Fault> {
        let name: StrDeserializer<Fault> = self.name.into_deserializer();
        let value = seed.deserialize(name).map_err(|fault| {
            fault.located(|| match self.content {
                Some(content) => {
                    let mut site = self.decoder.key_site(self.name);
                    site.nodes.push(address(content));
                    site
                }
                None => self.decoder.site(),
            })
        })?;
        Ok((value, Content { decoder: self.decoder, name: self.name, node: self.content }))
    }
}

struct Content<'d> {
    decoder: Decoder<'d>,
    name: &'d str,
    node: Option<&'d Node>,
}

impl Content<'_> {
    fn with<T>(self, read: impl FnOnce(Decoder) -> Result<T, Fault>) -> Result<T, Fault> {
        let session = self.decoder.session;
        match self.node {
            Some(node) => {
                let trail = Trail { parent: Some(self.decoder.trail), step: Step::Key(self.name), node };
                read(Decoder { node, trail: &trail, session })
            }
            None => read(Decoder { node: &NOTHING, trail: self.decoder.trail, session }),
        }
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.node {
            None => Ok(()),
            Some(_) => self.with(|decoder| serde::Deserialize::deserialize(decoder)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.with(|decoder| seed.deserialize(decoder))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.with(|decoder| decoder.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.with(|decoder| decoder.deserialize_struct("", fields, visitor))
    }
}
