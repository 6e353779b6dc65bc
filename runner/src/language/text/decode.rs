// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tree as a value of a type, and everything that is wrong with it, in one pass.
//!
//! A value that cannot be read is reported, and a made-up one takes its place, so that the rest is read and checked all the same.
//! Structs are declared with [`keys!`](super::keys::keys), which writes their [`Decode`].

use std::collections::HashSet;
use std::str::FromStr;

use super::complaint::Complaint;
use super::diagnostic::{Diagnostic, Target};
use super::node::{Key, Node, Value};
use super::ordered::Ordered;
use super::path::{Path, Segment};
use super::problems::Problems;
use super::shape::{self, Shape};
use super::suggest;
use super::wounds::Wounds;
use super::{mistake, naming};
use crate::model::code::Code;

/// A type that a value of a file can be read as.
pub trait Decode: Sized {
    /// Reads a value. `None` if it is of another type, which is reported; mistakes inside it are only reported.
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self>;

    /// What stands for a value that could not be read: good for nothing but to look for further mistakes.
    fn made_up() -> Self;
}

/// Reads a whole document and reports everything that is wrong with it. Only if nothing is wrong is the value as it is written.
pub fn decode<T: Decode>(root: &Node, problems: &mut Problems) -> Option<T> {
    let mut at = At { root, trail: Vec::new(), schema: None, problems: std::mem::take(problems), supplied: Vec::new() };
    let value = at.read(root);
    *problems = at.problems;
    value
}

/// The same for a document with a schema, which help is taken from. The wounds say which further complaints only follow from mistakes
/// that were reported; what is expected beside a key that is leaned on depends on it.
pub(in crate::language) fn salvage<T: Decode>(
    root: &Node,
    schema: fn() -> &'static serde_json::Value,
    leaned_on: &'static [&'static str],
    problems: &mut Problems,
) -> Option<(T, Wounds)> {
    let schema = Some(schema);
    let mut at = At { root, trail: Vec::new(), schema, problems: std::mem::take(problems), supplied: Vec::new() };
    let value = at.read(root);
    let wounds = Wounds::new(root, at.problems.as_slice(), at.supplied, leaned_on);
    *problems = at.problems;
    value.map(|value| (value, wounds))
}

/// Where in a document something is read, and what is wrong so far.
pub struct At<'d> {
    root: &'d Node,
    /// The way from the root: a path is only made of it when something is wrong.
    trail: Vec<(Step<'d>, &'d Node)>,
    schema: Option<fn() -> &'static serde_json::Value>,
    problems: Problems,
    /// Keys that are missing because of a mistake that was reported.
    supplied: Vec<Path>,
}

#[derive(Clone, Copy)]
enum Step<'d> {
    Key(&'d str),
    Index(usize),
}

impl<'d> At<'d> {
    /// The path of what is read.
    pub(in crate::language) fn path(&self) -> Path {
        let segment = |(step, _): &(Step, &Node)| match step {
            Step::Key(key) => Segment::from(*key),
            Step::Index(index) => Segment::Index(*index),
        };
        self.trail.iter().map(segment).collect()
    }

    /// The mapping or list that holds what is read, and its path.
    pub(super) fn parent(&self) -> Option<(&'d Node, Path)> {
        let (_, above) = self.trail.split_last()?;
        Some((above.last().map_or(self.root, |(_, node)| node), self.path().parent()?))
    }

    /// What is known of the document's places.
    pub(super) fn shape(&self) -> Option<Shape> {
        self.schema.map(|schema| Shape(schema()))
    }

    /// Reports a mistake. The closure that makes it is not called once there are too many.
    pub(in crate::language) fn tell(&mut self, diagnostic: impl FnOnce(&Self) -> Option<Diagnostic>) {
        if !self.problems.is_full() {
            let diagnostic = diagnostic(self);
            self.problems.extend(diagnostic);
        }
    }

    /// Reports a complaint about the value.
    pub(in crate::language) fn complain<T>(&mut self, node: &Node, complaint: Complaint) -> Option<T> {
        self.tell(|at| {
            let mut problem = complaint.diagnostic(at.path());
            mistake::expected_elsewhere(&mut problem, node);
            Some(problem)
        });
        None
    }

    /// Reports a complaint about a key of the mapping that is read.
    pub(in crate::language) fn complain_of_key<T>(&mut self, key: &str, complaint: Complaint) -> Option<T> {
        self.tell(|at| Some(complaint.diagnostic(at.path().join(key)).at(Target::Key)));
        None
    }

