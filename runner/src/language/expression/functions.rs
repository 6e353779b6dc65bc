// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every expression may use: constants, functions, filters and tests, none of which reaches out of the expression.

use std::sync::OnceLock;

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, filters, tests};

use crate::language::quantity::Size;

/// The names that are known everywhere, and that no variable should take.
pub const BUILTINS: [&str; 15] = [
    "KiB",
    "MiB",
    "GiB",
    "TiB",
    "U64_MAX",
    "align_up",
    "align_down",
    "min",
    "max",
    "bit",
    "bit_and",
    "bit_or",
    "pow2",
    "version_at_least",
    "hex",
];
pub(in crate::language) const FILTERS: [&str; 11] =
    ["default", "first", "hex", "join", "last", "length", "list", "lower", "sort", "unique", "upper"];
pub(in crate::language) const TESTS: [&str; 13] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "integer",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "undefined",
];

/// Steps an expression may take: a fraction of a millisecond.
const FUEL: u64 = 10_000;

/// The one environment of all expressions.
pub(in crate::language) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Environment::empty();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_debug(true);
        for (name, value) in
            [("KiB", 1_u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("U64_MAX", u64::MAX)]
        {
            env.add_global(name, value);
        }
        env.add_function("align_up", align_up);
        env.add_function("align_down", align_down);
        env.add_function("min", |values: Rest<Value>| extreme("min", &values, |best, value| value < best));
        env.add_function("max", |values: Rest<Value>| extreme("max", &values, |best, value| value > best));
        env.add_function("bit", bit);
        env.add_function("bit_and", |values: Rest<Value>| bits("bit_and", &values, |all, value| all & value));
        env.add_function("bit_or", |values: Rest<Value>| bits("bit_or", &values, |all, value| all | value));
        env.add_function("pow2", pow2);
        env.add_function("version_at_least", version_at_least);
        env.add_function("hex", hex);
        env.add_filter("hex", hex);
        env.add_filter("default", filters::default);
        env.add_filter("first", filters::first);
        env.add_filter("join", filters::join);
        env.add_filter("last", filters::last);
        env.add_filter("length", filters::length);
        env.add_filter("list", filters::list);
        env.add_filter("lower", filters::lower);
        env.add_filter("sort", filters::sort);
        env.add_filter("unique", filters::unique);
        env.add_filter("upper", filters::upper);
        env.add_test("boolean", tests::is_boolean);
        env.add_test("defined", tests::is_defined);
        env.add_test("divisibleby", tests::is_divisibleby);
        env.add_test("endingwith", tests::is_endingwith);
        env.add_test("even", tests::is_even);
        env.add_test("integer", tests::is_integer);
        env.add_test("none", tests::is_none);
        env.add_test("number", tests::is_number);
        env.add_test("odd", tests::is_odd);
        env.add_test("sequence", tests::is_sequence);
        env.add_test("startingwith", tests::is_startingwith);
        env.add_test("string", tests::is_string);
        env.add_test("undefined", tests::is_undefined);
        env
    })
}

/// A value as a whole number; text only if it is a size.
pub(in crate::language) fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str()?.parse().ok().map(|Size(bytes)| bytes.into()),
        _ => None,
    }
}

/// A whole number as a value, in the smallest form, so that equal numbers are equal.
pub(in crate::language) fn number(value: i128) -> Value {
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Value::from(value),
        (_, Ok(value)) => Value::from(value),
        _ => Value::from(value),
    }
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn argument(function: &str, value: &Value) -> Result<i128, Error> {
    integer(value).ok_or_else(|| refuse(format!("`{function}` takes whole numbers, and this is `{value}`")))
}

fn alignment(function: &str, value: &Value) -> Result<i128, Error> {
    match argument(function, value)? {
        alignment if alignment > 0 => Ok(alignment),
        alignment => Err(refuse(format!("`{function}` aligns to a number above 0, and this is {alignment}"))),
    }
}

