// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sizes and other whole numbers, as people write them: `2MiB`, `0x1000`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::language::text::keys::{Kind, Plain};
use crate::language::{At, Decode, Dynamic, Ids, Node, Value, described};
use crate::{language::text::complaint::Complaint, language::text::suggest::shorten, model::code::Code};

/// A number of bytes: `4096`, `0x1000`, `4KiB`, `1.5MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// A unit's name and what it stands for.
pub(super) type Unit = (&'static str, u64);

/// In bytes, the largest last.
const SIZES: [Unit; 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
/// What a whole number is, in messages and in the schema.
struct Noun {
    name: &'static str,
    one: &'static str,
    expected: &'static str,
    /// Whether the units are what one would write it with.
    has_units: bool,
}

const SIZE: Noun =
    Noun { name: "size", one: "a size", expected: "a size such as 4096, 0x1000, 4KiB or 2MiB", has_units: true };
const OFFSET: Noun =
    Noun { name: "offset", one: "an offset", expected: "an offset in bytes such as 16, 0x10 or 4KiB", has_units: true };
const IOVA: Noun = Noun { name: "IOVA", one: "an IOVA", expected: "an IOVA such as 0x100000 or 1GiB", has_units: true };
const NUMBER: Noun =
    Noun { name: "number", one: "a number", expected: "a whole number such as 4 or 0x10", has_units: false };

/// A text's number and the rest behind it.
pub(super) struct Parts<'t> {
    pub whole: &'t str,
    /// The digits behind a point.
    pub fraction: Option<&'t str>,
    pub unit: &'t str,
}

impl<'t> Parts<'t> {
    pub fn of(text: &'t str) -> Self {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = text.split_at(digits(text));
        match rest.strip_prefix('.').map(|rest| rest.split_at(digits(rest))) {
            Some((fraction, unit)) if !fraction.is_empty() => Parts { whole, fraction: Some(fraction), unit },
            _ => Parts { whole, fraction: None, unit: rest },
        }
    }

    /// The number times the unit, if that is whole; an error says whether it is too large.
    pub fn times(&self, unit: u64) -> Result<u64, Wrong> {
        let whole: u128 = self.whole.parse().map_err(|_| Wrong::TooLarge)?;
        let mut value = whole.checked_mul(unit.into()).ok_or(Wrong::TooLarge)?;
        if let Some(fraction) = self.fraction.map(|fraction| fraction.trim_end_matches('0')).filter(|f| !f.is_empty()) {
            // More digits than this divide no unit.
            let digits: u32 = fraction.len().try_into().ok().filter(|digits| *digits <= 40).ok_or(Wrong::NotWhole)?;
            let (Ok(numerator), Some(denominator)) = (fraction.parse::<u128>(), 10_u128.checked_pow(digits)) else {
                return Err(Wrong::NotWhole);
            };
            let part = numerator.checked_mul(unit.into()).ok_or(Wrong::NotWhole)?;
            if part % denominator != 0 {
                return Err(Wrong::NotWhole);
            }
            value = value.checked_add(part / denominator).ok_or(Wrong::TooLarge)?;
        }
        u64::try_from(value).map_err(|_| Wrong::TooLarge)
    }
}

pub(super) enum Wrong {
    TooLarge,
    NotWhole,
}

pub(super) fn complaint(text: &str, why: impl fmt::Display, expected: &str) -> Complaint {
    Complaint::new(Code::InvalidQuantity, format_args!("`{}` {why}", shorten(text))).expected(expected)
}

pub(super) fn names(units: &[Unit]) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl Size {
    /// Whether a text is a size with a unit, and so a number rather than a word wherever it stands.
    pub fn from_text_with_unit(text: &str) -> Option<Size> {
        let has_unit = text.starts_with(|c: char| c.is_ascii_digit()) && SIZES.iter().any(|(u, _)| text.ends_with(u));
        text.parse().ok().filter(|_| has_unit)
    }
}

impl Noun {
    fn of_integer(&self, value: i128) -> Result<Size, Complaint> {
        if value < 0 {
            return Err(Complaint::new(Code::InvalidQuantity, format_args!("the {} {value} is negative", self.name))
                .expected(self.expected));
        }
        u64::try_from(value).map(Size).map_err(|_| too_large(&value.to_string()))
    }

    fn of_float(&self, value: f64) -> Complaint {
        let refused = complaint(&format!("{value:?}"), "is a number with a point or an exponent", self.expected);
        // Within these bounds every whole float is an integer.
        match value.fract() == 0.0 && (0.0..9e15).contains(&value) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            true => refused.help(format_args!("write {}", value as u64)),
            false if self.has_units => refused.help(format_args!("{} is a whole number of bytes", self.one)),
            false => refused,
        }
    }
}

