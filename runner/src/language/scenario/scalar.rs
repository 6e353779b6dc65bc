// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of the matrix and of variables.

use crate::language::{At, Decode, Node, Value, described};
use std::fmt;

use schemars::json_schema;
use serde::Serialize;

use crate::language::{Size, expression::functions::number};

/// A value by name: text, a number, or true or false. A text such as `2MiB` is the number in expressions and keeps its spelling
/// in names; a text that is wholly `{{ … }}` is computed, but in a `matrix`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)] // only for writing
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Anything else.
    Text(String),
}

impl Scalar {
    /// The value in expressions.
    pub fn value(&self) -> minijinja::Value {
        match self {
            Scalar::Bool(value) => (*value).into(),
            Scalar::Integer(value) => number(*value),
            Scalar::Text(text) => match Size::from_text_with_unit(text) {
                Some(Size(bytes)) => number(bytes.into()),
                None => text.as_str().into(),
            },
        }
    }
}

impl Scalar {
    /// The value that a text of the command line is, in place of `default`: of the same kind, or `None` if it cannot be.
    pub fn in_place_of(default: &Scalar, text: &str) -> Option<Scalar> {
        let integer = || match text.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16).ok().map(Scalar::Integer),
            None => text.parse().ok().map(Scalar::Integer),
        };
        let same = || Scalar::Text(text.to_owned());
        match default {
            Scalar::Bool(_) => text.parse().ok().map(Scalar::Bool),
            // The kind of a default that is computed is not known: it is what it would be in a file.
            Scalar::Text(default) if default.contains("{{") => {
                Some(integer().or(text.parse().ok().map(Scalar::Bool)).unwrap_or_else(same))
            }
            Scalar::Text(default) if Size::from_text_with_unit(default).is_none() => Some(same()),
            Scalar::Integer(_) | Scalar::Text(_) => {
                let is_computed = text.contains("{{") || Size::from_text_with_unit(text).is_some();
                integer().or(is_computed.then(same))
            }
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Integer(value) => value.fmt(f),
            Scalar::Text(text) => text.fmt(f),
        }
    }
}

impl Decode for Scalar {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        match node.value() {
            Value::Bool(value) => Some(Scalar::Bool(*value)),
            Value::Integer(value) => Some(Scalar::Integer(*value)),
            Value::Text(text) | Value::Unquoted(text) => Some(Scalar::Text(text.clone())),
            Value::Null | Value::Float(_) | Value::Sequence(_) | Value::Mapping(_) => {
                at.wrong_type(node, "a text, a whole number, true or false")
            }
        }
    }

    fn made_up() -> Self {
        Scalar::Integer(1)
    }
}

described!(Scalar, |_| json_schema!({
    "description": "A text, a whole number, true or false. `2MiB` counts as the number in expressions; `{{ … }}` is computed, but in a `matrix`.",
    "type": ["string", "integer", "boolean"],
    "examples": ["2MiB", 4096, "{{ page // 2 }}"],
}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_with_a_unit_is_a_number_and_other_text_is_text() {
        let value = |text: &str| Scalar::Text(text.into()).value();
        assert_eq!(value("2MiB"), minijinja::Value::from(2 << 20));
        for text in ["iommufd", "250ms", "0755", "4096"] {
            assert_eq!(value(text), minijinja::Value::from(text));
        }
        assert_eq!(Scalar::Integer(4096).value(), minijinja::Value::from(4096));
    }

    #[test]
    fn a_text_of_the_command_line_is_of_the_kind_that_it_takes_the_place_of() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        for (default, given, value) in [
            (Scalar::Integer(4), "5", Some(Scalar::Integer(5))),
            (Scalar::Integer(4), "0x10", Some(Scalar::Integer(16))),
            (Scalar::Integer(4), "2MiB", Some(text("2MiB"))),
            (Scalar::Integer(4), "four", None),
            (text("4KiB"), "8192", Some(Scalar::Integer(8192))),
            (Scalar::Bool(true), "false", Some(Scalar::Bool(false))),
            (Scalar::Bool(true), "no", None),
            (text("ok"), "4", Some(text("4"))),
            (text("{{ 2 * 2 }}"), "4", Some(Scalar::Integer(4))),
            (text("{{ 2 * 2 }}"), "four", Some(text("four"))),
        ] {
            assert_eq!(Scalar::in_place_of(&default, given), value, "{given} for {default}");
        }
    }
}
