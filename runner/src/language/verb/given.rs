// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fields of a request, as a step gives them: numbers, names of the header, and lists.

use super::prelude::*;
use crate::{
    language::text::suggest::shorten,
    uapi::{
        VfToken,
        request::{Array, Field, Means},
    },
};

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only for writing
pub enum Given {
    /// A number, or a name of the header.
    One(Scalar),
    /// Flags by their names, or the elements of a list that stands behind the struct.
    List(Vec<Element>),
}

/// An element of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)] // only for writing
pub enum Element {
    /// A number, or a name of the header.
    One(Scalar),
    /// A struct.
    Fields(Ordered<Scalar>),
}

impl Decode for Given {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Sequence(elements) => Some(Given::List(at.list(elements))),
            Value::Null | Value::Float(_) | Value::Mapping(_) => {
                at.wrong_type(node, "a number, a name of the header, or a list of them")
            }
            Value::Bool(_) | Value::Integer(_) | Value::Text(_) | Value::Unquoted(_) => {
                Scalar::decode(node, at).map(Given::One)
            }
        }
    }

    fn made_up() -> Self {
        Given::One(Scalar::made_up())
    }
}

impl Decode for Element {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Mapping(_) => Ordered::decode(node, at).map(Element::Fields),
            _ => Scalar::decode(node, at).map(Element::One),
        }
    }

    fn made_up() -> Self {
        Element::One(Scalar::made_up())
    }
}

described!(Given, "Field", |generator| {
    let one = generator.subschema_for::<Scalar>();
    let fields = generator.subschema_for::<Ordered<Scalar>>();
    json_schema!({
        "description": "The value of a field of a request: a number, a name of the kernel's header without the prefix of its group, \
            or a list of such names for flags. A list that stands behind the struct takes numbers or tables of fields.",
        "anyOf": [one, { "type": "array", "items": { "anyOf": [one, fields] } }],
        "examples": [["READ", "WRITE"], "HUGE_PAGES", "4KiB"],
    })
});

/// What is wrong with the fields that a step gives to what messages call `what`.
pub(super) fn wrong(
    what: &str,
    known: &'static [Field],
    arrays: &'static [Array],
    fields: &Ordered<Given>,
    at: &Path,
) -> Vec<Diagnostic> {
    let mut mistakes = Mistakes { what, found: Vec::new() };
    for (name, given) in fields.iter() {
        let at = at.join(name);
        let array = arrays.iter().find(|array| array.name == name);
        match (known.iter().find(|field| field.name == name), array) {
            // A field that holds the address of the list has its name.
            (Some(field), _) => mistakes.field(field, given, &at),
            (None, Some(array)) => mistakes.array(array, given, &at),
            (None, None) => {
                let arrays = arrays.iter().map(|array| array.name);
                let known: Vec<&str> = known.iter().map(|field| field.name).chain(arrays).collect();
                mistakes.unknown(name, &known, at);
            }
        }
    }
    mistakes.found
}

struct Mistakes<'a> {
    what: &'a str,
    found: Vec<Diagnostic>,
}

