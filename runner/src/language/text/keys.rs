// SPDX-License-Identifier: MIT OR Apache-2.0
//! Structs of a file, declared once: their keys, and with them how they are read, written and described to editors.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::decode::{At, Decode};
use super::node::{Node, Value as Read};

/// How the value of a key is read and described. `as` names a kind; a key without it is [`Plain`].
pub trait Kind<T> {
    /// Reads the value. `None` if it is of another type, which was reported then.
    fn read<'d>(node: &'d Node, at: &mut At<'d>) -> Option<T>;
    /// What stands for a value that could not be read.
    fn stand_in() -> T;
    /// The value if the key is missing; `None` if it is required.
    fn absent() -> Option<T> {
        None
    }
    /// What the value may be.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// Read and described as its type is.
pub struct Plain;

impl<T: Decode + JsonSchema> Kind<T> for Plain {
    fn read<'d>(node: &'d Node, at: &mut At<'d>) -> Option<T> {
        T::decode(node, at)
    }
    fn stand_in() -> T {
        T::made_up()
    }
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T, K: Kind<T>> Kind<Option<T>> for K {
    fn read<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Option<T>> {
        K::read(node, at).map(Some)
    }
    fn stand_in() -> Option<T> {
        None
    }
    fn absent() -> Option<Option<T>> {
        Some(None)
    }
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        K::schema(generator)
    }
}

/// A list that may not be empty.
pub struct NotEmpty;

impl<T: Decode + JsonSchema> Kind<Vec<T>> for NotEmpty {
    fn read<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Vec<T>> {
        match node.value() {
            Read::Sequence(elements) if elements.is_empty() => {
                at.empty_list(node, &format!("at least one {}", T::schema_name().to_lowercase()))
            }
            _ => Vec::decode(node, at),
        }
    }
    fn stand_in() -> Vec<T> {
        Vec::new()
    }
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<T>(), "minItems": 1 })
    }
}

/// Declares a struct that stands in a file as a mapping.
///
/// A key is required unless its type is an `Option` or its default stands behind it: `= default`, or `= empty`, which is not written
/// where it is empty. `as` names the [`Kind`] of a value that its type does not tell. The comments are what editors show.
/// `#[serde(serialize)]` makes the struct one that can be written, too; `#[schema(…)]` adds to its schema.
///
/// ```ignore
/// keys! {
///     /// What `map` takes.
///     #[serde(serialize)]
///     pub struct Map {
///         /// The region's name.
///         #[example("buffer")]
///         pub region: Name,
///         /// Where in the region to start, in bytes.
///         #[example("4KiB")] #[default(0)]
///         pub offset: Option<Dynamic<Size>> as Offset,
///         /// Words.
///         #[example(["slow"])]
///         pub tags: Vec<Name> = empty,
///     }
/// }
/// ```
macro_rules! keys {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        $(#[serde($written:ident)])?
        $(#[schema($($more:tt)*)])?
        $vis:vis struct $Name:ident {$(
            $(#[doc = $doc:literal])*
            $(#[example($($example:tt)*)])*
            $(#[default($default:expr)])?
            $key_vis:vis $key:ident: $type:ty $(as $kind:ident $(($fit:expr))?)? $(= $how:ident)?,
        )*}
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, $($($derive),*)?)]
        $vis struct $Name {
            $($(#[doc = $doc])* $key_vis $key: $type,)*
        }

        impl $crate::language::text::decode::Decode for $Name {
            fn decode<'d>(
                node: &'d $crate::language::text::node::Node,
                at: &mut $crate::language::text::decode::At<'d>,
            ) -> Option<Self> {
                use $crate::language::text::keys::{Kind, absent, kind, plain};
                const KEYS: &[&str] = &[$(plain(stringify!($key))),*];
                let table = at.table(node, stringify!($Name), KEYS)?;
                Some($Name {
                    $($key: table.take(
                        at,
                        plain(stringify!($key)),
                        <kind!($($kind)?) as Kind<$type>>::read,
                        absent!([$($kind)?] $type $(, $how)?),
                        <kind!($($kind)?) as Kind<$type>>::stand_in,
                    ),)*
                })
            }

            fn made_up() -> Self {
                use $crate::language::text::keys::{Kind, absent, kind};
                $Name {
                    $($key: absent!([$($kind)?] $type $(, $how)?)().unwrap_or_else(<kind!($($kind)?) as Kind<$type>>::stand_in),)*
                }
            }
        }

        impl schemars::JsonSchema for $Name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use $crate::language::text::keys::{Kind, absent, described, kind, mapping, plain};
                let keys = [$((
                    plain(stringify!($key)),
                    absent!([$($kind)?] $type $(, $how)?)().is_none(),
                    described(
                        <kind!($($kind)?) as Kind<$type>>::schema(generator),
                        &[$($doc),*],
                        &[$(serde_json::json!($($example)*)),*],
                        &[$(serde_json::json!($default))?],
                    ),
                )),*];
                mapping(&[$($about),*], keys, serde_json::json!({ $($($more)*)? }))
            }
        }

        $crate::language::text::keys::written!($($written)? $Name { $([$($kind)?] $key: $type $(= $how)?,)* });
    };
}
pub(in crate::language) use keys;

/// Makes a struct one that can be written.
macro_rules! written {
    ($Name:ident { $($keys:tt)* }) => {};
    (serialize $Name:ident { $([$($kind:ident)?] $key:ident: $type:ty $(= $how:ident)?,)* }) => {
        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use $crate::language::text::keys::{Kind, is_left_out, plain};
                let mut map = serializer.serialize_map(None)?;
                $(if !is_left_out!([$($kind)?] $type, &self.$key $(, $how)?) {
                    serde::ser::SerializeMap::serialize_entry(&mut map, plain(stringify!($key)), &self.$key)?;
                })*
                serde::ser::SerializeMap::end(map)
            }
        }
    };
}
pub(in crate::language) use written;

