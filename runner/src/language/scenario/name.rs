// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that scenarios give to things.

use std::{fmt, str::FromStr};

use schemars::json_schema;
use serde::Serialize;

use crate::language::{At, Complaint, Decode, Ids, Node, described};
use crate::{language::text::suggest::shorten, model::code::Code};

/// A name of a scenario, case, region, variable or saved result: letters, digits and `_`, not starting with a digit.
///
/// Names become parts of identifiers in reports, where nothing else survives in every reader.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name(pub String);

impl Name {
    /// Whether the text may be a name.
    pub fn is_valid(text: &str) -> bool {
        let mut characters = text.chars();
        characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
            && text.len() <= 100
    }
}

impl Name {
    /// A name much like the text, where there is one.
    pub(in crate::language) fn nearest(text: &str) -> Option<String> {
        let plain: String = text.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let says_something = text.is_ascii() && plain.chars().any(|c| c.is_ascii_alphanumeric());
        (says_something && Name::is_valid(&plain)).then_some(plain)
    }

    /// The name that an expression is, and nothing else.
    pub(in crate::language) fn in_braces(text: &str) -> Option<&str> {
        let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
        Name::is_valid(name).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Name {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Name, Complaint> {
        if Name::is_valid(text) {
            return Ok(Name(text.to_owned()));
        }
        let complaint = Complaint::new(Code::InvalidName, format_args!("`{}` is no name", shorten(text)))
            .expected("letters, digits and `_`, not starting with a digit");
        let help = if Ids::is_valid(text) {
            Some(format!("a pack gives devices names by their ids: `devices: {{ nic: {{ ids: [\"{text}\"] }} }}`"))
        } else if let Some((name, comment)) = text.split_once('#').filter(|(name, _)| Name::is_valid(name)) {
            Some(format!("a comment needs a space before it: `{name} #{comment}`"))
        } else if let Some(name) = Name::in_braces(text) {
            Some(format!("no expression goes here: write {name}, without braces"))
        } else {
            Name::nearest(text).map(|name| format!("write {name}"))
        };
        Err(Complaint { help: help.into_iter().collect(), ..complaint })
    }
}

impl Decode for Name {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        at.parse(node, "a name of letters, digits and `_`, not starting with a digit")
    }

    fn made_up() -> Self {
        Name(String::new())
    }
}

described!(Name, |_| json_schema!({
    "type": "string",
    "description": "Letters, digits and `_`, not starting with a digit.",
    "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,99}$",
}));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_in_every_report() {
        for good in ["a", "map_unmap", "_x", "A9"] {
            assert!(Name::is_valid(good), "{good}");
        }
        for bad in ["", "9a", "a-b", "a b", "ä", "a.b", "a/b", &"x".repeat(101)] {
            assert!(!Name::is_valid(bad), "{bad}");
        }
    }
}
