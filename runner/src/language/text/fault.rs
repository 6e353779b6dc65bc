//! The error type of the decoder, and how it reads once it is a diagnostic.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::complaint::Complaint;
use super::diagnostic::{Diagnostic, Target};
use super::node::{Node, Value};
use super::path::{Path, Segment};
use super::suggest::{self, shorten};
use super::syntax::BEGINNING;
use crate::language::{scenario::step::VERB, verb::Verb};
use crate::model::code::Code;

/// Why decoding stopped, and where.
#[derive(Debug)]
pub(in crate::language) struct Fault(pub(in crate::language) Box<Inner>);

#[derive(Debug)]
pub(in crate::language) struct Inner {
    pub kind: Kind,
    pub site: Option<Site>,
}

#[derive(Debug)]
pub(in crate::language) enum Kind {
    Complaint(Complaint),
    /// Not of the type or range asked for.
    Type {
        expected: String,
    },
    Variant {
        read: String,
        known: &'static [&'static str],
    },
    Missing(&'static str),
    /// A value made up by the decoder did not fit; never shown.
    StandIn {
        owner: usize,
        key: Option<&'static str>,
    },
}

/// Where decoding stopped.
#[derive(Debug)]
pub(in crate::language) struct Site {
    pub path: Path,
    pub target: Target,
    /// The addresses of the nodes from the root to here: nodes are not moved while a tree is decoded.
    pub nodes: Vec<usize>,
    /// What was read.
    pub read: Read,
    /// What the mapping is, such as "a case".
    pub place: Option<String>,
}

/// What stood where decoding stopped.
#[derive(Debug)]
pub(in crate::language) struct Read {
    pub description: String,
    pub is_nothing: bool,
    /// The value as it would be written, if it is one line.
    pub scalar: Option<String>,
    pub is_text: bool,
    /// A number with a point or an exponent.
    pub is_fraction: bool,
    /// The mapping's first key.
    pub first_key: Option<String>,
}

impl Read {
    pub fn of(node: &Node) -> Self {
        let value = node.value();
        Read {
            description: node.describe(),
            is_nothing: *value == Value::Null,
            scalar: (!matches!(value, Value::Sequence(_) | Value::Mapping(_) | Value::Null)).then(|| node.to_string()),
            is_text: matches!(value, Value::Text(_) | Value::Unquoted(_)),
            is_fraction: matches!(value, Value::Float(_)),
            first_key: node.entries().first().map(|(key, _)| key.text.clone()),
        }
    }
}

impl Fault {
    pub fn new(kind: Kind) -> Self {
        Fault(Box::new(Inner { kind, site: None }))
    }

    /// Adds the place, unless one further down is known already.
    pub fn located(mut self, site: impl FnOnce() -> Site) -> Self {
        self.0.site.get_or_insert_with(site);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.kind)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::new(Kind::Complaint(Complaint::from_error(message)))
    }

    fn invalid_type(_: Unexpected, expected: &dyn Expected) -> Self {
        Fault::new(Kind::Type { expected: plain_words(&expected.to_string()) })
    }

    fn invalid_value(_: Unexpected, expected: &dyn Expected) -> Self {
        Fault::new(Kind::Type { expected: plain_words(&expected.to_string()) })
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let title = match length {
            0 => "the list is empty".to_owned(),
            1 => "a list of one element does not fit here".to_owned(),
            length => format!("a list of {length} elements does not fit here"),
        };
        let complaint = Complaint::new(title).code(Code::WrongLength);
        Fault::new(Kind::Complaint(complaint.expected(plain_words(&expected.to_string()))))
    }

    fn unknown_variant(read: &str, known: &'static [&'static str]) -> Self {
        Fault::new(Kind::Variant { read: read.to_owned(), known })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Fault::new(Kind::Complaint(Complaint::unknown_key(key, "this mapping", known)))
    }

    fn missing_field(key: &'static str) -> Self {
        Fault::new(Kind::Missing(key))
    }

    fn duplicate_field(key: &'static str) -> Self {
        let complaint = Complaint::new(format_args!("`{key}` is given twice")).code(Code::DuplicateKey);
        Fault::new(Kind::Complaint(complaint.at_key(key)))
    }
}

/// Serde's own names of types, in words that are not Rust's.
fn plain_words(expected: &str) -> String {
    let bits = |kind: &str| expected.strip_prefix(kind).and_then(|bits| bits.parse::<u32>().ok());
    if let Some(bits) = bits("u").filter(|bits| (1..=128).contains(bits)) {
        return format!("a whole number from 0 to {}", u128::MAX >> (128 - bits));
    }
    if let Some(bits) = bits("i").filter(|bits| (1..=128).contains(bits)) {
        let most = i128::MAX >> (128 - bits);
        return format!("a whole number from {} to {most}", -most - 1);
    }
    match expected {
        "a string" | "a borrowed string" | "string" => "text".to_owned(),
        "a character" => "one character".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "unit" => "nothing".to_owned(),
        other => other.to_owned(),
    }
}

/// A struct's name as a person says it, with its article: `MapStep` is "a map step".
pub(in crate::language) fn place(name: &str) -> String {
    match name {
        "Map" | "Unmap" | "Gone" | "Pagesize" | "Expect" | "Attach" | "Destroy" => {
            return format!("`{}`", name.to_lowercase());
        }
        "MapFile" => return "`map_file`".to_owned(),
        "IoasCopy" => return "`copy`".to_owned(),
        "InIoas" => return "this step".to_owned(),
        "Hwpt" => return "a `hwpt`".to_owned(),
        "AllowIovas" => return "`allow_iovas`".to_owned(),
        "NoArguments" => return "a step that takes nothing".to_owned(),
        "BackendOptions" => return "a backend's options".to_owned(),
        _ => {}
    }
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    match words.chars().next() {
        None => "this mapping".to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'u') => format!("an {words}"),
        Some(_) => format!("a {words}"),
    }
}

