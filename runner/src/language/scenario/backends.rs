//! Which backends a scenario runs on, and tables that differ by backend.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IntoDeserializer},
    ser::SerializeMap,
};

use crate::{
    language::{
        Complaint,
        text::suggest::{self, shorten},
    },
    model::{BackendName, code::Code},
};

/// The backends of a scenario, each with its options, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backends(pub Vec<(BackendName, BackendOptions)>);

/// What a scenario sets for one backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendOptions {
    /// Do not check page sizes on this backend, and say in the result that it was not done. For TYPE1, of which the kernel's
    /// maintainers settled in January 2026 that it promises none.
    #[serde(default)]
    pub skip_pagesize: bool,
}

impl<'de> Deserialize<'de> for Backends {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Backends;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, a list of backends, or backends with their options")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Backends, E> {
                match text {
                    "all" => {
                        Ok(Backends(BackendName::ALL.iter().map(|&name| (name, BackendOptions::default())).collect()))
                    }
                    _ if BackendName::ALL.iter().any(|name| name.as_str() == text) => {
                        Err(Complaint::new(format_args!("`{text}` stands alone"))
                            .code(Code::WrongType)
                            .expected("`all`, a list of backends, or backends with their options")
                            .help(format_args!("a list of one backend is written [{text}]"))
                            .raise())
                    }
                    _ if text.contains('*') => Err(unlisted(text).raise()),
                    _ => {
                        let names = || ["all"].into_iter().chain(BackendName::ALL.iter().map(|name| name.as_str()));
                        let mut complaint = Complaint::new(format_args!("unknown backend `{}`", shorten(text)))
                            .code(Code::UnknownBackend)
                            .expected("`all`, a list of backends, or backends with their options");
                        complaint.help.extend(suggest::did_you_mean(text, names()));
                        Err(complaint.raise())
                    }
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Backends, A::Error> {
                let mut backends = Vec::new();
                while let Some(Listed(name)) = sequence.next_element()? {
                    backends.push((name, BackendOptions::default()));
                }
                Ok(Backends(backends))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Backends, A::Error> {
                let mut backends = Vec::new();
                while let Some(Listed(name)) = map.next_key()? {
                    backends.push((name, map.next_value()?));
                }
                Ok(Backends(backends))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A backend of a scenario: a name and no glob.
struct Listed(BackendName);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Listed).map_err(|_| unlisted(&text).raise())
    }
}

/// The complaint about a text that is no backend in a scenario's list.
fn unlisted(text: &str) -> Complaint {
    let names: Vec<&str> = BackendName::ALL.iter().map(|name| name.as_str()).collect();
    let complaint = Complaint::unknown_word("backend", &shorten(text), &names).code(Code::UnknownBackend);
    let is_meant = |name: &&&str| text.contains('*') && matches(text.as_bytes(), name.as_bytes());
    let meant: Vec<&str> = names.iter().filter(is_meant).copied().collect();
    if meant.is_empty() {
        return complaint;
    }
    let title = format!("the pattern `{}` stands where a scenario lists its backends", shorten(text));
    let complaint = Complaint { title, help: Vec::new(), ..complaint };
    complaint.help(format_args!("patterns are for the `backends` of a case: write [{}] here", meant.join(", ")))
}

impl JsonSchema for Backends {
    fn schema_name() -> Cow<'static, str> {
        "Backends".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<BackendName>();
        let options = generator.subschema_for::<BackendOptions>();
        let properties: serde_json::Map<_, _> =
            BackendName::ALL.iter().map(|name| (name.as_str().to_owned(), options.as_value().clone())).collect();
        json_schema!({
            "description": "The backends that the cases run on: `all`, a list of names, or a table of names with options for each; `{}` for none.",
            "anyOf": [
                { "const": "all" },
                { "type": "array", "items": name, "minItems": 1 },
                { "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1 },
            ],
            "examples": ["all", { "vfio_type1_iommu": { "skip_pagesize": true }, "iommufd": {} }],
        })
    }
}

/// A backend's name, or a glob such as `iommufd*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(example = &"iommufd", example = &"vfio_*")]
pub struct Pattern(pub String);

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
fn matches(pattern: &[u8], text: &[u8]) -> bool {
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
pub trait TableValue: Sized {
    /// Keys of the value's own mapping form; all others are backends.
    const OWN_KEYS: &'static [&'static str] = &[];
    /// What the value is, for messages: "an outcome".
    const EXPECTING: &'static str;

    /// Reads the value's own mapping form, whose first key has been read.
    fn from_own_mapping<'de, A: de::MapAccess<'de>>(_key: &str, _map: A) -> Result<Self, A::Error> {
        unreachable!("only called for the keys of OWN_KEYS")
    }
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

impl<'de, T: Deserialize<'de> + TableValue> Deserialize<'de> for ByBackend<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + TableValue> de::Visitor<'de> for Visitor<T> {
            type Value = ByBackend<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}, or a table of them by backend", T::EXPECTING)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(ByBackend::All)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(ByBackend::All)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(ByBackend::All)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(ByBackend::All)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(ByBackend::All)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::SeqAccessDeserializer::new(sequence)).map(ByBackend::All)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut table = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if T::OWN_KEYS.contains(&key.as_str()) {
                        if !table.is_empty() {
                            return Err(Complaint::new(format_args!("`{key}` stands among backends"))
                                .code(Code::MixedOutcome)
                                .expected("an outcome for each backend, or one for all")
                                .help("in a table by backend every outcome is whole: { iommufd: { bytes: SIZE }, \"*\": ok }")
                                .at_key(key)
                                .raise());
                        }
                        return T::from_own_mapping(&key, map).map(ByBackend::All);
                    }
                    table.push((Pattern(key), map.next_value()?));
                }
                Ok(ByBackend::Table(table))
            }
        }
        deserializer.deserialize_any(Visitor(PhantomData))
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
