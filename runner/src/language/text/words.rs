// SPDX-License-Identifier: MIT OR Apache-2.0
//! Enums that a file writes as one of a few words.

/// A value that is one of a few words.
pub trait Word: Copy + 'static {
    /// The words and what each stands for.
    const WORDS: &[(&'static str, Self)];
}

/// Declares an enum with the word for each variant. The comments are what editors show.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        $vis:vis enum $Enum:ident {$(
            $(#[doc = $doc:literal])*
            $Variant:ident = $word:literal,
        )*}
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, $($($derive),*)?)]
        $vis enum $Enum {
            $($(#[doc = $doc])* $Variant,)*
        }

        impl $Enum {
            /// The word for it.
            $vis fn as_str(self) -> &'static str {
                match self { $($Enum::$Variant => $word,)* }
            }
        }

        impl $crate::language::text::words::Word for $Enum {
            const WORDS: &[(&'static str, Self)] = &[$(($word, $Enum::$Variant)),*];
        }

        impl $crate::language::text::decode::Decode for $Enum {
            fn decode<'d>(
                node: &'d $crate::language::text::node::Node,
                at: &mut $crate::language::text::decode::At<'d>,
            ) -> Option<Self> {
                at.word(node, <$Enum as $crate::language::text::words::Word>::WORDS)
            }

            fn made_up() -> Self {
                <$Enum as $crate::language::text::words::Word>::WORDS[0].1
            }
        }

        impl serde::Serialize for $Enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $Enum {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Enum).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use $crate::language::text::keys::paragraphs;
                let words = [$(serde_json::json!({
                    "description": paragraphs(&[$($doc),*]),
                    "type": "string",
                    "const": $word,
                })),*];
                schemars::json_schema!({ "description": paragraphs(&[$($about),*]), "oneOf": words })
            }
        }
    };
}
pub(in crate::language) use words;