fn too_large(text: &str) -> Complaint {
    complaint(text, "is more than 64 bits can hold", "at most 18446744073709551615 (0xffffffffffffffff)")
}

impl FromStr for Size {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Size, Complaint> {
        SIZE.parse(text)
    }
}

impl Noun {
    fn parse(&self, text: &str) -> Result<Size, Complaint> {
        let refuse = |why: &str| complaint(text, why, self.expected);
        let is_none = format!("is no {}", self.name);
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            let digits = hex.replace('_', "");
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(refuse("is no hexadecimal number"));
            }
            let value = u64::from_str_radix(&digits, 16).map_err(|_| too_large(text))?;
            return match digits == hex && text.starts_with("0x") {
                true => Ok(Size(value)),
                false => Err(refuse(&is_none).help(format_args!("write 0x{}", digits.to_lowercase()))),
            };
        }
        if text.starts_with('-') {
            return Err(refuse("is negative"));
        }
        let parts = Parts::of(text);
        if parts.whole.is_empty() {
            let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
            let refused = refuse(&is_none);
            return Err(match text.trim_matches(['{', '}', ' ']) {
                inner if text.starts_with('{') && !text.starts_with("{{") => {
                    refused.help(format_args!("an expression stands in double braces: \"{{{{ {inner} }}}}\""))
                }
                word if is_word => {
                    refused.help(format_args!("the value of a variable is written \"{{{{ {word} }}}}\""))
                }
                _ => refused,
            });
        }
        let unit = match parts.unit {
            "" => 1,
            unit => match SIZES.iter().find(|(name, _)| *name == unit) {
                Some((_, bytes)) => *bytes,
                None => return Err(self.wrong_unit(text, &parts)),
            },
        };
        if parts.unit.is_empty() && parts.fraction.is_none() && parts.whole.len() > 1 && parts.whole.starts_with('0') {
            let help = match parts.whole.trim_start_matches('0') {
                "" => "write 0".to_owned(),
                digits => match u64::from_str_radix(digits, 8) {
                    Ok(octal) => format!("write {digits}, or {octal} if octal was meant"),
                    Err(_) => format!("write {digits}"),
                },
            };
            return Err(refuse("begins with a zero, which some read as octal").help(help));
        }
        parts.times(unit).map(Size).map_err(|wrong| match wrong {
            Wrong::TooLarge => too_large(text),
            Wrong::NotWhole if self.has_units => refuse("is no whole number of bytes"),
            Wrong::NotWhole => refuse("is no whole number"),
        })
    }

    /// The complaint about an unknown unit, with what was probably meant.
    fn wrong_unit(&self, text: &str, parts: &Parts) -> Complaint {
        if let Some(value) = base_60(text) {
            let meant = format!("write {value} if that was meant; PCI ids such as 8086:10c9 are no {}", self.name);
            return complaint(text, "holds a `:`, which some read as a number of base 60", self.expected).help(meant);
        }
        if Ids::is_valid(text) {
            return complaint(text, format_args!("are the ids of a device, and no {}", self.name), self.expected);
        }
        let refused = match self.has_units {
            true => complaint(text, "has no known unit", self.expected),
            false => complaint(text, "is no number", self.expected),
        };
        let unit: String = parts.unit.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
        if unit.bytes().all(|b| b.is_ascii_digit()) && parts.unit.contains(['_', ' ']) && parts.fraction.is_none() {
            return refused.help(format_args!("write the digits together: {}{unit}", parts.whole));
        }
        let letter = unit.chars().next().map(|c| c.to_ascii_lowercase());
        let meant = match unit.to_ascii_lowercase().as_str() {
            "b" | "byte" | "bytes" => return refused.help("bytes have no unit: write the number alone"),
            "k" | "m" | "g" | "t" | "kb" | "mb" | "gb" | "tb" | "ki" | "mi" | "gi" | "ti" | "kib" | "mib" | "gib"
            | "tib" => SIZES.iter().find(|(name, _)| letter == name.chars().next().map(|c| c.to_ascii_lowercase())),
            _ => None,
        };
        let Some((name, bytes)) = meant else {
            return match self.has_units {
                true => refused.help(format_args!("the units are {}; bytes have none", names(&SIZES))),
                false => refused,
            };
        };
        let fraction = parts.fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
        let write = format!("{}{fraction}{name}", parts.whole);
        match parts.times(*bytes) {
            Ok(value) if self.has_units => refused.help(format_args!("write {write} ({value} bytes)")),
            Ok(value) => refused.help(format_args!("write {value}, or {write}, which is the same")),
            Err(_) => refused.help(format_args!("write {write}")),
        }
    }
}

