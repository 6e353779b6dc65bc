// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which backends a scenario runs on, and tables that differ by backend.

use crate::language::{At, Decode, Node, Value, described};
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    language::{
        Complaint, keys,
        text::suggest::{self, shorten},
    },
    model::{ANY_BACKEND, BackendName, code::Code},
};

/// The backends of a scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backends {
    /// Each with its options, in the order of the file.
    pub list: Vec<(BackendName, BackendOptions)>,
    /// Whether a case runs on the first of them that the kernel has, and not on each.
    pub any: bool,
}

impl Backends {
    /// Those of `any`, the first choice first. TYPE1 comes in both versions or not at all, and IOMMUFD's containers are there without its
    /// device files only before Linux 6.6.
    const ANY: [BackendName; 3] = [BackendName::Iommufd, BackendName::VfioType1v2, BackendName::CompatType1v2];

    /// A column for each of them.
    pub fn each(list: Vec<(BackendName, BackendOptions)>) -> Backends {
        Backends { list, any: false }
    }
}

keys! {
    /// What a scenario sets for one backend.
    #[derive(Copy, Default, Eq)]
    pub struct BackendOptions {
        /// Do not check page sizes on this backend, and say in the result that it was not done. For TYPE1, of which the kernel's
        /// maintainers settled in January 2026 that it promises none.
        #[default(false)]
        pub skip_pagesize: bool = default,
    }
}

impl Decode for Backends {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        const EXPECTED: &str = "`all`, `any`, a list of backends, or backends with their options";
        let unknown = |text: &str| {
            if BackendName::ALL.iter().any(|name| name.as_str() == text) {
                let help = format_args!("a list of one backend is written [{text}]");
                return Complaint::new(Code::WrongType, format_args!("`{text}` stands alone"))
                    .expected(EXPECTED)
                    .help(help);
            }
            if text.contains('*') {
                return unlisted(text);
            }
            let names = ["all", ANY_BACKEND].into_iter().chain(BackendName::ALL.iter().map(|name| name.as_str()));
            let title = format!("unknown backend `{}`", shorten(text));
            let mut complaint = Complaint::new(Code::UnknownBackend, title).expected(EXPECTED);
            complaint.help.extend(suggest::did_you_mean(text, names));
            complaint
        };
        let plain = |name| (name, BackendOptions::default());
        Some(Backends::each(match node.value() {
            Value::Text(text) | Value::Unquoted(text) => match text.as_str() {
                "all" => BackendName::ALL.iter().copied().map(plain).collect(),
                ANY_BACKEND => return Some(Backends { list: Backends::ANY.map(plain).to_vec(), any: true }),
                _ => return at.complain(node, unknown(text)),
            },
            Value::Sequence(elements) => {
                at.list(elements).into_iter().filter_map(|Listed(name)| name.map(plain)).collect()
            }
            Value::Mapping(entries) => {
                let mut backends = Vec::new();
                for (key, value) in at.entries(entries) {
                    let options = at.key(key, value).unwrap_or_default();
                    match key.parse() {
                        Ok(name) => backends.push((name, options)),
                        Err(_) => drop(at.complain_of_key::<()>(key, unlisted(key))),
                    }
                }
                backends
            }
            _ => return at.wrong_type(node, EXPECTED),
        }))
    }

    fn made_up() -> Self {
        Backends::default()
    }
}

/// A backend of a scenario: a name and no glob; none where it could not be read.
struct Listed(Option<BackendName>);

impl Decode for Listed {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        let name = at.text_as(node, "text", |text| text.parse().map_err(|_| unlisted(text)));
        name.map(|name| Listed(Some(name)))
    }

    fn made_up() -> Self {
        Listed(None)
    }
}

