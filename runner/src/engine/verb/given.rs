// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fields that a step gives to a request as numbers, and what the kernel wrote as values of expressions.

use minijinja::{Value, value::ValueKind};

use super::running::Running;
use crate::{
    engine::failure::{End, Problem},
    language::{
        Ordered, Path, Scalar, Size, eval,
        verb::{Element, Given, is_bytes},
    },
    model::code::Code,
    uapi::{
        VfToken,
        request::{Array, Decoded, Elements, Field, Request},
    },
};

/// What is in a request's argument.
#[derive(Default)]
pub struct Filled<'s> {
    pub values: Vec<(&'s str, u64)>,
    pub arrays: Vec<(&'static Array, Elements)>,
}

impl Filled<'_> {
    /// The value of a field; 0 if it is not given.
    pub fn value(&self, field: &str) -> u64 {
        self.values.iter().find(|(name, _)| *name == field).map_or(0, |(_, value)| *value)
    }
}

/// Fills in what the step gives under `key`.
pub fn fill<'s>(
    step: &Running,
    key: &str,
    request: &'static Request,
    given: &'s Ordered<Given>,
) -> Result<Filled<'s>, End> {
    let mut filled = Filled::default();
    for (name, given) in given.iter() {
        let at = step.at(key).join(name);
        match (request.field(name), request.array(name)) {
            (Some(field), _) => filled.values.push((name, of_field(step, &at, field, given)?)),
            (None, Some(array)) => filled.arrays.push((array, of_array(step, &at, array, given)?)),
            (None, None) => unreachable!("the check knows the fields"),
        }
    }
    Ok(filled)
}

fn of_field(step: &Running, at: &Path, field: &Field, given: &Given) -> Result<u64, End> {
    let elements = match given {
        Given::One(value) => return of_scalar(step, at, field, value),
        Given::List(elements) => elements,
    };
    let mut all = 0;
    for (index, element) in elements.iter().enumerate() {
        match element {
            Element::One(value) => all |= of_scalar(step, &at.join(index), field, value)?,
            Element::Fields(_) => unreachable!("the check refuses it"),
        }
    }
    Ok(all)
}

fn of_array(step: &Running, at: &Path, array: &'static Array, given: &Given) -> Result<Elements, End> {
    let mut all = Elements::new();
    let elements = match given {
        Given::List(elements) => elements,
        Given::One(Scalar::Text(text)) if is_bytes(array) => {
            let text = match text.contains("{{") {
                true => eval(&step.case.scope, text)
                    .map_err(|error| End::Error(Problem::expression(at.clone(), &error)))?
                    .to_string(),
                false => text.clone(),
            };
            let uuid: VfToken = text.parse().map_err(|()| {
                let label = "expected a UUID such as 52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
                End::Error(Problem::new(Code::Token, at.clone(), format!("`{text}` is no UUID")).label(label))
            })?;
            return Ok(uuid.bytes().map(|byte| vec![(&array.element[0], byte.into())]).to_vec());
        }
        Given::One(_) => unreachable!("the check refuses it"),
    };
    for (index, element) in elements.iter().enumerate() {
        let at = at.join(index);
        let mut fields = Vec::new();
        match element {
            Element::One(value) => {
                let field = &array.element[0];
                fields.push((field, of_scalar(step, &at, field, value)?));
            }
            Element::Fields(given) => {
                for (name, value) in given.iter() {
                    let field =
                        array.element.iter().find(|field| field.name == name).expect("the check knows the fields");
                    fields.push((field, of_scalar(step, &at.join(name), field, value)?));
                }
            }
        }
        all.push(fields);
    }
    Ok(all)
}

fn of_scalar(step: &Running, at: &Path, field: &Field, value: &Scalar) -> Result<u64, End> {
    let value = match value {
        Scalar::Text(source) if source.contains("{{") => {
            eval(&step.case.scope, source).map_err(|error| End::Error(Problem::expression(at.clone(), &error)))?
        }
        Scalar::Text(source) => match source.parse::<Size>() {
            Ok(size) => Value::from(size.0),
            Err(_) => Value::from(source.as_str()),
        },
        other => other.value(),
    };
    number(&value, field).ok_or_else(|| {
        let words: Vec<&str> = field.means.words().map(|(word, _)| *word).collect();
        let problem = Problem::new(Code::OutOfRange, at.clone(), format!("`{value}` is not a number of 64 bits"));
        End::Error(if words.is_empty() {
            problem
        } else {
            problem.label(format!("expected a number, or of {}", words.join(", ")))
        })
    })
}

/// A value as the kernel gets it: negative numbers in two's complement, names as what they stand for, and a list of flags as all of them.
fn number(value: &Value, field: &Field) -> Option<u64> {
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str()?;
            field.word(text).or_else(|| text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()))
        }
        ValueKind::Seq => value.try_iter().ok()?.try_fold(0, |all, flag| Some(all | number(&flag, field)?)),
        _ if value.is_integer() => {
            let number = i128::try_from(value.clone()).ok()?;
            u64::try_from(number).ok().or_else(|| i64::try_from(number).ok().map(i64::cast_unsigned))
        }
        _ => None,
    }
}

/// Fields that the kernel wrote.
pub type Fields = [(&'static str, Decoded)];

/// Some of the fields, for expressions.
pub fn only<'f>(fields: &'f Fields, names: &'f [&str]) -> impl Iterator<Item = (&'static str, Value)> + 'f {
    fields.iter().filter(|(name, _)| names.contains(name)).map(|(name, decoded)| (*name, value(decoded)))
}

/// A field, for expressions.
pub fn field(fields: &Fields, name: &str) -> Value {
    fields.iter().find(|(known, _)| *known == name).map_or(Value::UNDEFINED, |(_, decoded)| value(decoded))
}

/// Whether a flag of the field is set.
pub fn has(fields: &Fields, name: &str, flag: &str) -> bool {
    let names = fields.iter().find(|(known, _)| *known == name).map(|(_, decoded)| decoded);
    matches!(names, Some(Decoded::Flags(names)) if names.iter().any(|name| *name == flag))
}

/// No fields.
pub fn nothing() -> Value {
    Value::from_pairs::<[(&str, Value); 0], _, _>([])
}

/// What the kernel wrote, for expressions.
pub fn value(decoded: &Decoded) -> Value {
    match decoded {
        Decoded::Number(number) => Value::from(*number),
        Decoded::Signed(number) => Value::from(*number),
        Decoded::Word(word) => Value::from(*word),
        Decoded::Flags(names) => names.iter().map(|name| Value::from(&**name)).collect(),
        Decoded::List(elements) => elements.iter().map(value).collect(),
        Decoded::Fields(fields) => {
            Value::from_pairs(fields.iter().map(|(name, decoded)| (name.to_string(), value(decoded))))
        }
    }
}