/// Digits with colons between, which the first version of YAML reads as a number of base 60: 1:30 is 90.
pub(super) fn base_60(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() < 2 || !parts.iter().all(is_number) {
        return None;
    }
    parts.iter().try_fold(0_u64, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))
}

/// In the largest unit that is exact.
pub(super) fn exact(value: u64, units: &[Unit]) -> Option<(u64, &'static str)> {
    units
        .iter()
        .rev()
        .find(|(_, unit)| value != 0 && value.is_multiple_of(*unit))
        .map(|(name, unit)| (value / unit, *name))
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match exact(self.0, &SIZES) {
            Some((count, unit)) => f.pad(&format!("{count}{unit}")),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Decode for Size {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        SIZE.decode(node, at)
    }

    fn made_up() -> Self {
        Size(1)
    }
}

impl Noun {
    /// Reads a value as a size, which messages call by this noun.
    fn decode<'d>(&self, node: &'d Node, at: &mut At<'d>) -> Option<Size> {
        let read = match node.value() {
            Value::Integer(value) => self.of_integer(*value),
            Value::Float(value) => Err(self.of_float(*value)),
            Value::Text(text) | Value::Unquoted(text) => self.parse(text),
            Value::Null | Value::Bool(_) | Value::Sequence(_) | Value::Mapping(_) => {
                return at.wrong_type(node, self.expected);
            }
        };
        read.map_or_else(|complaint| at.complain(node, complaint), Some)
    }

    fn schema(&self, description: &str, examples: &[&str]) -> Schema {
        let examples: Vec<serde_json::Value> = examples
            .iter()
            .map(|text| text.parse::<u64>().map_or_else(|_| (*text).into(), serde_json::Value::from))
            .collect();
        json_schema!({
            "description": description,
            // Both in one, not one of two: the language server then says what is wrong rather than that it is no number.
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": u64::MAX,
            "pattern": r"^(0x[0-9a-fA-F]+|0|[1-9][0-9]*|[0-9]+(\.[0-9]+)?(KiB|MiB|GiB|TiB))$",
            "patternErrorMessage": format!("expected {}", self.expected),
            "examples": examples,
        })
    }
}

/// A key that says what its size has to fit.
impl Kind<Dynamic<Size>> for Size {
    fn read<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Dynamic<Size>> {
        Plain::read(node, at)
    }
    fn stand_in() -> Dynamic<Size> {
        Dynamic::made_up()
    }
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Plain as Kind<Dynamic<Size>>>::schema(generator)
    }
}

described!(Size, |_| {
    SIZE.schema(
        "A number of bytes, plain or hexadecimal, or with one of the units KiB, MiB, GiB, TiB.",
        &["4096", "0x1000", "4KiB", "2MiB"],
    )
});

/// Kinds of keys whose value is written and held as a size is, and called something else in messages: `as Offset`.
macro_rules! told_as {
    ($($type:ident $noun:ident, $description:literal, $examples:expr;)*) => {$(
        #[doc = $description]
        pub struct $type(Size);

        impl Kind<Dynamic<Size>> for $type {
            fn read<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Dynamic<Size>> {
                Dynamic::<$type>::decode(node, at).map(|value| match value {
                    Dynamic::Is(value) => Dynamic::Is(value.0),
                    Dynamic::Expression(source) => Dynamic::Expression(source),
                })
            }
            fn stand_in() -> Dynamic<Size> {
                Dynamic::made_up()
            }
            fn schema(generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<Dynamic<$type>>()
            }
        }

        impl Decode for $type {
            fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
                $noun.decode(node, at).map($type)
            }

            fn made_up() -> Self {
                $type(Size::made_up())
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $noun.schema($description, $examples)
            }
        }
    )*};
}