/// The complaint about a text that is no backend in a scenario's list.
fn unlisted(text: &str) -> Complaint {
    let names: Vec<&str> = BackendName::ALL.iter().map(|name| name.as_str()).collect();
    let complaint = Complaint::unknown_word(Code::UnknownBackend, "backend", &shorten(text), &names);
    let is_meant = |name: &&&str| text.contains('*') && matches(text.as_bytes(), name.as_bytes());
    let meant: Vec<&str> = names.iter().filter(is_meant).copied().collect();
    if meant.is_empty() {
        return complaint;
    }
    let title = format!("the pattern `{}` stands where a scenario lists its backends", shorten(text));
    let complaint = Complaint { title, help: Vec::new(), ..complaint };
    complaint.help(format_args!("patterns are for the `backends` of a case: write [{}] here", meant.join(", ")))
}

described!(Backends, |generator| {
    let name = generator.subschema_for::<BackendName>();
    let options = generator.subschema_for::<BackendOptions>();
    let properties: serde_json::Map<_, _> =
        BackendName::ALL.iter().map(|name| (name.as_str().to_owned(), options.as_value().clone())).collect();
    json_schema!({
        "description": "The backends that the cases run on: `all`, a list of names, or a table of names with options for each; `{}` for none. With `any` a case runs once, on `iommufd` or else on the next backend that the kernel has: for cases that have nothing to do with mapping.",
        "anyOf": [
            { "enum": ["all", ANY_BACKEND] },
            { "type": "array", "items": name, "minItems": 1 },
            { "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1 },
        ],
        "examples": ["all", ANY_BACKEND, { "vfio_type1_iommu": { "skip_pagesize": true }, "iommufd": {} }],
    })
});

/// A backend's name, or a glob such as `iommufd*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(example = &"iommufd", example = &"vfio_*")]
pub struct Pattern(pub String);

impl Decode for Pattern {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        String::decode(node, at).map(Pattern)
    }

    fn made_up() -> Self {
        Pattern("*".to_owned())
    }
}

impl Pattern {
    /// Whether the backend is meant.
    pub fn matches(&self, backend: BackendName) -> bool {
        matches(self.0.as_bytes(), backend.as_str().as_bytes())
    }

    /// Whether any backend can be meant.
    pub fn matches_any(&self) -> bool {
        BackendName::ALL.iter().any(|&name| self.matches(name))
    }
}

