//! What a step is expected to give.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
    ser::SerializeMap,
};

use crate::{
    language::{Complaint, Dynamic, Size, TableValue, text::suggest},
    model::{Errno, code::Code},
};

/// What a call is expected to do on one backend.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It succeeds.
    Ok,
    /// It fails with any errno.
    Fails,
    /// It succeeds or fails; later steps check the result.
    Either,
    /// It fails with one of these.
    Errno(Vec<Errno>),
    /// It succeeds and reports this many bytes.
    Bytes(Dynamic<Size>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Ok => f.write_str("success"),
            Outcome::Fails => f.write_str("failure with any errno"),
            Outcome::Either => f.write_str("success or failure"),
            Outcome::Errno(errnos) => {
                let names: Vec<_> = errnos.iter().map(|errno| known(*errno)).collect();
                f.write_str(&names.join(" or "))
            }
            Outcome::Bytes(Dynamic::Is(size)) => write!(f, "success and {size}"),
            Outcome::Bytes(Dynamic::Expression(source)) => write!(f, "success and {source} bytes"),
        }
    }
}

/// The name of the errno.
fn known(errno: Errno) -> &'static str {
    errno.name().expect("an errno in a scenario was read by its name")
}

/// The errno of this name, or a complaint that suggests one.
fn errno<E: de::Error>(text: &str) -> Result<Errno, E> {
    Errno::from_name(text).ok_or_else(|| {
        let mut complaint = Complaint::new(format_args!("unknown outcome `{text}`"))
            .code(Code::UnknownOutcome)
            .expected("`ok`, `fails`, the name of an errno, or `{ bytes: SIZE }`");
        complaint.help.extend(match text {
            "success" | "succeeds" | "pass" | "passes" | "true" => Some("success is written `ok`".to_owned()),
            "no" | "off" | "false" | "yes" | "on" => Some(format!(
                "`{text}` is a word here, whatever other readers of YAML take it for: write `ok` or `fails`"
            )),
            "fail" | "failure" | "error" | "any" => Some("any errno at all is written `fails`".to_owned()),
            _ if text.parse::<Size>().is_ok() => {
                Some(format!("a call that reports so many bytes is written {{ bytes: {text} }}"))
            }
            _ => suggest::did_you_mean(text, ["ok", "fails", "either"].into_iter().chain(Errno::names())),
        });
        complaint.raise()
    })
}

/// An errno in a list of them.
struct Acceptable(Errno);

impl<'de> Deserialize<'de> for Acceptable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if matches!(text.as_str(), "ok" | "fails" | "either") {
            return Err(Complaint::new(format_args!("`{text}` stands in a list of errnos"))
                .code(Code::UnknownOutcome)
                .expected("the name of an errno")
                .help(format_args!("a list says which errnos are acceptable; `{text}` stands alone"))
                .raise());
        }
        errno(&text).map(Acceptable)
    }
}

/// The complaint about an errno's number.
fn number<E: de::Error>(number: i64) -> E {
    let mut complaint = Complaint::new(format_args!("unknown outcome {number}"))
        .code(Code::UnknownOutcome)
        .expected("`ok`, `fails`, the name of an errno, or `{ bytes: SIZE }`");
    let errno = i32::try_from(number.unsigned_abs()).ok().and_then(|number| Errno(number).name());
    complaint.help.extend(errno.map(|name| format!("an errno is written by its name: {name}")));
    complaint.raise()
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Outcome;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`ok`, `fails`, the name of an errno, a list of them, or `{ bytes: SIZE }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Outcome, E> {
                match text {
                    "ok" => Ok(Outcome::Ok),
                    "fails" => Ok(Outcome::Fails),
                    "either" => Ok(Outcome::Either),
                    _ => Ok(Outcome::Errno(vec![errno(text)?])),
                }
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Outcome, E> {
                Err(number(i64::try_from(value).unwrap_or(i64::MAX)))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Outcome, E> {
                Err(number(value))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Outcome, A::Error> {
                let mut errnos = Vec::new();
                while let Some(Acceptable(errno)) = sequence.next_element()? {
                    errnos.push(errno);
                }
                match errnos.is_empty() {
                    false => Ok(Outcome::Errno(errnos)),
                    true => Err(de::Error::invalid_length(0, &"at least one errno")),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Outcome, A::Error> {
                let reported = Reported::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Outcome::Bytes(reported.bytes))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What a successful `unmap`, `unmap_all`, `pread` or `pwrite` reports.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reported {
    /// How many bytes the kernel says it unmapped, read or wrote.
    #[schemars(example = "4KiB", example = "{{ m.size }}")]
    bytes: Dynamic<Size>,
}

impl TableValue for Outcome {
    const OWN_KEYS: &'static [&'static str] = &["bytes"];
    const EXPECTING: &'static str = "`ok`, `fails`, the name of an errno, a list of them, or `{ bytes: SIZE }`";

    fn from_own_mapping<'de, A: de::MapAccess<'de>>(_key: &str, mut map: A) -> Result<Self, A::Error> {
        let bytes = map.next_value()?;
        match map.next_key::<String>()? {
            None => Ok(Outcome::Bytes(bytes)),
            Some(key) => Err(Complaint::new(format_args!("`{key}` stands beside `bytes`"))
                .code(Code::MixedOutcome)
                .expected("`bytes` alone, or an outcome for each backend")
                .help("in a table by backend every outcome is whole: { iommufd: { bytes: SIZE }, \"*\": ok }")
                .at_key(key)
                .raise()),
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Outcome::Ok => serializer.serialize_str("ok"),
            Outcome::Fails => serializer.serialize_str("fails"),
            Outcome::Either => serializer.serialize_str("either"),
            Outcome::Errno(errnos) => match errnos.as_slice() {
                [errno] => serializer.serialize_str(known(*errno)),
                _ => serializer.collect_seq(errnos.iter().map(|errno| known(*errno))),
            },
            Outcome::Bytes(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("bytes", bytes)?;
                map.end()
            }
        }
    }
}

struct ErrnoName;

impl JsonSchema for ErrnoName {
    fn schema_name() -> Cow<'static, str> {
        "Errno".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Errno::names().collect();
        json_schema!({ "description": "The name of an errno.", "enum": names })
    }
}

impl JsonSchema for Outcome {
    fn schema_name() -> Cow<'static, str> {
        "Outcome".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let errno = generator.subschema_for::<ErrnoName>();
        let reported = generator.subschema_for::<Reported>();
        json_schema!({
            "description": "`ok`: the call succeeds; `fails`: it fails with any errno; `either`: it succeeds or fails; an errno's name: it fails with that one; a list of errnos: with one of them; `{ bytes: SIZE }`: it succeeds and reports so many bytes.",
            "anyOf": [
                { "enum": ["ok", "fails", "either"] },
                errno,
                { "type": "array", "items": errno, "minItems": 1 },
                reported,
            ],
            "examples": ["ok", "EINVAL", ["EINVAL", "EOPNOTSUPP"], { "bytes": "4KiB" }],
        })
    }
}
