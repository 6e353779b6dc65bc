// SPDX-License-Identifier: MIT OR Apache-2.0
//! Durations, as people write them: `250ms`.

use std::{fmt, str::FromStr};

use schemars::json_schema;
use serde::{Serialize, Serializer};

use super::quantity::{Parts, Unit, Wrong, base_60, complaint, exact, names};
use crate::language::text::complaint::Complaint;
use crate::language::{At, Decode, Node, Value, described};

/// A span of time: `250ms`, `30s`, `5min`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

/// In nanoseconds, the largest last.
const TIMES: [Unit; 5] =
    [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60_000_000_000), ("h", 3_600_000_000_000)];

const DURATION: &str = "a duration such as 250ms, 30s or 5min";

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
            // 0755 may be octal to some; 0.5 is what it is.
            let number = match number.trim_start_matches('0') {
                digits if digits.starts_with(|c: char| c.is_ascii_digit()) => digits,
                _ => number,
            };
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

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Decode for Duration {
    fn decode<'d>(node: &'d Node, at: &mut At<'d>) -> Option<Self> {
        let read = match node.value() {
            Value::Integer(value) => value.to_string().parse(),
            Value::Float(value) => value.to_string().parse(),
            Value::Text(text) | Value::Unquoted(text) => text.parse(),
            Value::Null | Value::Bool(_) | Value::Sequence(_) | Value::Mapping(_) => {
                return at.wrong_type(node, DURATION);
            }
        };
        read.map_or_else(|complaint| at.complain(node, complaint), Some)
    }

    fn made_up() -> Self {
        Duration(std::time::Duration::from_secs(1))
    }
}

described!(Duration, |_| json_schema!({
    "description": "A span of time with one of the units us, ms, s, min, h.",
    "type": "string",
    "pattern": r"^[0-9]+(\.[0-9]+)?(us|ms|s|min|h)$",
    "patternErrorMessage": format!("expected {DURATION}"),
    "examples": ["250ms", "30s", "5min"]
}));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::quantity::tests::refused;

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