/// `*` stands for any number of characters. Linear in the product of the lengths, whatever the pattern.
pub(in crate::language) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Names without a glob and globs that only end in one are nearly all there are.
    match pattern.iter().position(|&c| c == b'*') {
        None => return pattern == text,
        Some(at) if at + 1 == pattern.len() => return text.starts_with(&pattern[..at]),
        Some(_) => {}
    }
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for &c in pattern {
        if c == b'*' {
            let first = reached.iter().position(|&r| r).unwrap_or(reached.len());
            reached[first..].fill(true);
        } else {
            for at in (0..text.len()).rev() {
                reached[at + 1] = reached[at] && text[at] == c;
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}

/// A value for every backend, or a table by backend of which the first key that matches counts.
#[derive(Debug, Clone, PartialEq)]
pub enum ByBackend<T> {
    /// The same for all.
    All(T),
    /// In the order of the file.
    Table(Vec<(Pattern, T)>),
}

/// A value that can stand in a [`ByBackend`] table.
pub trait TableValue: Decode {
    /// The key of the value's own form as a mapping; all others are backends.
    const OWN_KEY: Option<&'static str> = None;
    /// What the value is, for messages: "an outcome".
    const EXPECTING: &'static str;
}

impl<T> ByBackend<T> {
    /// The value for the backend, with the key that it stands under; `None` where no key matches.
    pub fn get(&self, backend: BackendName) -> Option<(Option<&str>, &T)> {
        match self {
            ByBackend::All(value) => Some((None, value)),
            ByBackend::Table(table) => table
                .iter()
                .find(|(pattern, _)| pattern.matches(backend))
                .map(|(pattern, value)| (Some(pattern.0.as_str()), value)),
        }
    }
}

impl<T: TableValue> Decode for ByBackend<T> {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        let entries = match node.value() {
            Value::Mapping(entries) => entries,
            Value::Null => return at.wrong_type(node, &format!("{}, or a table of them by backend", T::EXPECTING)),
            _ => return T::decode(node, at).map(ByBackend::All),
        };
        if let [(key, _)] = entries.as_slice()
            && T::OWN_KEY.is_some()
            && key.text == "value"
        {
            let title = "`expect` says whether a call succeeds, and not what it reads";
            return at.complain_of_key(
                &key.text,
                Complaint::new(Code::UnknownOutcome, title).expected(T::EXPECTING).help(
                    "save the result, `save: r`, and compare it in a step of its own: `check: \"{{ r.value == 1 }}\"`",
                ),
            );
        }
        let own = entries.iter().position(|(key, _)| T::OWN_KEY == Some(key.text.as_str()));
        let whole = "in a table by backend every outcome is whole: { iommufd: { bytes: SIZE }, \"*\": ok }";
        match own {
            Some(0) if entries.len() == 1 => T::decode(node, at).map(ByBackend::All),
            Some(own) => {
                let (at_fault, other) = (&entries[own.max(1)].0.text, &entries[own].0.text);
                let complaint = match own {
                    0 => Complaint::new(Code::MixedOutcome, format_args!("`{at_fault}` stands beside `{other}`"))
                        .expected(format_args!("`{other}` alone, or an outcome for each backend")),
                    _ => Complaint::new(Code::MixedOutcome, format_args!("`{other}` stands among backends"))
                        .expected("an outcome for each backend, or one for all"),
                };
                at.complain_of_key(at_fault, complaint.help(whole))
            }
            None => {
                let entries = at.entries(entries);
                let read = |(key, node): (&'d str, &'d Node)| {
                    (Pattern(key.to_owned()), at.key(key, node).unwrap_or_else(T::made_up))
                };
                Some(ByBackend::Table(entries.into_iter().map(read).collect()))
            }
        }
    }

    fn made_up() -> Self {
        ByBackend::All(T::made_up())
    }
}

impl<T: Serialize> Serialize for ByBackend<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ByBackend::All(value) => value.serialize(serializer),
            ByBackend::Table(table) => {
                let mut map = serializer.serialize_map(Some(table.len()))?;
                for (pattern, value) in table {
                    map.serialize_entry(pattern, value)?;
                }
                map.end()
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for ByBackend<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}ByBackend", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        let mut properties: serde_json::Map<_, _> =
            BackendName::ALL.iter().map(|name| (name.as_str().to_owned(), value.as_value().clone())).collect();
        for glob in ["vfio_*", "iommufd*", "iommufd_compat_*", "*"] {
            properties.insert(glob.to_owned(), value.as_value().clone());
        }
        json_schema!({
            "description": "The same for all backends, or a table by backend; keys may be globs, and the first that matches counts.",
            "anyOf": [
                value,
                {
                    "type": "object",
                    "properties": properties,
                    "patternProperties": { "\\*": value },
                    "additionalProperties": false,
                    "minProperties": 1,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_a_glob() {
        let names = |pattern: &str| -> Vec<&str> {
            BackendName::ALL.iter().filter(|&&n| Pattern(pattern.into()).matches(n)).map(|n| n.as_str()).collect()
        };
        assert_eq!(names("iommufd"), ["iommufd"]);
        assert_eq!(names("vfio_*"), ["vfio_type1_iommu", "vfio_type1v2_iommu"]);
        assert_eq!(names("*_type1"), ["iommufd_compat_type1"]);
        assert_eq!(names("*v2*"), ["vfio_type1v2_iommu", "iommufd_compat_type1v2"]);
        assert_eq!(names("*").len(), 5);
        assert_eq!(names("**").len(), 5);
        assert!(names("iommu").is_empty());
        assert!(names("").is_empty());
    }
}
