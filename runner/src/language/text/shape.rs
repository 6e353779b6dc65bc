// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the schema knows of a place in a document, for help that says where a key belongs and how a value looks. Nobody asks before
//! something is wrong.

use serde_json::Value;

use super::diagnostic::{Diagnostic, Target};
use super::node::{Key, Node, Value as Read};
use super::path::{Path, Segment};
use super::suggest::{self, shorten};
use super::{complaint::Complaint, naming::place, syntax};
use crate::model::code::Code;

/// Longer lists of keys help nobody who has mistyped one.
const MANY: usize = 24;

/// A document's schema.
#[derive(Clone, Copy)]
pub(in crate::language) struct Shape(pub &'static Value);

impl Shape {
    /// What may stand here, with references followed.
    fn choices(self, schema: &'static Value) -> Vec<&'static Value> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            return self.choices(&self.0["definitions"][name.rsplit('/').next().unwrap_or_default()]);
        }
        match ["allOf", "anyOf", "oneOf"].iter().find_map(|of| schema.get(of)?.as_array()) {
            Some(choices) => choices.iter().flat_map(|choice| self.choices(choice)).collect(),
            None => vec![schema],
        }
    }

    /// The schemas of the value at a path, with what is said of it there.
    fn at(self, path: &[Segment]) -> Vec<&'static Value> {
        path.iter().fold(vec![self.0], |here, segment| {
            let inside = here.into_iter().flat_map(|schema| self.choices(schema));
            inside
                .filter_map(|schema| match segment {
                    Segment::Index(_) => schema.get("items"),
                    Segment::Key(key) => schema
                        .get("properties")
                        .and_then(|keys| keys.get(&**key))
                        .or_else(|| schema.get("additionalProperties").filter(|values| values.is_object())),
                })
                .collect()
        })
    }

    /// The keys of the mapping at a path; of one with names of the author's choice there are none.
    pub fn keys(self, path: &Path) -> Vec<&'static str> {
        let here = self.at(path.segments()).into_iter().flat_map(|schema| self.choices(schema));
        here.filter_map(|schema| schema.get("properties")?.as_object()).flatten().map(|(key, _)| key.as_str()).collect()
    }

    fn has(self, path: &Path, key: &str) -> bool {
        self.keys(path).contains(&key)
    }

    /// Whether the line may end with the colon: the mapping at a path needs no key.
    fn may_be_empty(self, path: &Path) -> bool {
        let here = self.at(path.segments()).into_iter().flat_map(|schema| self.choices(schema)).collect::<Vec<_>>();
        here.iter().any(|schema| schema["type"].as_array().is_some_and(|types| types.iter().any(|name| name == "null")))
    }

    fn example(self, path: &Path) -> Option<&'static Value> {
        self.at(path.segments()).into_iter().find_map(|schema| schema.get("examples")?.get(0))
    }

    /// The message about a key that a mapping does not have; `None` if the message about an earlier key names it.
    pub fn unknown_key(
        self,
        path: &Path,
        name: &str,
        known: &[&str],
        entries: &[(Key, Node)],
        (key, value): (&str, &Node),
    ) -> Option<Diagnostic> {
        let place = place(name);
        let at = |complaint: Complaint| Some(complaint.diagnostic(path.join(key)).at(Target::Key));
        let unknown = || Complaint::new(Code::UnknownKey, format_args!("unknown key `{key}` in {place}"));
        if let Some(space) = key.chars().next().and_then(syntax::foreign) {
            let complaint = Complaint::new(Code::TabIndentation, format_args!("{space} indents this line"));
            return at(complaint.expected("a space").help(syntax::PLAIN_SPACES));
        }
        // `- map { region: buffer }`
        let (verb, rest) = key.split_at(key.find([' ', ':', '{', '[']).unwrap_or(key.len()));
        if !rest.is_empty() && known.contains(&verb) {
            let written = format!("{verb}: {}: {value}", rest.trim_start_matches([' ', ':']));
            return at(unknown()
                .expected(format_args!("a `:` behind `{verb}`"))
                .help(format_args!("write `{}`", shorten(&written))));
        }
        if let Some((.., help, _)) = slip(name, key) {
            return at(unknown().expected(format_args!("a key of {place}")).help(help));
        }
        let is_unknown = |key: &str| !known.contains(&key);
        // A key of what stands beside it: `region` in the column of its `map`.
        let owner = entries
            .iter()
            .find(|(owner, _)| !is_unknown(&owner.text) && self.has(&path.join(owner.text.as_str()), key));
        if let Some((Key { text: owner, .. }, content)) = owner {
            let inside = path.join(owner.as_str());
            let all = entries
                .iter()
                .map(|(key, _)| key.text.as_str())
                .filter(|key| is_unknown(key) && self.has(&inside, key));
            let all: Vec<&str> = all.collect();
            if all.first() != Some(&key) {
                return None;
            }
            let (belong, them) = if all.len() == 1 { ("belongs", "it") } else { ("belong", "them") };
            return at(unknown().expected(format_args!("a key of {place}")).help(match content.value() {
                Read::Null => format!("{} {belong} to `{owner}`: indent {them} two more", suggest::join(all, "and")),
                _ => format!("{} {belong} to `{owner}`: write {them} among its keys", suggest::join(all, "and")),
            }));
        }
        // A key of what it stands in: `save` in a `map`, `device` in a case.
        let mut below = path.clone();
        let mut beside = None;
        while let Some(step) = below.pop() {
            if let Segment::Key(step) = step {
                beside = Some(step);
            }
            if let Some(beside) = &beside
                && self.has(&below, key)
            {
                let owner = match below.segments() {
                    [] => "the file".to_owned(),
                    [.., Segment::Key(list), Segment::Index(_)] if **list == *"cases" => "the case".to_owned(),
                    [.., Segment::Index(_)] => "the step".to_owned(),
                    [.., Segment::Key(key)] => format!("`{key}`"),
                };
                let help = format!("`{key}` is a key of {owner}: write it beside `{beside}`, in the same column");
                let complaint = unknown().expected(format_args!("a key of {place}")).help(help);
                return at(of_a_step(complaint, name, key));
            }
        }
        // A key of an element of a list: `steps` beside the `cases`.
        if let Some(list) = known.iter().find(|list| self.has(&path.join(**list).join(0), key)) {
            let help = format!("`{key}` is a key of each of the `{list}`: write it in one of them");
            return at(unknown().expected(format_args!("a key of {place}")).help(help));
        }
        let complaint = match known.len() > MANY {
            false => Complaint::unknown_key(key, &place, known),
            true => {
                let some = suggest::join(known.iter().copied().take(6), "or");
                let complaint = unknown().expected(format_args!("a key of {place}, such as {some}"));
                match suggest::did_you_mean(key, known.iter().copied()) {
                    Some(help) => complaint.help(help),
                    None => {
                        complaint.help(format_args!("all of them are {}", suggest::join(known.iter().copied(), "and")))
                    }
                }
            }
        };
        at(of_a_step(complaint, name, key))
    }

    /// How a key may look that is missing in the mapping at a path.
    pub fn such_as(self, path: &Path, key: &str) -> Option<String> {
        let example = self.example(&path.join(key)).filter(|value| !value.is_object() && !value.is_array())?;
        Some(format!("such as `{key}: {}`", written(example)))
    }

    /// How a value of another form is written.
    pub fn form(self, path: &Path, node: &Node, expected: &str) -> Option<String> {
        let key = path.segments().iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(key),
            Segment::Index(_) => None,
        })?;
        let is_element = matches!(path.last(), Some(Segment::Index(_)));
        if self.may_be_empty(path) {
            return Some(format!("nothing has to stand behind the colon: `- {key}:`"));
        }
        if is_element && let Some(text) = &node.scalar() {
            let word = text.split([':', ' ', '{']).next().unwrap_or_default();
            let path_of_word = path.join(word);
            if self.has(path, word) {
                return Some(match text[word.len()..].trim_start_matches(':').trim() {
                    "" if self.may_be_empty(&path_of_word) => format!("write `- {word}:`"),
                    "" => format!(
                        "write `- {word}: {}`",
                        self.example(&path_of_word).map(written).unwrap_or("…".to_owned())
                    ),
                    rest => format!("write `- {word}: {rest}`"),
                });
            }
        }
        let of_list = if is_element { path.parent()? } else { path.clone() };
        let example = self.example(&of_list)?;
        let holds_mappings = example.get(0).is_some_and(Value::is_object);
        match expected {
            "a list" if holds_mappings && !node.entries().is_empty() => {
                let first = &node.entries().first()?.0.text;
                Some(format!("each of them begins with a dash: `- {first}: …`"))
            }
            _ if holds_mappings || example.is_object() || node.scalar().is_none() && *node.value() != Read::Null => {
                Some(format!("such as `{key}: {}`", written(example)))
            }
            _ => None,
        }
    }
}