    /// Reports that the value is of another type.
    pub(in crate::language) fn wrong_type<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        self.tell(|at| Some(mistake::wrong_type(at.path(), at.shape(), node, expected)));
        None
    }

    /// Reports that a list is empty.
    pub(in crate::language) fn empty_list<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        self.complain(node, Complaint::new(Code::WrongLength, "the list is empty").expected(expected))
    }

    /// Reads a text.
    pub(in crate::language) fn text_as<T>(
        &mut self,
        node: &Node,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let Some(text) = node.text() else { return self.wrong_type(node, expected) };
        read(text).map_or_else(|complaint| self.complain(node, complaint), Some)
    }

    /// Reads a text of a type that parses.
    pub(in crate::language) fn parse<T: FromStr<Err = Complaint>>(&mut self, node: &Node, expected: &str) -> Option<T> {
        self.text_as(node, expected, str::parse)
    }

    /// How many mistakes were reported.
    pub(in crate::language) fn found(&self) -> usize {
        self.problems.as_slice().len() + self.supplied.len()
    }

    /// Reads a text that is one of a few words.
    pub(in crate::language) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let Some(text) = node.text() else {
            let expected = suggest::expected_one_of(known.iter().copied());
            return self.wrong_type(node, expected.strip_prefix("expected ").unwrap_or(&expected));
        };
        let word = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if word.is_none() {
            self.tell(|at| Some(mistake::unknown_word(at.path(), node, text, &known)));
        }
        word
    }

    /// Reads a value. A tag or an expression without quotes is reported, and then read as what it stands for.
    pub(in crate::language) fn read<T: Decode>(&mut self, node: &'d Node) -> Option<T> {
        self.look_at(node);
        T::decode(node, self)
    }

    /// Reports a tag or an unquoted expression, which the language does not have.
    fn look_at(&mut self, node: &Node) {
        if let Some(tag) = &node.target().tag {
            self.tell(|at| {
                let title = format!("the tag `!{tag}` is not part of the language");
                let problem = Diagnostic::error(Code::Tag, at.path(), title);
                Some(problem.label("expected a value without a tag").help("text that begins with `!` needs quotes"))
            });
        }
        if let Value::Unquoted(text) = node.value() {
            self.tell(|at| {
                let title = "an expression needs quotes around it";
                let problem = Diagnostic::error(Code::UnquotedExpression, at.path(), title);
                let help = format!("quote it: \"{}\"", text.replace('"', "'"));
                Some(problem.label("YAML reads the braces as a mapping").help(help))
            });
        }
    }

    /// Reads the value of a key of the mapping that is read.
    pub(in crate::language) fn key<T: Decode>(&mut self, key: &'d str, node: &'d Node) -> Option<T> {
        self.within(Step::Key(key), node, |at| at.read(node))
    }

    fn within<T>(&mut self, step: Step<'d>, node: &'d Node, read: impl FnOnce(&mut Self) -> T) -> T {
        self.trail.push((step, node));
        let value = read(self);
        self.trail.pop();
        value
    }

    /// Reads a list; in the place of an element that cannot be read stands one that is made up.
    pub(in crate::language) fn list<T: Decode>(&mut self, elements: &'d [Node]) -> Vec<T> {
        let read = |(index, node): (usize, &'d Node)| {
            self.within(Step::Index(index), node, |at| at.read(node)).unwrap_or_else(T::made_up)
        };
        elements.iter().enumerate().map(read).collect()
    }

    /// The keys and values of a mapping, each key once.
    pub(in crate::language) fn entries(&mut self, entries: &'d [(Key, Node)]) -> Vec<(&'d str, &'d Node)> {
        const FEW: usize = 16;
        let mut kept: Vec<(&str, &Node)> = Vec::with_capacity(entries.len());
        let mut many: HashSet<&str> = HashSet::new();
        for (index, (key, node)) in entries.iter().enumerate() {
            let key = key.text.as_str();
            let is_repeated = match entries.len() > FEW {
                true => !many.insert(key),
                false => kept.iter().any(|(earlier, _)| *earlier == key),
            };
            if key == "<<" {
                self.tell(|at| {
                    let title = "merge keys are not part of the language";
                    let problem = Diagnostic::error(Code::MergeKey, at.path().join(key), title).at(Target::Key);
                    let help = "write the keys out; cases that differ in a value are one case with a `matrix`";
                    Some(problem.label("expected a key").help(help))
                });
            } else if is_repeated {
                self.tell(|at| {
                    let path = at.path().join(key);
                    let times = entries[..index].iter().filter(|(earlier, _)| earlier.text == key).count();
                    let title = format!("the key `{key}` is written twice");
                    let problem = Diagnostic::error(Code::DuplicateKey, path.clone(), title).at(Target::Repeat(times));
                    Some(problem.label("expected each key once").note(path, Target::Key, "first written here"))
                });
            } else {
                kept.push((key, node));
            }
        }
        kept
    }

    /// The mapping of a struct of this name, which has these keys.
    pub(in crate::language) fn table(
        &mut self,
        node: &'d Node,
        name: &'static str,
        known: &'static [&'static str],
    ) -> Option<Table<'d>> {
        let entries: &[(Key, Node)] = match node.value() {
            Value::Mapping(entries) => entries,
            // `- unmap_all:` means all its defaults.
            Value::Null => &[],
            _ => return self.wrong_type(node, &naming::mapping_with(known)),
        };
        let is_merged = entries.iter().any(|(key, _)| key.text == "<<");
        let (wanted, unknown): (Vec<_>, Vec<_>) =
            self.entries(entries).into_iter().partition(|(key, _)| known.contains(key));
        let mut meant = Vec::new();
        for (key, value) in unknown {
            meant.extend(suggest::nearest(key, known.iter().copied()));
            meant.extend(shape::slip(name, key).into_iter().flat_map(|(.., meant)| meant));
            self.tell(|at| match at.shape() {
                Some(shape) => shape.unknown_key(&at.path(), name, known, entries, (key, value)),
                None => {
                    let complaint = Complaint::unknown_key(key, &naming::place(name), known);
                    Some(complaint.diagnostic(at.path().join(key)).at(Target::Key))
                }
            });
        }
        Some(Table { node, name, entries: wanted, meant, is_merged })
    }
}

