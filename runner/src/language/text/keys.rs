// SPDX-License-Identifier: MIT OR Apache-2.0
//! Structs of a file, declared once: their keys, and with them how they are read, written and described to editors.

/// Declares a struct that stands in a file as a mapping.
///
/// An `Option` may be left out; so may a key with `= default`, whose default editors show, and one with `= empty`, which is not written
/// where it is its type's default. All others are required. `as` names another way to read the value than the type's own.
///
/// ```ignore
/// keys! {
///     /// What `map` takes.
///     #[derive(Serialize)]
///     pub struct Map {
///         /// The region's name.
///         pub region: Name,
///         /// Where in the region to start, in bytes.
///         #[schemars(with = "Dynamic<Offset>")]
///         pub offset: Option<Dynamic<Size>> as Offset::read,
///         /// Words.
///         pub tags: Vec<Name> = empty,
///     }
/// }
/// ```
macro_rules! keys {
    // A key that may be left out.
    (@ $head:tt [$($out:tt)*] [$($read:tt)*]
        $(#[$meta:meta])* $vis:vis $key:ident: Option<$type:ty> $(as $as:path)?, $($rest:tt)*) => {
        $crate::language::text::keys::keys! { @ $head
            [$($out)* $(#[$meta])* #[serde(default, skip_serializing_if = "Option::is_none")] $vis $key: Option<$type>,]
            [$($read)* { $key optional $type [$($as)?] }]
            $($rest)*
        }
    };
    // A key that may be left out, and is then empty.
    (@ $head:tt [$($out:tt)*] [$($read:tt)*]
        $(#[$meta:meta])* $vis:vis $key:ident: $type:ty = empty, $($rest:tt)*) => {
        $crate::language::text::keys::keys! { @ $head
            [$($out)* $(#[$meta])*
                #[serde(default, skip_serializing_if = "crate::language::text::keys::is_default")] $vis $key: $type,]
            [$($read)* { $key default $type [] }]
            $($rest)*
        }
    };
    // A key with a default that is shown.
    (@ $head:tt [$($out:tt)*] [$($read:tt)*]
        $(#[$meta:meta])* $vis:vis $key:ident: $type:ty = default, $($rest:tt)*) => {
        $crate::language::text::keys::keys! { @ $head
            [$($out)* $(#[$meta])* #[serde(default)] $vis $key: $type,]
            [$($read)* { $key default $type [] }]
            $($rest)*
        }
    };
    // A required key.
    (@ $head:tt [$($out:tt)*] [$($read:tt)*]
        $(#[$meta:meta])* $vis:vis $key:ident: $type:ty $(as $as:path)?, $($rest:tt)*) => {
        $crate::language::text::keys::keys! { @ $head
            [$($out)* $(#[$meta])* $vis $key: $type,]
            [$($read)* { $key required $type [$($as)?] }]
            $($rest)*
        }
    };
    (@ [$(#[$meta:meta])* $vis:vis $Name:ident] [$($out:tt)*] [$({ $key:ident $how:ident $type:ty [$($as:path)?] })*]) => {
        #[derive(Debug, Clone, PartialEq, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        $vis struct $Name { $($out)* }

        impl $crate::language::text::decode::Decode for $Name {
            fn decode<'d>(
                node: &'d $crate::language::text::node::Node,
                at: &mut $crate::language::text::decode::At<'d>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$($crate::language::text::keys::plain(stringify!($key))),*];
                let table = at.table(node, stringify!($Name), KEYS)?;
                Some($Name {
                    $($key: $crate::language::text::keys::take!(
                        $how, table, at, $crate::language::text::keys::plain(stringify!($key)), $type, [$($as)?]
                    ),)*
                })
            }

            fn made_up() -> Self {
                $Name { $($key: $crate::language::text::keys::made_up!($how $type),)* }
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis struct $Name:ident { $($fields:tt)* }) => {
        $crate::language::text::keys::keys! { @ [$(#[$meta])* $vis $Name] [] [] $($fields)* }
    };
}
pub(in crate::language) use keys;

macro_rules! take {
    ($how:ident, $table:ident, $at:ident, $key:expr, $type:ty, []) => {
        $crate::language::text::keys::take!(
            $how,
            $table,
            $at,
            $key,
            $type,
            [<$type as $crate::language::text::decode::Decode>::decode]
        )
    };
    (optional, $table:ident, $at:ident, $key:expr, $type:ty, [$as:expr]) => {
        $table.take($at, $key, |node, at| ($as)(node, at).map(Some), Some(|| None), || None)
    };
    (default, $table:ident, $at:ident, $key:expr, $type:ty, [$as:expr]) => {
        $table.take($at, $key, $as, Some(<$type>::default), <$type>::default)
    };
    (required, $table:ident, $at:ident, $key:expr, $type:ty, [$as:expr]) => {
        $table.take($at, $key, $as, None, <$type as $crate::language::text::decode::Decode>::made_up)
    };
}
pub(in crate::language) use take;

macro_rules! made_up {
    (optional $type:ty) => {
        None
    };
    (default $type:ty) => {
        <$type>::default()
    };
    (required $type:ty) => {
        <$type as $crate::language::text::decode::Decode>::made_up()
    };
}
pub(in crate::language) use made_up;

/// Whether a key need not be written where it may be left out.
pub(in crate::language) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A key without the mark of a name that is a word of Rust, `r#type`.
pub(in crate::language) const fn plain(key: &'static str) -> &'static str {
    match key.as_bytes() {
        [b'r', b'#', ..] => key.split_at(2).1,
        _ => key,
    }
}