impl Mistakes<'_> {
    fn unknown(&mut self, name: &str, known: &[&str], at: Path) {
        let title = format!("{} has no field `{name}`", self.what);
        let mut mistake = Diagnostic::error(Code::UnknownField, at, title).at(Target::Key);
        mistake = match known {
            [] => mistake.label("expected none: it takes no data"),
            _ => mistake.label(expected_one_of(known.iter().copied())),
        };
        mistake.help.extend(did_you_mean(name, known.iter().copied()));
        self.found.push(mistake);
    }

    fn say(&mut self, at: Path, title: String, label: impl Into<String>, help: Vec<String>) {
        let mut mistake = Diagnostic::error(Code::InvalidField, at, title).label(label);
        mistake.help = help;
        self.found.push(mistake);
    }

    fn field(&mut self, field: &'static Field, given: &Given, at: &Path) {
        match (given, field.means) {
            (Given::One(value), _) => self.value(field, value, at.clone()),
            (Given::List(elements), Means::Flags { .. }) => {
                for (index, element) in elements.iter().enumerate() {
                    match element {
                        Element::One(value) => self.value(field, value, at.join(index)),
                        Element::Fields(_) => {
                            let title = format!("a table is no flag of `{}`", field.name);
                            self.say(at.join(index), title, "expected the name of a flag", Vec::new());
                        }
                    }
                }
            }
            (Given::List(_), Means::Number | Means::Signed | Means::Word(_)) => {
                let title = format!("`{}` has no flags, and takes one value", field.name);
                self.say(at.clone(), title, "expected one value", Vec::new());
            }
        }
    }

    fn array(&mut self, array: &'static Array, given: &Given, at: &Path) {
        let elements = match given {
            Given::List(elements) => elements,
            Given::One(Scalar::Text(text)) if is_bytes(array) => {
                if !text.contains("{{") && text.parse::<VfToken>().is_err() {
                    let label = "expected a UUID such as 52ac9bff-3a88-4fbd-901a-0d767c3b6c97, or a list of bytes";
                    self.say(at.clone(), format!("`{}` is no UUID", shorten(text)), label, Vec::new());
                }
                return;
            }
            Given::One(_) => {
                self.say(at.clone(), format!("`{}` is a list", array.name), "expected a list", Vec::new());
                return;
            }
        };
        for (index, element) in elements.iter().enumerate() {
            let at = at.join(index);
            match (element, array.element) {
                (Element::One(value), [only]) if only.name.is_empty() => self.value(only, value, at),
                (Element::Fields(fields), known) if known.iter().all(|field| !field.name.is_empty()) => {
                    for (name, value) in fields.iter() {
                        match known.iter().find(|field| field.name == name) {
                            Some(field) => self.value(field, value, at.join(name)),
                            None => {
                                let known: Vec<&str> = known.iter().map(|field| field.name).collect();
                                self.unknown(name, &known, at.join(name));
                            }
                        }
                    }
                }
                (Element::Fields(_), _) => {
                    let title = format!("an element of `{}` is a number", array.name);
                    self.say(at, title, "expected a number", Vec::new());
                }
                (Element::One(_), known) => {
                    let fields: Vec<&str> = known.iter().map(|field| field.name).collect();
                    let title = format!("an element of `{}` has fields", array.name);
                    self.say(at, title, format!("expected a table with {}", fields.join(", ")), Vec::new());
                }
            }
        }
    }

    fn value(&mut self, field: &'static Field, value: &Scalar, at: Path) {
        let words: Vec<&str> = field.means.words().map(|(word, _)| *word).collect();
        let text = match value {
            Scalar::Integer(_) => return,
            Scalar::Text(source) if source.contains("{{") || field.word(source).is_some() => return,
            Scalar::Text(source) if source.parse::<Size>().is_ok() => return,
            Scalar::Text(source) => source.as_str(),
            Scalar::Bool(_) => "",
        };
        let number = "expected a number such as 7, -1, 0x1000 or 4KiB, or an expression for one";
        if words.is_empty() {
            let help = match value {
                Scalar::Text(text) => text.parse::<Size>().err().map(|complaint| complaint.help).unwrap_or_default(),
                Scalar::Integer(_) | Scalar::Bool(_) => Vec::new(),
            };
            return self.say(at, format!("`{value}` is no number"), number, help);
        }
        let mut help = Vec::new();
        let named = |part: &str| {
            let is_end =
                |word: &&&str| part == **word || part.strip_suffix(**word).is_some_and(|head| head.ends_with('_'));
            words.iter().filter(is_end).max_by_key(|word| word.len()).map(|word| (*word).to_owned())
        };
        let parts: Vec<Option<String>> = text.split('|').map(|part| named(part.trim())).collect();
        match parts.into_iter().collect::<Option<Vec<_>>>() {
            Some(words) => match words.as_slice() {
                [word] => help.push(format!("without the prefix of its group it is `{word}`")),
                words => help.push(format!("write a list: [{}]", words.join(", "))),
            },
            None => help.extend(did_you_mean(text, words.iter().copied())),
        }
        let title = format!("`{}` of {} has no value `{}`", field.name, self.what, shorten(&value.to_string()));
        self.say(at, title, expected_one_of(words.iter().copied()), help);
    }
}

/// Whether a list is bytes, which a text may give.
pub fn is_bytes(array: &Array) -> bool {
    matches!(array.element, [only] if only.name.is_empty() && only.width == 1)
}
