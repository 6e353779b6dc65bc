//! Sizes and durations, as people write them: `2MiB`, `0x1000`, `250ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::language::text::complaint::Complaint;
use crate::language::text::node::shorten;

/// A number of bytes: `4096`, `0x1000`, `4KiB`, `1.5MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// A span of time: `250ms`, `30s`, `5min`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

/// A unit's name and what it stands for.
type Unit = (&'static str, u64);

/// In bytes, the largest last.
const SIZES: [Unit; 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
/// In nanoseconds, the largest last.
const TIMES: [Unit; 5] =
    [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60_000_000_000), ("h", 3_600_000_000_000)];

const SIZE: &str = "a size such as 4096, 0x1000, 4KiB or 2MiB";
const DURATION: &str = "a duration such as 250ms, 30s or 5min";

/// A text's number and the rest behind it.
struct Parts<'t> {
    whole: &'t str,
    /// The digits behind a point.
    fraction: Option<&'t str>,
    unit: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Self {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = text.split_at(digits(text));
        match rest.strip_prefix('.').map(|rest| rest.split_at(digits(rest))) {
            Some((fraction, unit)) if !fraction.is_empty() => Parts { whole, fraction: Some(fraction), unit },
            _ => Parts { whole, fraction: None, unit: rest },
        }
    }

    /// The number times the unit, if that is whole; an error says whether it is too large.
    fn times(&self, unit: u64) -> Result<u64, Wrong> {
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

enum Wrong {
    TooLarge,
    NotWhole,
}

fn complaint(text: &str, why: impl fmt::Display, expected: &str) -> Complaint {
    Complaint::new(format_args!("`{}` {why}", shorten(text))).code("invalid-quantity").expected(expected)
}

fn names(units: &[Unit]) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl Size {
    /// Whether a text is a size with a unit, and so a number rather than a word wherever it stands.
    pub fn from_text_with_unit(text: &str) -> Option<Size> {
        let has_unit = text.starts_with(|c: char| c.is_ascii_digit()) && SIZES.iter().any(|(u, _)| text.ends_with(u));
        text.parse().ok().filter(|_| has_unit)
    }

    fn from_integer(value: i128) -> Result<Size, Complaint> {
        if value < 0 {
            return Err(Complaint::new(format_args!("the size {value} is negative"))
                .code("invalid-quantity")
                .expected(SIZE));
        }
        u64::try_from(value).map(Size).map_err(|_| too_large(&value.to_string()))
    }
}

fn too_large(text: &str) -> Complaint {
    complaint(text, "is more than 64 bits can hold", "at most 18446744073709551615 (0xffffffffffffffff)")
}

impl FromStr for Size {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Size, Complaint> {
        let refuse = |why: &str| complaint(text, why, SIZE);
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            let digits = hex.replace('_', "");
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(refuse("is no hexadecimal number"));
            }
            let value = u64::from_str_radix(&digits, 16).map_err(|_| too_large(text))?;
            return match digits == hex && text.starts_with("0x") {
                true => Ok(Size(value)),
                false => Err(refuse("is no size").help(format_args!("write 0x{}", digits.to_lowercase()))),
            };
        }
        if text.starts_with('-') {
            return Err(refuse("is negative"));
        }
        let parts = Parts::of(text);
        if parts.whole.is_empty() {
            let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
            let refused = refuse("is no size");
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
                None => return Err(wrong_unit(text, &parts)),
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
            Wrong::NotWhole => refuse("is no whole number of bytes"),
        })
    }
}

/// Digits with colons between, which the first version of YAML reads as a number of base 60: 1:30 is 90.
fn base_60(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() < 2 || !parts.iter().all(is_number) {
        return None;
    }
    parts.iter().try_fold(0_u64, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))
}

/// The complaint about a unit that is none, with what was probably meant.
fn wrong_unit(text: &str, parts: &Parts) -> Complaint {
    if let Some(value) = base_60(text) {
        return complaint(text, "holds a `:`, which some read as a number of base 60", SIZE)
            .help(format_args!("write {value} if that was meant; PCI ids such as 8086:10c9 are no size"));
    }
    let refused = complaint(text, "has no known unit", SIZE);
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
        return refused.help(format_args!("the units are {}; bytes have none", names(&SIZES)));
    };
    let fraction = parts.fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    let write = format!("{}{fraction}{name}", parts.whole);
    match parts.times(*bytes) {
        Ok(value) => refused.help(format_args!("write {write} ({value} bytes)")),
        Err(_) => refused.help(format_args!("write {write}")),
    }
}

