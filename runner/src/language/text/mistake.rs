// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a value that cannot be read is told: what was read, what was expected, what to do.

use super::decode::At;
use super::diagnostic::{Diagnostic, Target};
use super::node::{Node, Value};
use super::path::{Path, Segment};
use super::suggest::{self, shorten};
use super::syntax::{self, BEGINNING};
use crate::model::code::Code;

/// A value of another type or out of range.
pub(super) fn wrong_type(at: &At, node: &Node, expected: &str) -> Diagnostic {
    let path = at.path();
    let (code, title) = match node.value() {
        Value::Null => (Code::MissingValue, format!("{} has no value", subject(&path))),
        _ => (Code::WrongType, format!("{} cannot be {}", subject(&path), node.describe())),
    };
    let form = at.shape().and_then(|shape| shape.form(&path, node, expected));
    let help = form.or_else(|| trap(&path, node, expected));
    let mut problem = Diagnostic::error(code, path, title).label(format!("expected {expected}"));
    problem.help.extend(help);
    foreign(&mut problem, node);
    problem
}

/// A word that is none of those known.
pub(super) fn unknown_word(at: &At, node: &Node, read: &str, known: &[&str]) -> Diagnostic {
    let path = at.path();
    let title = match path.is_root() {
        false => format!("unknown value `{}` for {}", shorten(read), subject(&path)),
        true => format!("unknown value `{}`", shorten(read)),
    };
    let label = suggest::expected_one_of(known.iter().copied());
    let mut problem = Diagnostic::error(Code::UnknownValue, path, title).label(label);
    problem.help.extend(match read.contains("{{") {
        true => Some("no expression can stand here: make a case of its own for each value".to_owned()),
        false => suggest::did_you_mean(read, known.iter().copied()),
    });
    foreign(&mut problem, node);
    problem
}

/// A key that a mapping has to have.
pub(super) fn missing_key(at: &At, node: &Node, name: &str, key: &str) -> Diagnostic {
    let path = at.path();
    let help = at.shape().and_then(|shape| shape.such_as(&path, key));
    let title = format!("missing key `{key}` in {}", place(name));
    let first = node.entries().first().map(|(first, _)| first.text.as_str());
    let (path, target) = match (path.last(), first) {
        (Some(Segment::Key(_)), _) => (path, Target::Key),
        (_, Some(first)) => (path.join(first), Target::Key),
        _ => (path, Target::Value),
    };
    let mut problem = Diagnostic::error(Code::MissingKey, path, title).at(target);
    problem.help.extend(help);
    problem.label(format!("`{key}` is required here"))
}

/// What to do about a value that begins with a sign of another language says more than any other help.
pub(super) fn foreign(problem: &mut Diagnostic, node: &Node) {
    if let Some(help) = node.text().and_then(syntax::foreign_value) {
        problem.help = vec![help];
    }
}

/// A value's name within a sentence.
fn subject(path: &Path) -> String {
    match path.segments() {
        [] => "the file".to_owned(),
        [.., Segment::Key(key)] => format!("`{}`", shorten(key)),
        [.., Segment::Key(key), Segment::Index(_)] => format!("an element of `{}`", shorten(key)),
        _ => "an element".to_owned(),
    }
}

/// The usual reason why YAML read something else than was meant.
fn trap(path: &Path, node: &Node, expected: &str) -> Option<String> {
    if path.is_root() {
        return Some(BEGINNING.to_owned());
    }
    let written = &node.scalar()?;
    let is_text = node.text().is_some();
    if expected == "true or false" && matches!(written.to_lowercase().as_str(), "yes" | "no" | "on" | "off") {
        return Some(format!(
            "YAML's booleans are `true` and `false`; `{written}` is one only to readers of its first version"
        ));
    }
    let may_be_an_expression = written.contains([' ', '.', '=', '<', '>', '(']) && is_text;
    if expected == "true or false" && may_be_an_expression && !written.contains("{{") {
        return Some(format!("an expression stands in double braces and quotes: \"{{{{ {written} }}}}\""));
    }
    if expected == "a list" && !written.contains([',', '[']) {
        return Some(format!("a list of one element is written [{written}]"));
    }
    // `6.10` has been read as 6.1: what to quote is what is written, and not what is left of it.
    if expected.contains("text") && matches!(node.value(), Value::Float(_)) {
        return Some(format!(
            "YAML reads this as the number {written}: put quotes around what is written to make it text"
        ));
    }
    if expected == "text" && !is_text {
        return Some(format!("put quotes around it to make it text: \"{written}\""));
    }
    if expected.contains("number") && is_text && written.parse::<f64>().is_ok() {
        return Some(format!("write it without quotes and leading zeros: {}", written.trim_start_matches('0')));
    }
    None
}

/// A struct's name as a person says it, with its article: `MapStep` is "a map step".
pub(super) fn place(name: &str) -> String {
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
pub(super) fn mapping_with(fields: &[&str]) -> String {
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
