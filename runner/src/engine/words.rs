// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values and amounts as messages show them.

use minijinja::{Value, value::ValueKind};

use crate::language::Size;

/// The number of elements of a list or a map that a message shows.
const MOST_SHOWN: usize = 16;

/// A value as people who know its register or its address would write it: numbers from 4096 on in hex, and small ones in decimal.
pub fn readable(value: &Value) -> String {
    let list = |items: Vec<String>, [open, close]: [&str; 2]| {
        let rest = items.len().saturating_sub(MOST_SHOWN);
        let mut text = items.into_iter().take(MOST_SHOWN).collect::<Vec<_>>().join(", ");
        if rest > 0 {
            text += &format!(", and {rest} more");
        }
        format!("{open}{text}{close}")
    };
    match value.kind() {
        ValueKind::Number => match u64::try_from(value.clone()) {
            Ok(number) if number >= 4096 => format!("{number:#x}"),
            _ => value.to_string(),
        },
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::String => format!("'{value}'"),
        ValueKind::Map => {
            let entry = |key: Value| {
                let value = value.get_item(&key).unwrap_or(Value::UNDEFINED);
                // Nobody counts time in hex.
                let is_time = matches!(key.as_str(), Some("micros" | "median" | "least" | "most" | "each"));
                if is_time { format!("{key}: {value}") } else { format!("{key}: {}", readable(&value)) }
            };
            list(value.try_iter().into_iter().flatten().map(entry).collect(), ["{", "}"])
        }
        ValueKind::Seq | ValueKind::Iterable => {
            list(value.try_iter().into_iter().flatten().map(|item| readable(&item)).collect(), ["[", "]"])
        }
        _ => value.to_string(),
    }
}

/// A number of bytes, readable and exact.
pub fn amount(bytes: u64) -> String {
    if bytes < 4096 { format!("{bytes} bytes") } else { Size(bytes).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_shown_in_hex_and_a_count_in_decimal() {
        let read = Value::from_pairs([("value", 0x8100_0000_u64), ("count", 7)]);
        assert_eq!(readable(&read), "{count: 7, value: 0x81000000}");
        assert_eq!(readable(&Value::from(u64::MAX)), "0xffffffffffffffff");
        assert_eq!(readable(&Value::from(-5)), "-5");
        assert_eq!(readable(&Value::from("edu")), "'edu'");
        assert_eq!(readable(&Value::from(vec![4096_u64, 1])), "[0x1000, 1]");
        assert!(readable(&Value::from(vec![1; 200])).ends_with(", 1, and 184 more]"));
        assert_eq!(readable(&Value::from(true)), "true");
        assert_eq!(readable(&Value::from_pairs([("micros", 5000), ("value", 5000)])), "{micros: 5000, value: 0x1388}");
    }
}
