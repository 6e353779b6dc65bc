// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what an expression gives to what a field needs.

use minijinja::{Value, value::ValueKind};

use super::functions::{in_hex, integer};
use crate::language::{Duration, Size};
use crate::{language::text::complaint::Complaint, language::text::suggest::shorten, model::code::Code};

/// A type that an expression's value can become.
pub trait FromValue: Sized {
    /// Converts, or says why not: the complaint's title names the value.
    fn from_value(value: &Value) -> Result<Self, Complaint>;
}

/// A value as text, written as YAML would.
pub(in crate::language) fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::None => "null".to_owned(),
        _ => value.to_string(),
    }
}

/// The complaint about a value that is not what is expected.
pub(in crate::language) fn refused(value: &Value, expected: &str) -> Complaint {
    let what = match value.kind() {
        ValueKind::Undefined | ValueKind::None => "nothing".to_owned(),
        ValueKind::Bool => format!("the boolean {}", text(value)),
        ValueKind::Number => format!("the number {value}"),
        ValueKind::String => format!("the text `{}`", shorten(&value.to_string())),
        ValueKind::Seq | ValueKind::Iterable => "a list".to_owned(),
        ValueKind::Map => "a mapping".to_owned(),
        _ => "no plain value".to_owned(),
    };
    Complaint::new(Code::Expression, format_args!("the expression gives {what}, not {expected}"))
}

/// A whole number between two bounds.
fn within(value: &Value, least: i128, most: i128, expected: &str) -> Result<i128, Complaint> {
    if value.kind() == ValueKind::Number && !value.is_integer() {
        return Err(refused(value, expected).help("use // for whole division"));
    }
    if value.kind() == ValueKind::String
        && let Some(text) = value.as_str()
        && let Err(complaint) = text.parse::<Size>()
    {
        // Of what is said about a size in a file only what to write instead holds for a value.
        let help = complaint.help.into_iter().filter(|sentence| sentence.starts_with("write ")).collect();
        return Err(Complaint { help, ..refused(value, expected) });
    }
    let number = match integer(value) {
        Some(number) => number,
        // A whole number that does not fit into 128 bits.
        None if value.kind() == ValueKind::Number => {
            return Err(Complaint::new(
                Code::Expression,
                format_args!("the expression gives {value}, which is more than 128 bits can hold"),
            ));
        }
        None => return Err(refused(value, expected)),
    };
    let gives = || format!("the expression gives {number} ({})", in_hex(number));
    if number < least {
        let why = if least == 0 { "below 0".to_owned() } else { format!("below {least}") };
        return Err(Complaint::new(Code::Expression, format_args!("{}, {why}", gives())));
    }
    if number > most {
        let why = match most == i128::from(u64::MAX) {
            true => "more than 64 bits can hold".to_owned(),
            false => format!("above {most}"),
        };
        return Err(Complaint::new(Code::Expression, format_args!("{}, {why}", gives())));
    }
    Ok(number)
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, Complaint> {
                let number = within(value, <$type>::MIN.into(), <$type>::MAX.into(), "a whole number")?;
                <$type>::try_from(number).map_err(|_| refused(value, "a whole number"))
            }
        }
    )*};
}

whole_numbers!(u8, u16, u32, u64, i32, i64);

impl FromValue for Size {
    fn from_value(value: &Value) -> Result<Self, Complaint> {
        u64::from_value(value).map(Size)
    }
}

impl FromValue for Duration {
    fn from_value(value: &Value) -> Result<Self, Complaint> {
        match value.as_str() {
            Some(text) => {
                text.parse().map_err(|why: Complaint| Complaint { help: why.help, ..refused(value, "a duration") })
            }
            None => Err(refused(value, "a duration").help("a duration is text with a unit: \"{{ n ~ 'ms' }}\"")),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, Complaint> {
        bool::try_from(value.clone())
            .ok()
            .filter(|_| value.kind() == ValueKind::Bool)
            .ok_or_else(|| refused(value, "true or false").help("compare it: `x == 1`, `x is defined`"))
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, Complaint> {
        match value.kind() {
            ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(text(value)),
            _ => Err(refused(value, "text")),
        }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Self, Complaint> {
        Ok(value.clone())
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Result<Self, Complaint> {
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                value.try_iter().map_err(|_| refused(value, "a list"))?.map(|element| T::from_value(&element)).collect()
            }
            _ => Err(refused(value, "a list")),
        }
    }
}
