// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages about values that cannot be read: what was read, what was expected, what to do.

use super::diagnostic::{Diagnostic, Target};
use super::node::{Node, Value};
use super::path::{Path, Segment};
use super::suggest::{self, shorten};
use super::syntax::{self, BEGINNING};
use super::{naming::place, shape::Shape};
use crate::model::code::Code;

/// A value of another type or out of range.
pub(super) fn wrong_type(path: Path, shape: Option<Shape>, node: &Node, expected: &str) -> Diagnostic {
    let (code, title) = match node.value() {
        Value::Null => (Code::MissingValue, format!("{} has no value", subject(&path))),
        _ => (Code::WrongType, format!("{} cannot be {}", subject(&path), node.describe())),
    };
    let form = shape.and_then(|shape| shape.form(&path, node, expected));
    let help = form.or_else(|| trap(&path, node, expected));
    let mut problem = Diagnostic::error(code, path, title).label(format!("expected {expected}"));
    problem.help.extend(help);
    foreign(&mut problem, node);
    problem
}

/// An unknown word.
pub(super) fn unknown_word(path: Path, node: &Node, read: &str, known: &[&str]) -> Diagnostic {
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
pub(super) fn missing_key(path: Path, shape: Option<Shape>, node: &Node, name: &str, key: &str) -> Diagnostic {
    let help = shape.and_then(|shape| shape.such_as(&path, key));
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

/// Sets the help for a value that people expect in a place, and that of a value that begins with a sign of another language.
pub(super) fn expected_elsewhere(problem: &mut Diagnostic, node: &Node) {
    let key = problem.path.last();
    if matches!(key, Some(Segment::Key(key)) if **key == *"memlock") && node.text() == Some("unlimited") {
        problem.help =
            vec!["a limit can only be lowered: remove `memlock` to keep the one that the process has".to_owned()];
    }
    foreign(problem, node);
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