told_as! {
    Offset OFFSET, "How far from the start, in bytes: plain or hexadecimal, or with one of the units KiB, MiB, GiB, TiB.",
        &["0x10", "4KiB"];
    Iova IOVA, "An address as the device uses it: plain or hexadecimal, or with one of the units KiB, MiB, GiB, TiB.",
        &["0x100000", "1GiB"];
    Number NUMBER, "A whole number, plain or hexadecimal.", &["4", "0x10"];
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::language::{Problems, decode, parse};

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("0x1000", 4096),
            ("4KiB", 4096),
            ("2MiB", 2 << 20),
            ("1GiB", 1 << 30),
            ("1TiB", 1 << 40),
            ("1.5MiB", 3 << 19),
            ("1.50MiB", 3 << 19),
            ("0KiB", 0),
            ("\"4096\"", 4096),
            ("18446744073709551615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            let mut problems = Problems::new();
            let size: Option<Size> = decode(&parse(text).unwrap(), &mut problems);
            assert_eq!((size, problems.as_slice()), (Some(Size(bytes)), &[][..]), "{text}");
        }
    }

    pub(in crate::language) fn refused<T: Decode>(text: &str) -> String {
        let mut problems = Problems::new();
        decode::<T>(&parse(text).unwrap(), &mut problems);
        let [problem] = problems.as_slice() else { panic!("{text}: {problems:?}") };
        format!("{}; {}", problem.title, problem.help.join("; "))
    }

    #[test]
    fn wrong_sizes_are_told_what_to_write() {
        for (text, says) in [
            ("2MB", "write 2MiB (2097152 bytes)"),
            ("4k", "write 4KiB (4096 bytes)"),
            ("2mib", "write 2MiB (2097152 bytes)"),
            ("4 KB", "write 4KiB (4096 bytes)"),
            ("4 KiB", "write 4KiB (4096 bytes)"),
            ("1.5G", "write 1.5GiB (1610612736 bytes)"),
            ("4096B", "write the number alone"),
            ("4096 bytes", "write the number alone"),
            ("7Mbit", "the units are KiB, MiB, GiB, TiB"),
            ("1_000", "write the digits together: 1000"),
            ("\"0x10_00\"", "write 0x1000"),
            ("0755", "write 755, or 493 if octal was meant"),
            ("8086:1000", "PCI ids such as 8086:10c9 are no size"),
            ("1e6", "write 1000000"),
            ("1.5", "a whole number of bytes"),
            ("1.0001KiB", "no whole number of bytes"),
            ("-4096", "negative"),
            ("\"-4KiB\"", "negative"),
            ("18446744073709551616", "64 bits"),
            ("16777216TiB", "64 bits"),
            ("340282366920938463463374607431768211455", "64 bits"),
            ("99999999999999999999999999999999999999999999KiB", "64 bits"),
            ("0x10000000000000000", "64 bits"),
            ("0xzz", "no hexadecimal number"),
            ("\"\"", "is no size"),
            ("page", "is no size"),
            (".nan", "a whole number of bytes"),
            ("true", "cannot be the boolean true"),
            ("[1]", "cannot be a list"),
            ("~", "has no value"),
        ] {
            let message = refused::<Size>(text);
            assert!(message.contains(says), "{text}: {message}");
        }
    }

    #[test]
    fn sizes_are_written_in_the_largest_exact_unit() {
        for (bytes, text) in [(0, "0"), (4095, "4095"), (4096, "4KiB"), (2 << 20, "2MiB"), (3 << 19, "1536KiB")] {
            assert_eq!(Size(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
        assert_eq!(Size(u64::MAX).to_string(), "18446744073709551615");
        assert_eq!(Size(1 << 63).to_string(), "8388608TiB");
    }

    #[test]
    fn only_sizes_with_a_unit_are_numbers_by_themselves() {
        assert_eq!(Size::from_text_with_unit("2MiB"), Some(Size(2 << 20)));
        for word in ["4096", "iommufd", "KiB", "2MB"] {
            assert_eq!(Size::from_text_with_unit(word), None, "{word}");
        }
    }
}