impl FromStr for Duration {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Duration, Complaint> {
        let refuse = |why: &str| complaint(text, why, DURATION);
        let parts = Parts::of(text);
        if text.starts_with('-') {
            return Err(refuse("is negative"));
        }
        if parts.whole.is_empty() {
            return Err(refuse("is no duration"));
        }
        if let Some(seconds) = base_60(text) {
            return Err(refuse("holds a `:`, which some read as a number of base 60")
                .help(format_args!("write {seconds}s if that was meant")));
        }
        let Some((_, unit)) = TIMES.iter().find(|(name, _)| *name == parts.unit) else {
            let number = text.trim_end_matches(parts.unit);
            let refused = refuse(if parts.unit.is_empty() { "has no unit" } else { "has no known unit" });
            let meant = match parts.unit.trim().to_lowercase().as_str() {
                "" => {
                    return Err(
                        refused.help(format_args!("write {number}s for seconds or {number}ms for milliseconds"))
                    );
                }
                "m" => return Err(refused.help(format_args!("write {number}min or {number}ms"))),
                "µs" | "us" | "usec" => "us",
                "ms" | "msec" | "millis" | "milliseconds" => "ms",
                "s" | "sec" | "secs" | "second" | "seconds" => "s",
                "min" | "mins" | "minute" | "minutes" => "min",
                "h" | "hr" | "hour" | "hours" => "h",
                _ => {
                    return Err(
                        refused.help(format_args!("write one number and one unit; the units are {}", names(&TIMES)))
                    );
                }
            };
            return Err(refused.help(format_args!("write {number}{meant}")));
        };
        match parts.times(*unit) {
            Ok(nanoseconds) => Ok(Duration(std::time::Duration::from_nanos(nanoseconds))),
            Err(Wrong::TooLarge) => Err(refuse("is too long")),
            Err(Wrong::NotWhole) => Err(refuse("is no whole number of nanoseconds")),
        }
    }
}

/// In the largest unit that is exact.
fn exact(value: u64, units: &[Unit]) -> Option<(u64, &'static str)> {
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

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Beyond 584 years the unit no longer matters; below a microsecond a fraction of one is exact.
        match u64::try_from(self.0.as_nanos()).map(|nanoseconds| (nanoseconds, exact(nanoseconds, &TIMES))) {
            Ok((0, _)) => f.pad("0s"),
            Ok((_, Some((count, unit)))) => f.pad(&format!("{count}{unit}")),
            Ok((nanoseconds, None)) => f.pad(&format!("{}.{:03}us", nanoseconds / 1000, nanoseconds % 1000)),
            Err(_) => f.pad(&format!("{}s", self.0.as_secs())),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(SIZE)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Size, E> {
                Ok(Size(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Size, E> {
                self.visit_i128(value.into())
            }

            fn visit_i128<E: de::Error>(self, value: i128) -> Result<Size, E> {
                Size::from_integer(value).map_err(Complaint::raise)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Size, E> {
                let refused = complaint(&format!("{value:?}"), "is a number with a point or an exponent", SIZE);
                // Within these bounds every whole float is an integer.
                let help = match value.fract() == 0.0 && (0.0..9e15).contains(&value) {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    true => format!("write {}", value as u64),
                    false => "a size is a whole number of bytes".to_owned(),
                };
                Err(refused.help(help).raise())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(Complaint::raise)
            }
        }

        deserializer.deserialize_any(Bytes)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Time;

        impl Visitor<'_> for Time {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(DURATION)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Duration, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Duration, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Duration, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(Complaint::raise)
            }
        }

        deserializer.deserialize_any(Time)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes, plain or hexadecimal, or with one of the units KiB, MiB, GiB, TiB.",
            // Both in one, not one of two: the language server then says what is wrong rather than that it is no number.
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": u64::MAX,
            "pattern": r"^(0x[0-9a-fA-F]+|0|[1-9][0-9]*|[0-9]+(\.[0-9]+)?(KiB|MiB|GiB|TiB))$",
            "patternErrorMessage": format!("expected {SIZE}"),
            "examples": [4096, "0x1000", "4KiB", "2MiB"]
        })
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A span of time with one of the units us, ms, s, min, h.",
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)?(us|ms|s|min|h)$",
            "patternErrorMessage": format!("expected {DURATION}"),
            "examples": ["250ms", "30s", "5min"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::text::decode::{Problems, decode};
    use crate::language::text::node::parse;

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

    fn refused<T: serde::de::DeserializeOwned + fmt::Debug>(text: &str) -> String {
        let mut problems = Problems::new();
        let value: Option<T> = decode(&parse(text).unwrap(), &mut problems);
        assert!(value.is_none(), "{text} was read as {value:?}");
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

    #[test]
    fn durations_are_read_and_written() {
        for (text, milliseconds) in [("250ms", 250), ("30s", 30_000), ("5min", 300_000), ("12h", 43_200_000)] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.0.as_millis(), milliseconds, "{text}");
            assert_eq!(duration.to_string(), text);
        }
        for (text, written) in [("0s", "0s"), ("1.5s", "1500ms"), ("90s", "90s"), ("60s", "1min"), ("0.5us", "0.500us")]
        {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn wrong_durations_are_told_what_to_write() {
        for (text, says) in [
            ("30", "write 30s for seconds or 30ms"),
            ("1.5", "write 1.5s"),
            ("5m", "write 5min or 5ms"),
            ("30sec", "write 30s"),
            ("30 s", "write 30s"),
            ("1h30min", "one unit; the units are us, ms, s, min, h"),
            ("soon", "is no duration"),
            ("-3", "negative"),
            ("99999999999h", "too long"),
            ("1:30", "write 90s if that was meant"),
        ] {
            let message = refused::<Duration>(text);
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