/// Keys that people expect in a mapping: the mapping, the key, what to do, and the keys that are meant.
const SLIPS: [(&str, &str, &str, &[&str]); 2] = [
    ("Region", "device", "a region is memory of the case, for all its devices: remove `device`", &[]),
    (
        "Unmap",
        "region",
        "what is unmapped is a range of IOVAs, such as what a `map` saved: `unmap: { iova: \"{{ m.iova }}\", size: \"{{ m.size }}\" }`",
        &["iova", "size"],
    ),
];

/// What is known of a key that people expect in the mapping of this name.
pub(super) fn slip(
    name: &str,
    key: &str,
) -> Option<(&'static str, &'static str, &'static str, &'static [&'static str])> {
    SLIPS.into_iter().find(|(owner, slip, ..)| (*owner, *slip) == (name, key))
}

/// A step has no condition of its own.
fn of_a_step(complaint: Complaint, name: &str, key: &str) -> Complaint {
    if name != "Step" || !matches!(key, "if" | "when" | "unless" | "only" | "backend") {
        return complaint;
    }
    let complaint = Complaint { help: Vec::new(), ..complaint };
    complaint.help(
        "`backends: […]` says on which backends a step runs, and `requires` of a case on which machines the case does",
    )
}

/// A value as an author writes it, on one line.
fn written(value: &Value) -> String {
    let list = |values: Vec<String>| values.join(", ");
    match value {
        Value::Object(entries) => {
            format!("{{ {} }}", list(entries.iter().map(|(key, value)| format!("{key}: {}", written(value))).collect()))
        }
        Value::Array(values) => format!("[{}]", list(values.iter().map(written).collect())),
        Value::String(text) if text.contains(['{', '*', '#', ',']) || text.contains(": ") => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
