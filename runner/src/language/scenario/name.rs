//! Names that scenarios give to things.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::language::{Complaint, Ids, text::suggest::shorten};
use crate::model::code::Code;

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

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name of letters, digits and `_`, not starting with a digit")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                match Name::is_valid(text) {
                    true => Ok(Name(text.to_owned())),
                    false => {
                        let mut complaint = Complaint::new(format_args!("`{}` is no name", shorten(text)))
                            .code(Code::InvalidName)
                            .expected("letters, digits and `_`, not starting with a digit");
                        if Ids::is_valid(text) {
                            let help = format!(
                                "a pack gives devices names by their ids: `devices: {{ nic: {{ ids: [\"{text}\"] }} }}`"
                            );
                            return Err(complaint.help(help).raise());
                        }
                        complaint.help.extend(match text.split_once('#').filter(|(name, _)| Name::is_valid(name)) {
                            Some((name, comment)) => {
                                Some(format!("a comment needs a space before it: `{name} #{comment}`"))
                            }
                            None => match Name::in_braces(text) {
                                Some(name) => Some(format!("no expression goes here: write {name}, without braces")),
                                None => Name::nearest(text).map(|name| format!("write {name}")),
                            },
                        });
                        Err(complaint.raise())
                    }
                }
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Letters, digits and `_`, not starting with a digit.",
            "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,99}$",
        })
    }
}

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