/// The kind of a key.
macro_rules! kind {
    () => {
        $crate::language::text::keys::Plain
    };
    ($kind:ident) => {
        $kind
    };
}
pub(in crate::language) use kind;

/// What makes the value of a key that is missing.
macro_rules! absent {
    ([$($kind:ident)?] $type:ty) => { <$crate::language::text::keys::kind!($($kind)?) as Kind<$type>>::absent };
    ([$($kind:ident)?] $type:ty, $how:ident) => { || Some(<$type>::default()) };
}
pub(in crate::language) use absent;

/// Whether a key need not be written.
macro_rules! is_left_out {
    ([$($kind:ident)?] $type:ty, $value:expr, default) => { false };
    ([$($kind:ident)?] $type:ty, $value:expr $(, $how:ident)?) => {
        $crate::language::text::keys::absent!([$($kind)?] $type $(, $how)?)().as_ref() == Some($value)
    };
}
pub(in crate::language) use is_left_out;

/// A key without the mark of a name that is a word of Rust, `r#type`.
pub(in crate::language) const fn plain(key: &'static str) -> &'static str {
    match key.as_bytes() {
        [b'r', b'#', ..] => key.split_at(2).1,
        _ => key,
    }
}

/// The lines of a comment as the paragraphs of a text.
pub(in crate::language) fn paragraphs(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\n\n", "\0")
        .replace('\n', " ")
        .replace('\0', "\n\n")
}

/// The schema of a key's value with what is said of the key. A reference stands alone in draft-07, and so within `allOf`.
pub(in crate::language) fn described(
    mut schema: Schema,
    lines: &[&str],
    examples: &[Value],
    default: &[Value],
) -> Value {
    if let Some(reference) = schema.remove("$ref") {
        schema.insert("allOf".to_owned(), serde_json::json!([{ "$ref": reference }]));
    }
    schema.insert("description".to_owned(), paragraphs(lines).into());
    if !examples.is_empty() {
        schema.insert("examples".to_owned(), examples.into());
    }
    if let [default] = default {
        schema.insert("default".to_owned(), default.clone());
    }
    schema.to_value()
}

/// The schema of a mapping with these keys; `true` beside those that are required.
pub(in crate::language) fn mapping<const N: usize>(
    lines: &[&str],
    keys: [(&str, bool, Value); N],
    more: Value,
) -> Schema {
    let required: Vec<&str> = keys.iter().filter(|(_, is_required, _)| *is_required).map(|(key, ..)| *key).collect();
    let properties: serde_json::Map<_, _> = keys.into_iter().map(|(key, _, schema)| (key.to_owned(), schema)).collect();
    let mut schema = json_schema!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    schema.insert("description".to_owned(), paragraphs(lines).into());
    if let Value::Object(more) = more {
        more.into_iter().for_each(|(key, value)| drop(schema.insert(key, value)));
    }
    schema
}