/// The mapping of a struct, with the keys that it has.
pub struct Table<'d> {
    node: &'d Node,
    name: &'static str,
    entries: Vec<(&'d str, &'d Node)>,
    /// Keys that an unknown one probably means.
    meant: Vec<&'d str>,
    is_merged: bool,
}

impl<'d> Table<'d> {
    /// The keys that are there, and their values.
    pub(in crate::language) fn entries(&self) -> &[(&'d str, &'d Node)] {
        &self.entries
    }

    /// Reads the value of a key: `absent` if it is not there, made up if it has to be.
    pub(in crate::language) fn take<T>(
        &self,
        at: &mut At<'d>,
        key: &'static str,
        read: fn(&'d Node, &mut At<'d>) -> Option<T>,
        absent: fn() -> Option<T>,
        made_up: fn() -> T,
    ) -> T {
        let Some((name, node)) = self.entries.iter().find(|(name, _)| *name == key) else {
            return absent().unwrap_or_else(|| {
                self.missing(at, key);
                made_up()
            });
        };
        let value = at.within(Step::Key(name), node, |at| {
            at.look_at(node);
            read(node, at)
        });
        value.or_else(absent).unwrap_or_else(made_up)
    }

    /// Reports that a key is missing, unless an unknown key means it, or a merge would have brought it, or it stands beside the mapping.
    fn missing(&self, at: &mut At<'d>, key: &'static str) {
        let is_beside = at.shape().zip(at.parent()).is_some_and(|(shape, (parent, path))| {
            // Where names are the author's own, none is unknown.
            let known = shape.keys(&path);
            parent.get(key).is_some() && !known.is_empty() && !known.contains(&key)
        });
        if is_beside || self.is_merged || self.meant.contains(&key) {
            at.supplied.push(at.path().join(key));
        } else {
            at.tell(|at| Some(mistake::missing_key(at.path(), at.shape(), self.node, self.name, key)));
        }
    }
}

impl Decode for bool {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<bool> {
        match node.value() {
            Value::Bool(value) => Some(*value),
            _ => at.wrong_type(node, "true or false"),
        }
    }

    fn made_up() -> bool {
        true
    }
}

impl Decode for u8 {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<u8> {
        let number = if let Value::Integer(number) = node.value() { u8::try_from(*number).ok() } else { None };
        number.or_else(|| at.wrong_type(node, "a whole number from 0 to 255"))
    }

    fn made_up() -> u8 {
        0
    }
}

impl Decode for String {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<String> {
        node.text().map(str::to_owned).or_else(|| at.wrong_type(node, "text"))
    }

    fn made_up() -> String {
        String::new()
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Box<T>> {
        T::decode(node, at).map(Box::new)
    }

    fn made_up() -> Box<T> {
        Box::new(T::made_up())
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Vec<T>> {
        match node.value() {
            Value::Sequence(elements) => Some(at.list(elements)),
            _ => at.wrong_type(node, "a list"),
        }
    }

    fn made_up() -> Vec<T> {
        Vec::new()
    }
}

impl<T: Decode> Decode for Ordered<T> {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Ordered<T>> {
        let Value::Mapping(entries) = node.value() else { return at.wrong_type(node, "a mapping") };
        let entries = at.entries(entries).into_iter();
        Some(entries.map(|(key, node)| (key.to_owned(), at.key(key, node).unwrap_or_else(T::made_up))).collect())
    }

    fn made_up() -> Ordered<T> {
        Ordered::default()
    }
}

#[cfg(test)]
mod tests;
