// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a step is expected to give.

use std::fmt;

use minijinja::{Value as Computed, value::ValueKind};
use schemars::json_schema;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::language::{
    At, Complaint, Decode, Dynamic, FromValue, Node, Size, TableValue, Value, described, expression::convert::refused,
    keys,
};
use crate::{language::text::suggest, model::Errno, model::code::Code};

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
fn errno(text: &str) -> Result<Errno, Complaint> {
    Errno::from_name(text).ok_or_else(|| {
        let mut complaint = Complaint::new(Code::UnknownOutcome, format_args!("unknown outcome `{text}`"))
            .expected("`ok`, `fails`, the name of an errno, or `{ bytes: SIZE }`");
        complaint.help.extend(match text {
            "success" | "succeeds" | "pass" | "passes" | "true" => Some("success is written `ok`".to_owned()),
            "no" | "off" | "false" | "yes" | "on" => Some(format!(
                "`{text}` is a word here, whatever other readers of YAML take it for: write `ok` or `fails`"
            )),
            "fail" | "failure" | "error" | "any" => Some("any errno at all is written `fails`".to_owned()),
            _ if text.parse::<Size>().is_ok() => {
                Some(format!("a call that reports a number of bytes is written {{ bytes: {text} }}"))
            }
            _ => suggest::did_you_mean(text, ["ok", "fails", "either"].into_iter().chain(Errno::names())),
        });
        complaint
    })
}

impl Outcome {
    fn from_text(text: &str) -> Result<Outcome, Complaint> {
        match text {
            "ok" => Ok(Outcome::Ok),
            "fails" => Ok(Outcome::Fails),
            "either" => Ok(Outcome::Either),
            _ => errno(text).map(|errno| Outcome::Errno(vec![errno])),
        }
    }
}

/// The errno of this name in a list of them.
fn acceptable(text: &str) -> Result<Errno, Complaint> {
    if matches!(text, "ok" | "fails" | "either") {
        let title = format_args!("`{text}` stands in a list of errnos");
        return Err(Complaint::new(Code::UnknownOutcome, title)
            .expected("the name of an errno")
            .help(format_args!("a list says which errnos are acceptable; `{text}` stands alone")));
    }
    errno(text)
}

/// An errno in a list of them.
struct Acceptable(Errno);

impl Decode for Acceptable {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.text_as(node, "text", |text| acceptable(text).map(Acceptable))
    }

    fn made_up() -> Self {
        Acceptable(Errno(1))
    }
}

/// The complaint about an errno's number.
fn number(number: i128) -> Complaint {
    let mut complaint = Complaint::new(Code::UnknownOutcome, format_args!("unknown outcome {number}"))
        .expected("`ok`, `fails`, the name of an errno, or `{ bytes: SIZE }`");
    let errno = i32::try_from(number.unsigned_abs()).ok().and_then(|number| Errno(number).name());
    complaint.help.extend(errno.map(|name| format!("an errno is written by its name: {name}")));
    complaint
}

impl Decode for Outcome {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Text(text) | Value::Unquoted(text) => {
                Outcome::from_text(text).map_or_else(|complaint| at.complain(node, complaint), Some)
            }
            Value::Integer(value) => at.complain(node, number(*value)),
            Value::Sequence(elements) if elements.is_empty() => at.empty_list(node, "at least one errno"),
            Value::Sequence(elements) => {
                Some(Outcome::Errno(at.list(elements).into_iter().map(|Acceptable(errno)| errno).collect()))
            }
            Value::Mapping(_) => Reported::decode(node, at).map(|reported| Outcome::Bytes(reported.bytes)),
            Value::Null | Value::Bool(_) | Value::Float(_) => at.wrong_type(node, Dynamic::<Outcome>::EXPECTING),
        }
    }

    fn made_up() -> Self {
        Outcome::Ok
    }
}

keys! {
    /// What a successful `unmap`, `unmap_all`, `pread`, `pwrite`, `read` or `write` reports.
    struct Reported {
        /// How many bytes the kernel says it unmapped, read or wrote.
        #[example("4KiB")] #[example("{{ m.size }}")]
        bytes: Dynamic<Size>,
    }
}

/// What an expression gives: the text, the list or `{ 'bytes': n }` that a file would say.
impl FromValue for Outcome {
    fn from_value(value: &Computed) -> Result<Self, Complaint> {
        if let Some(text) = value.as_str() {
            return Outcome::from_text(text);
        }
        match value.kind() {
            ValueKind::Seq => {
                let errnos = Vec::<String>::from_value(value)?;
                if errnos.is_empty() {
                    let title = "the expression gives an empty list";
                    return Err(Complaint::new(Code::Expression, title).expected("at least one errno"));
                }
                errnos.iter().map(|name| acceptable(name)).collect::<Result<_, _>>().map(Outcome::Errno)
            }
            ValueKind::Map => match (value.len(), value.get_attr("bytes")) {
                (Some(1), Ok(bytes)) if !bytes.is_undefined() => {
                    Size::from_value(&bytes).map(|size| Outcome::Bytes(Dynamic::Is(size)))
                }
                _ => Err(refused(value, Dynamic::<Outcome>::EXPECTING)
                    .help("a number of bytes is written {{ {'bytes': page} }}")),
            },
            _ => Err(refused(value, Dynamic::<Outcome>::EXPECTING)),
        }
    }
}

impl TableValue for Dynamic<Outcome> {
    const OWN_KEY: Option<&'static str> = Some("bytes");
    const EXPECTING: &'static str = "`ok`, `fails`, the name of an errno, a list of them, or `{ bytes: SIZE }`";
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

described!(ErrnoName, "Errno", |_| {
    let names: Vec<_> = Errno::names().collect();
    json_schema!({ "description": "The name of an errno.", "enum": names })
});

described!(Outcome, |generator| {
    let errno = generator.subschema_for::<ErrnoName>();
    let reported = generator.subschema_for::<Reported>();
    json_schema!({
        "description": "`ok`: the call succeeds; `fails`: it fails with any errno; `either`: it succeeds or fails; an errno's name: it fails with that one; a list of errnos: with one of them; `{ bytes: SIZE }`: it succeeds and reports this many bytes.",
        "anyOf": [
            { "enum": ["ok", "fails", "either"] },
            errno,
            { "type": "array", "items": errno, "minItems": 1 },
            reported,
        ],
        "examples": ["ok", "EINVAL", ["EINVAL", "EOPNOTSUPP"], { "bytes": "4KiB" }],
    })
});
