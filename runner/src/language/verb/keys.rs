// SPDX-License-Identifier: MIT OR Apache-2.0
//! The keys of verbs: how a verb declares them, and what the checks know of each.

use super::{
    AllowedRange, CapabilityName, ConfigPlace, FeatureName, Given, RegionNumber, RegisterValue, RequestName, Tail,
    fit::Fit, shared::*,
};
use crate::language::{
    At, Decode, Duration, Dynamic, Name, Node, Ordered, Scalar, Size, Step, Template,
    quantity::{Iova, Number, Offset},
    text::{
        keys::{Kind, Plain},
        words::Word,
    },
};

/// Declares what a verb takes: [`keys!`](crate::language::keys) of its own, or those that it has in common with other verbs.
///
/// A number says behind its kind what it has to fit, where not every number does: `as Number(Fit::Bar)`. That may depend on another key:
/// `as Number(bits.fit())`.
macro_rules! verb {
    ($Verb:ident($Inner:ty)) => {
        #[doc = concat!("What the verb takes: [`", stringify!($Inner), "`].")]
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(transparent)]
        pub struct $Verb(pub $Inner);

        impl $crate::language::Decode for $Verb {
            fn decode<'d>(node: &'d $crate::language::Node, at: &mut $crate::language::At<'d>) -> Option<Self> {
                <$Inner>::decode(node, at).map($Verb)
            }

            fn made_up() -> Self {
                $Verb(<$Inner>::made_up())
            }
        }

        impl schemars::JsonSchema for $Verb {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Verb).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<$Inner>()
            }
        }

        impl $crate::language::verb::Keyed for $Verb {
            fn keys(&self) -> $crate::language::verb::Keys<'_> {
                self.0.keys()
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        $(#[schema($($more:tt)*)])?
        pub struct $Verb:ident { $($keys:tt)* }
    ) => {
        $crate::language::keys! {
            $(#[doc = $about])*
            $(#[derive($($derive),*)])?
            #[serde(serialize)]
            $(#[schema($($more)*)])?
            pub struct $Verb { $($keys)* }
        }
        $crate::language::verb::keys::keyed!($Verb { $($keys)* });
    };
}
pub(super) use verb;

/// Lists the keys of a verb for the checks.
macro_rules! keyed {
    ($Verb:ident {$(
        $(#[$about:meta])*
        pub $key:ident: $type:ty $(as $kind:ident $(($fit:expr))?)? $(= $how:ident)?,
    )*}) => {
        impl $crate::language::verb::Keyed for $Verb {
            fn keys(&self) -> $crate::language::verb::Keys<'_> {
                use $crate::language::{text::keys::{kind, plain}, verb::keys::{Checked, fit}};
                let $Verb { $($key),* } = self;
                let keys = [$((
                    plain(stringify!($key)),
                    <kind!($($kind)?) as Checked<$type>>::key($key, fit!($($($fit)?)?)),
                )),*];
                keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
            }
        }
    };
}
pub(super) use keyed;

/// What a number has to be: anything, unless it is said.
macro_rules! fit {
    () => {
        $crate::language::verb::Fit::Any
    };
    ($fit:expr) => {
        $fit
    };
}
pub(super) use fit;

/// The keys that a step's verb has, each with its value.
pub type Keys<'a> = Vec<(&'static str, Key<'a>)>;

/// A verb whose keys are known.
pub trait Keyed {
    /// The keys that the step has; `""` for the value of a verb without keys.
    fn keys(&self) -> Keys<'_>;
}

/// The value of a key.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// A size or a number.
    Size(&'a Dynamic<Size>, Fit),
    /// Where something is mapped.
    Place(&'a Where),
    /// The name of a region.
    Region(&'a Name),
    /// A text that may have expressions in it.
    Text(&'a Template),
    /// An object of IOMMUFD.
    Object(&'a Object),
    /// An open file, or one of the open device's.
    File(&'a Name),
    /// A file that an earlier step opened.
    Opened(&'a Name),
    /// A kind of interrupt.
    Interrupt(&'a Dynamic<Index>),
    /// What has to be true.
    Truth(&'a Dynamic<bool>),
    /// The name by which the steps inside know how often they have run.
    Count(&'a Name),
    /// Ranges of IOVAs.
    Ranges(&'a [AllowedRange]),
    /// The fields of a request.
    Fields(&'a Ordered<Given>),
    /// The bytes behind the struct of a request.
    Tail(&'a Tail),
    /// The arguments of a procedure.
    Arguments(&'a Ordered<Scalar>),
    /// A value that is complete once it is read.
    Word,
}

impl Keyed for Dynamic<bool> {
    fn keys(&self) -> Keys<'_> {
        vec![("", Key::Truth(self))]
    }
}

/// A kind of key, as the checks see its value.
pub trait Checked<T> {
    /// The value, which has to fit; `None` if it is not given.
    fn key(value: &T, fit: Fit) -> Option<Key<'_>>;
}

impl<T, K: Checked<T>> Checked<Option<T>> for K {
    fn key(value: &Option<T>, fit: Fit) -> Option<Key<'_>> {
        value.as_ref().and_then(|value| K::key(value, fit))
    }
}

/// The kinds of keys whose value is checked.
macro_rules! checked {
    ($($kind:ident $type:ty: |$value:pat_param, $fit:pat_param| $key:expr;)*) => {$(
        impl Checked<$type> for $kind {
            fn key($value: &$type, $fit: Fit) -> Option<Key<'_>> {
                Some($key)
            }
        }
    )*};
}
checked! {
    Size Dynamic<Size>: |value, fit| Key::Size(value, fit);
    Offset Dynamic<Size>: |value, fit| Key::Size(value, fit);
    Iova Dynamic<Size>: |value, fit| Key::Size(value, fit);
    Number Dynamic<Size>: |value, fit| Key::Size(value, fit);
    RegionName Name: |name, _| Key::Region(name);
    OpenFile Name: |name, _| Key::File(name);
    OpenedFile Name: |name, _| Key::Opened(name);
    Count Name: |name, _| Key::Count(name);
    Plain Dynamic<Size>: |value, fit| Key::Size(value, fit);
    Plain Where: |value, _| Key::Place(value);
    Plain Template: |value, _| Key::Text(value);
    Plain RegionNumber: |value, _| match value {
        RegionNumber::Named(_) => Key::Word,
        RegionNumber::Number(number) => Key::Size(number, Fit::Bits(32)),
    };
    Plain Object: |value, _| Key::Object(value);
    Plain ConfigPlace: |value, _| match value {
        ConfigPlace::Named(_) => Key::Word,
        ConfigPlace::At(offset) => Key::Size(offset, Fit::Any),
    };
    Plain RegisterValue: |value, fit| match value {
        RegisterValue::Number(number) => Key::Size(number, fit),
        RegisterValue::Bits(_) => Key::Word,
    };
    Plain Dynamic<Index>: |value, _| Key::Interrupt(value);
    Plain Vec<AllowedRange>: |value, _| Key::Ranges(value);
    Plain Ordered<Given>: |value, _| Key::Fields(value);
    Plain Tail: |value, _| Key::Tail(value);
    Plain bool: |_, _| Key::Word;
    Plain Bits: |_, _| Key::Word;
    Plain Duration: |_, _| Key::Word;
    Plain Name: |_, _| Key::Word;
    Plain RequestName: |_, _| Key::Word;
    Plain Vec<CapabilityName>: |_, _| Key::Word;
    Plain FeatureName: |_, _| Key::Word;
    Plain Vec<Name>: |_, _| Key::Word;
    Plain Vec<Step>: |_, _| Key::Word;
    Plain Vec<Vec<Step>>: |_, _| Key::Word;
}

impl<T: Word> Checked<T> for Plain {
    fn key(_: &T, _: Fit) -> Option<Key<'_>> {
        Some(Key::Word)
    }
}

impl<T: Word> Checked<Vec<T>> for Plain {
    fn key(_: &Vec<T>, _: Fit) -> Option<Key<'_>> {
        Some(Key::Word)
    }
}

/// Kinds of names.
macro_rules! names {
    ($($(#[$about:meta])* $kind:ident;)*) => {$(
        $(#[$about])*
        pub struct $kind;

        impl Kind<Name> for $kind {
            fn read<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Name> {
                Name::decode(node, at)
            }
            fn stand_in() -> Name {
                Name::made_up()
            }
            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Name>()
            }
        }
    )*};
}
names! {
    /// The name of a region.
    RegionName;
    /// The name of a file that an earlier step opened, or of one of the open device's.
    OpenFile;
    /// The name of a file that an earlier step opened.
    OpenedFile;
    /// The name by which the steps inside know how often they have run.
    Count;
}