/// What a struct looks like, for a value that is no mapping.
pub(in crate::language) fn mapping_with(fields: &[&str]) -> String {
    const MOST: usize = 6;
    match fields {
        [] => "nothing".to_owned(),
        fields if fields.len() > MOST => {
            let some: Vec<String> = fields.iter().take(MOST).map(|field| format!("`{field}`")).collect();
            format!("a mapping with keys such as {}", some.join(", "))
        }
        [only] => format!("a mapping with the key `{only}`"),
        fields => format!("a mapping with the keys {}", suggest::join(fields.iter().copied(), "and")),
    }
}

impl Site {
    /// The value's name within a sentence.
    fn subject(&self) -> String {
        match self.path.segments() {
            [] => "the file".to_owned(),
            [.., Segment::Key(key)] => format!("`{}`", shorten(key)),
            [.., Segment::Key(key), Segment::Index(_)] => format!("an element of `{}`", shorten(key)),
            _ => "an element".to_owned(),
        }
    }

    /// The diagnostic of a fault at this place; none for those that are the decoder's own.
    pub fn diagnostic(&self, kind: &Kind) -> Option<Diagnostic> {
        let path = self.path.clone();
        Some(match kind {
            Kind::Complaint(complaint) => complained(path, self.target, complaint),
            Kind::Type { expected } => {
                let (code, title) = match self.read.is_nothing {
                    true => (Code::MissingValue, format!("{} has no value", self.subject())),
                    false => (Code::WrongType, format!("{} cannot be {}", self.subject(), self.read.description)),
                };
                let mut diagnostic =
                    Diagnostic::error(code, path, title).at(self.target).label(format!("expected {expected}"));
                diagnostic.help.extend(self.trap(expected));
                diagnostic
            }
            Kind::Variant { read, known } => {
                let title = match self.target {
                    Target::Value if !self.path.is_root() => {
                        format!("unknown value `{}` for {}", shorten(read), self.subject())
                    }
                    _ => format!("unknown value `{}`", shorten(read)),
                };
                let mut diagnostic = Diagnostic::error(Code::UnknownValue, path, title)
                    .at(self.target)
                    .label(suggest::expected_one_of(known.iter().copied()));
                diagnostic.help.extend(match read.contains("{{") {
                    true => Some("no expression can stand here: make a case of its own for each value".to_owned()),
                    false => suggest::did_you_mean(read, known.iter().copied()),
                });
                diagnostic
            }
            Kind::Missing(VERB) => Diagnostic::error(Code::NoVerb, path, "a step that does nothing")
                .label(suggest::expected_one_of(Verb::NAMES.iter().copied()))
                .help("keys that belong to the step above stand in its column, without a `-` of their own"),
            Kind::Missing(key) => {
                let place = self.place.as_deref().unwrap_or("this mapping");
                let title = format!("missing key `{key}` in {place}");
                let (path, target) = match (path.last(), &self.read.first_key) {
                    (Some(Segment::Key(_)), _) => (path, Target::Key),
                    (_, Some(first)) => (path.join(first.as_str()), Target::Key),
                    _ => (path, Target::Value),
                };
                Diagnostic::error(Code::MissingKey, path, title).at(target).label(format!("`{key}` is required here"))
            }
            Kind::StandIn { .. } => return None,
        })
    }

    /// The usual reason why YAML read something else than was meant.
    fn trap(&self, expected: &str) -> Option<String> {
        if self.path.is_root() {
            return Some(BEGINNING.to_owned());
        }
        let written = self.read.scalar.as_deref()?;
        if expected == "true or false" && matches!(written.to_lowercase().as_str(), "yes" | "no" | "on" | "off") {
            return Some(format!(
                "YAML's booleans are `true` and `false`; `{written}` is one only to readers of its first version"
            ));
        }
        let may_be_an_expression = written.contains([' ', '.', '=', '<', '>', '(']) && self.read.is_text;
        if expected == "true or false" && may_be_an_expression && !written.contains("{{") {
            return Some(format!("an expression stands in double braces and quotes: \"{{{{ {written} }}}}\""));
        }
        if expected == "a list" && !written.contains([',', '[']) {
            return Some(format!("a list of one element is written [{written}]"));
        }
        // `6.10` has been read as 6.1: what to quote is what is written, and not what is left of it.
        if expected.contains("text") && self.read.is_fraction {
            return Some(format!(
                "YAML reads this as the number {written}: put quotes around what is written to make it text"
            ));
        }
        if expected == "text" && !self.read.is_text {
            return Some(format!("put quotes around it to make it text: \"{written}\""));
        }
        if expected.contains("number") && self.read.is_text && written.parse::<f64>().is_ok() {
            return Some(format!("write it without quotes and leading zeros: {}", written.trim_start_matches('0')));
        }
        None
    }
}

/// A complaint as the diagnostic at a path.
pub(in crate::language) fn complained(mut path: Path, mut target: Target, complaint: &Complaint) -> Diagnostic {
    let mut note = None;
    if let Some(at) = &complaint.at {
        note = at.note.as_ref().map(|(key, why)| (path.join(key.as_str()), *why));
        path.push(at.key.as_str());
        target = at.target;
    }
    let problem = Diagnostic::error(complaint.code, path, complaint.title.as_str()).at(target);
    let problem = match note {
        Some((path, why)) => problem.note(path, Target::Key, why),
        None => problem,
    };
    Diagnostic {
        inside: complaint.inside.clone(),
        help: complaint.help.clone(),
        ..problem.label(complaint.label.as_str())
    }
}
