// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names in an expression that stand for nothing: variables, attributes, filters and tests.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::error::ExpressionError;
use super::functions::{BUILTINS, FILTERS, TESTS};
use super::scan::{self, Chain};
use super::scope::Scope;
use crate::language::text::suggest::{self, shorten};

/// The first variable or attribute that is not there.
pub(super) fn undefined(scope: &Scope, expression: &str) -> Option<ExpressionError> {
    for Chain { words } in scan::chains(expression) {
        let (root, attributes) = words.split_first()?;
        let Some(value) = scope.get(root.text) else {
            if BUILTINS.contains(&root.text) {
                continue;
            }
            let known: Vec<&str> = scope.names().chain(BUILTINS).collect();
            let mut error = ExpressionError::new(format!("`{}` is not defined", shorten(root.text)), root.range());
            error.help.extend(suggest::did_you_mean(root.text, known));
            return Some(error);
        };
        let (mut value, mut owner) = (value.clone(), root.text);
        for word in attributes {
            let next = value.get_attr(word.text).unwrap_or(Value::UNDEFINED);
            if next.is_undefined() {
                let known: Vec<String> = match value.kind() {
                    ValueKind::Map => value.try_iter().map(|keys| keys.map(|key| key.to_string()).collect()),
                    _ => Ok(Vec::new()),
                }
                .unwrap_or_default();
                let mut error = ExpressionError::new(format!("`{owner}` has no `{}`", word.text), word.range());
                let known = known.iter().map(String::as_str);
                match suggest::did_you_mean(word.text, known.clone()) {
                    Some(sentence) => error.help.push(sentence),
                    None if known.len() > 0 => error.help.push(format!("it has {}", suggest::join(known, "and"))),
                    None => error.help.push(format!("`{owner}` is a plain value and has no parts")),
                }
                return Some(error);
            }
            (value, owner) = (next, word.text);
        }
    }
    None
}

/// The first filter or test that does not exist.
pub(super) fn misnamed(expression: &str) -> Option<ExpressionError> {
    let (filters, tests) = scan::filters_and_tests(expression);
    let filters = filters.into_iter().map(|word| ("filter", word, &FILTERS[..]));
    let tests = tests.into_iter().map(|word| ("test", word, &TESTS[..]));
    filters.chain(tests).find(|(_, word, known)| !known.contains(&word.text)).map(|(what, word, known)| {
        let mut error = ExpressionError::new(format!("there is no {what} `{}`", shorten(word.text)), word.range());
        match suggest::did_you_mean(word.text, known.iter().copied()) {
            Some(sentence) => error.help.push(sentence),
            None => error.help.push(format!("the {what}s are {}", suggest::join(known.iter().copied(), "and"))),
        }
        error
    })
}
