//! A tree as a value of a type, or everything that is wrong with it.
//!
//! The types are ordinary `#[derive(Deserialize)]` ones. They must not be `untagged`, `flatten`ed or internally tagged:
//! serde would buffer the value and its path would be lost. Unknown keys of a struct are errors without any attribute.
//! Visitors written by hand raise a [`Complaint`](super::complaint::Complaint).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decoder::{Decoder, Step, Trail};
use super::diagnostic::{Diagnostic, Severity};
use super::fault::Fault;
use super::node::Node;
use super::path::Path;
use super::session::Session;
use super::wounds::Wounds;

/// The most diagnostics of one file.
const MOST: usize = 100;
/// A mistake costs a pass; one in a value that must be made up costs a few more.
const PASSES: usize = 1000;

/// What is wrong with one file, at most 100 diagnostics.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    list: Vec<Diagnostic>,
    errors: usize,
}

impl Problems {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Problems::default()
    }

    /// Adds one, unless it is known or there are too many.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MOST && !self.list.contains(&diagnostic) {
            self.errors += usize::from(diagnostic.severity == Severity::Error);
            self.list.push(diagnostic);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether something other than warnings was found.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All that was found, in the order in which it was.
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.list
    }

    /// All that was found.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.list
    }
}

impl Extend<Diagnostic> for Problems {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

/// Decodes a whole document; see [`decode_at`].
pub fn decode<T: DeserializeOwned>(node: &Node, problems: &mut Problems) -> Option<T> {
    decode_at(node, &Path::root(), problems)
}

/// Decodes a tree that stands at `base` in its document and reports everything that is wrong with it.
///
/// A value comes back when all of it could be read; keys that were only unknown or repeated are left out of it and
/// reported all the same, so look at [`Problems::has_errors`] before use.
pub fn decode_at<T: DeserializeOwned>(node: &Node, base: &Path, problems: &mut Problems) -> Option<T> {
    let session = Session::new(base.clone(), MOST.saturating_sub(problems.list.len()));
    let value = passes(node, &session);
    let is_whole = !session.is_repairing();
    problems.extend(session.into_found());
    value.filter(|_| is_whole)
}

/// Decodes a whole document. Where something is wrong with it, what comes back has parts left out or made up: good for nothing but to
/// look for further mistakes, as far as the wounds do not explain them.
pub(in crate::language) fn salvage<T: DeserializeOwned>(
    node: &Node,
    schema: fn() -> &'static serde_json::Value,
    problems: &mut Problems,
) -> Option<(T, Wounds)> {
    let session = Session::new(Path::root(), MOST.saturating_sub(problems.list.len())).with_schema(schema);
    let mut value = passes(node, &session);
    if value.is_some() && session.is_repairing() {
        // The last pass left out the list elements that had passed before.
        session.rewind();
        value = pass(node, &session).ok();
    }
    let (hidden, made_up) = (session.hidden_elements(), session.made_up());
    let found = session.into_found();
    let wounds = Wounds::new(node, &found, hidden, made_up);
    problems.extend(found);
    value.map(|value| (value, wounds))
}

/// One attempt to read a tree.
fn pass<T: DeserializeOwned>(node: &Node, session: &Session) -> Result<T, Fault> {
    T::deserialize(Decoder { node, trail: &Trail { parent: None, step: Step::Root, node }, session })
}

/// Reads a tree again and again, around one more mistake each time.
fn passes<T: DeserializeOwned>(node: &Node, session: &Session) -> Option<T> {
    for _ in 0..PASSES {
        match pass(node, session) {
            Ok(value) => return Some(value),
            Err(fault) => {
                if !session.repair(node, fault) || session.is_full() {
                    return None;
                }
            }
        }
    }
    None
}

/// A mapping with names of the author's choice, in the document's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Ordered<T> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Names and values in the document's order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &T)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The names in the document's order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<T> IntoIterator for Ordered<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> FromIterator<(String, T)> for Ordered<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(entries: I) -> Self {
        Ordered(entries.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::with_capacity(access.size_hint().unwrap_or(0));
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                // The decoder reports repeated keys itself; this is for other formats.
                let mut names: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
                names.sort_unstable();
                match names.windows(2).find(|pair| pair[0] == pair[1]) {
                    Some(pair) => {
                        let key = pair[0];
                        Err(serde::de::Error::custom(format_args!("the key `{key}` is written twice")))
                    }
                    None => Ok(Ordered(entries)),
                }
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Ordered<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::text::reader::parse;
    use crate::language::text::{render::render, source::Source};
    use crate::language::{Duration, Size};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Scenario {
        name: String,
        #[serde(default)]
        cases: Vec<Case>,
        #[serde(default)]
        vars: Ordered<crate::language::Scalar>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Case {
        name: String,
        region: Option<Region>,
        timeout: Option<Duration>,
        #[serde(default)]
        tags: Vec<String>,
        unmap_all: Option<UnmapAll>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Region {
        memory: Memory,
        size: Size,
        count: Option<u32>,
        locked: Option<bool>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct UnmapAll {
        iova: Option<Size>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Memory {
        Anonymous,
        Hugetlb,
    }

    fn read(text: &str) -> (Option<Scenario>, Vec<(String, String)>) {
        let mut problems = Problems::new();
        let value = decode(&parse(text).unwrap(), &mut problems);
        let source = Source::new("f", text);
        let drawn = render(&source, problems.as_slice(), false);
        let found = drawn.split("\n\n").map(|drawn| {
            let title = drawn.lines().next().unwrap_or_default().to_owned();
            let place = drawn.lines().find_map(|line| line.trim().strip_prefix("--> f:")).unwrap_or_default();
            (place.to_owned(), title)
        });
        (value, if problems.is_empty() { Vec::new() } else { found.collect() })
    }

    fn expect(text: &str, expected: &[(&str, &str)]) {
        let (_, found) = read(text);
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_right_file_decodes() {
        let text = "name: x\ncases:\n  - name: a\n    region: { memory: hugetlb, size: 2MiB }\n    unmap_all:\nvars: { b: 1, a: 2MiB }\n";
        let (value, found) = read(text);
        assert_eq!(found, []);
        let value = value.unwrap();
        assert_eq!(value.vars.keys().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(value.cases[0].region.as_ref().unwrap().size, Size(2 << 20));
        assert_eq!(value.cases[0].unmap_all, Some(UnmapAll { iova: None }));
    }

    #[test]
    fn five_mistakes_give_five_diagnostics() {
        expect(
            "\
name: [x]
cases:
  - name: a
    region: { memory: anonymus, size: 2MB, count: 3 }
    timeuot: 3s
  - name: b
    timeout: 30
",
            &[
                ("1:7", "error[wrong-type]: `name` cannot be a list"),
                ("4:23", "error[unknown-value]: unknown value `anonymus` for `memory`"),
                ("4:39", "error[invalid-quantity]: `2MB` has no known unit"),
                ("5:5", "error[unknown-key]: unknown key `timeuot` in a case"),
                ("7:14", "error[invalid-quantity]: `30` has no unit"),
            ],
        );
    }

    #[test]
    fn all_missing_keys_are_found_and_nothing_that_follows_from_them() {
        expect(
            "cases:\n  - region: {}\n  - region: { size: 2MB, locked: yes }\n  - tags: [1, a, 2]\n",
            &[
                ("1:1", "error[missing-key]: missing key `name` in a scenario"),
                ("2:5", "error[missing-key]: missing key `memory` in a region"),
                ("2:5", "error[missing-key]: missing key `size` in a region"),
                ("2:5", "error[missing-key]: missing key `name` in a case"),
                ("3:5", "error[missing-key]: missing key `memory` in a region"),
                ("3:5", "error[missing-key]: missing key `name` in a case"),
                ("3:21", "error[invalid-quantity]: `2MB` has no known unit"),
                ("3:34", "error[wrong-type]: `locked` cannot be the text `yes`"),
                ("4:5", "error[missing-key]: missing key `name` in a case"),
                ("4:12", "error[wrong-type]: an element of `tags` cannot be the number 1"),
                ("4:18", "error[wrong-type]: an element of `tags` cannot be the number 2"),
            ],
        );
    }

    #[test]
    fn what_yaml_has_and_the_language_has_not_is_named() {
        expect(
            "name: x\nvars: { a: 1, a: 2, b: !secret 3, c: {{ page }} }\nname: y\ncases:\n  - <<: *x\n    name: &x a\n"
                .replace("<<: *x", "<<: {}")
                .as_str(),
            &[
                ("2:15", "error[duplicate-key]: the key `a` is written twice"),
                ("2:24", "error[tag]: the tag `!secret` is not part of the language"),
                ("2:38", "error[unquoted-expression]: an expression needs quotes around it"),
                ("3:1", "error[duplicate-key]: the key `name` is written twice"),
                ("5:5", "error[merge-key]: merge keys are not part of the language"),
            ],
        );
    }

    #[test]
    fn a_key_without_a_value_is_a_mistake_unless_it_opens_a_mapping() {
        expect(
            "name: x\ncases:\n  - name: a\n    timeout:\n    unmap_all:\n",
            &[("4:5", "error[missing-value]: `timeout` has no value")],
        );
    }

    #[test]
    fn a_misspelt_key_is_not_missing_too() {
        expect("name: x\ncases:\n  - nmae: a\n", &[("3:5", "error[unknown-key]: unknown key `nmae` in a case")]);
    }

    #[test]
    fn values_of_another_shape_are_named_in_plain_words() {
        for (text, title, label) in [
            ("name: 5", "`name` cannot be the number 5", "expected text"),
            ("name: x\ncases: 1", "`cases` cannot be the number 1", "expected a list"),
            ("name: x\nvars: [1]", "`vars` cannot be a list", "expected a mapping"),
            ("- 1", "the file cannot be a list", "expected a mapping with the keys `name`, `cases` and `vars`"),
        ] {
            let mut problems = Problems::new();
            assert_eq!(decode::<Scenario>(&parse(text).unwrap(), &mut problems), None);
            let [problem] = problems.as_slice() else { panic!("{problems:?}") };
            assert_eq!((problem.title.as_str(), problem.label.as_str()), (title, label));
        }
    }

    #[test]
    fn unknown_keys_do_not_keep_the_rest_from_being_read() {
        let (value, found) = read("name: x\nnmae: y\n");
        assert_eq!(value.unwrap().name, "x");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn at_most_a_hundred_mistakes_are_shown_and_many_take_no_time() {
        let text = format!("name: x\ncases:\n{}", "  - { name: [], tags: [1], timeout: 3 }\n".repeat(20_000));
        let mut problems = Problems::new();
        assert_eq!(decode::<Scenario>(&parse(&text).unwrap(), &mut problems), None);
        assert_eq!(problems.as_slice().len(), MOST);
    }
}