fn align_up(value: Value, to: Value) -> Result<Value, Error> {
    let (value, to) = (argument("align_up", &value)?, alignment("align_up", &to)?);
    let rest = value.rem_euclid(to);
    let added = if rest == 0 { 0 } else { to - rest };
    value.checked_add(added).map(number).ok_or_else(|| refuse(format!("align_up({value}, {to}) is too large")))
}

fn align_down(value: Value, to: Value) -> Result<Value, Error> {
    let (value, to) = (argument("align_down", &value)?, alignment("align_down", &to)?);
    let down = value.checked_sub(value.rem_euclid(to));
    down.map(number).ok_or_else(|| refuse(format!("align_down({value}, {to}) is too small")))
}

fn extreme(function: &str, values: &[Value], better: fn(i128, i128) -> bool) -> Result<Value, Error> {
    let list: Vec<Value>;
    let values = match values {
        [only] if only.kind() == ValueKind::Seq => {
            list = only.try_iter()?.collect();
            &list
        }
        values => values,
    };
    let mut best = None;
    for value in values {
        let value = argument(function, value)?;
        if best.is_none_or(|best| better(best, value)) {
            best = Some(value);
        }
    }
    best.map(number).ok_or_else(|| refuse(format!("{function} needs at least one number")))
}

/// Numbers of 64 bits taken together bit by bit, as registers need it.
fn bits(function: &str, values: &[Value], together: fn(u64, u64) -> u64) -> Result<Value, Error> {
    let mut all = None;
    for value in values {
        let value = argument(function, value)?;
        let value = u64::try_from(value)
            .map_err(|_| refuse(format!("`{function}` takes numbers of 64 bits, and this is {value}")))?;
        all = Some(all.map_or(value, |all| together(all, value)));
    }
    all.map(Value::from).ok_or_else(|| refuse(format!("{function} needs at least one number")))
}

/// One bit of a number, 0 or 1.
fn bit(value: Value, index: Value) -> Result<Value, Error> {
    let value = argument("bit", &value)?;
    match argument("bit", &index)? {
        index @ 0..=63 => Ok(number(value >> index & 1)),
        index => Err(refuse(format!("bit takes 0 to 63 as the bit's number, and this is {index}"))),
    }
}

fn pow2(exponent: Value) -> Result<Value, Error> {
    match argument("pow2", &exponent)? {
        // 2 to the 64th is one more than any address, and useful for just that.
        exponent @ 0..=64 => Ok(number(1_i128 << exponent)),
        exponent => Err(refuse(format!("pow2 takes 0 to 64, and this is {exponent}"))),
    }
}

fn hex(value: Value) -> Result<String, Error> {
    Ok(in_hex(argument("hex", &value)?))
}

/// A number as it is written in hexadecimal, sign first.
pub(in crate::language) fn in_hex(value: i128) -> String {
    format!("{}0x{:x}", if value < 0 { "-" } else { "" }, value.unsigned_abs())
}

/// Compares versions by their numbers; what follows them, such as `-rc3`, does not count.
fn version_at_least(version: Value, least: Value) -> Result<bool, Error> {
    if let Some(number) = [&version, &least].into_iter().find(|value| value.kind() == ValueKind::Number) {
        return Err(refuse(format!("the number {number} is no version: put it in quotes, for 6.10 is 6.1 without")));
    }
    let (version, least) = (version.to_string(), least.to_string());
    let parts = |text: &str| -> Result<Vec<u64>, Error> {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let numbers: Result<Vec<u64>, _> = text[..end].trim_end_matches('.').split('.').map(str::parse).collect();
        numbers.map_err(|_| refuse(format!("`{text}` is no version such as \"6.18\"")))
    };
    let (mut version, mut least) = (parts(&version)?, parts(&least)?);
    let length = version.len().max(least.len());
    version.resize(length, 0);
    least.resize(length, 0);
    Ok(version >= least)
}
