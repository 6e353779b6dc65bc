// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names in an expression that stand for nothing: variables, attributes, filters and tests.

use minijinja::{Value, machinery::ast::Expr, value::ValueKind};

use super::functions::{BUILTINS, FILTERS, TESTS};
use super::{error::ExpressionError, scope::Scope, tree::Tree};
use crate::language::text::suggest::{self, shorten};

/// The first variable or attribute that is not there.
pub(super) fn undefined(scope: &Scope, expression: &str) -> Option<ExpressionError> {
    let tree = Tree::parse(expression).ok()?;
    for chain in tree.chains() {
        let (&root, attributes) = chain.split_first()?;
        let Some(value) = scope.get(root) else {
            if BUILTINS.contains(&root) {
                continue;
            }
            let known: Vec<&str> = scope.names().chain(BUILTINS).collect();
            let mut error = ExpressionError::new(format!("`{}` is not defined", shorten(root)), tree.range(root));
            error.help.extend(suggest::did_you_mean(root, known));
            return Some(error);
        };
        let (mut value, mut owner) = (value.clone(), root);
        for &word in attributes {
            let next = value.get_attr(word).unwrap_or(Value::UNDEFINED);
            if next.is_undefined() {
                let known: Vec<String> = match value.kind() {
                    ValueKind::Map => value.try_iter().map(|keys| keys.map(|key| key.to_string()).collect()),
                    _ => Ok(Vec::new()),
                }
                .unwrap_or_default();
                let mut error = ExpressionError::new(format!("`{owner}` has no `{word}`"), tree.range(word));
                let known = known.iter().map(String::as_str);
                match suggest::did_you_mean(word, known.clone()) {
                    Some(sentence) => error.help.push(sentence),
                    None if known.len() > 0 => error.help.push(format!("it has {}", suggest::join(known, "and"))),
                    None => error.help.push(format!("`{owner}` is a plain value and has no parts")),
                }
                return Some(error);
            }
            (value, owner) = (next, word);
        }
    }
    None
}

/// The first filter or test that does not exist.
pub(super) fn misnamed(tree: &Tree) -> Option<ExpressionError> {
    let mut named = tree.find(|part| match part {
        Expr::Filter(filter) => Some(("filter", filter.name, &FILTERS[..])),
        Expr::Test(test) => Some(("test", test.name, &TESTS[..])),
        _ => None,
    });
    named.retain(|(_, name, known)| !known.contains(name));
    named.into_iter().min_by_key(|(_, name, _)| tree.range(name).start).map(|(what, name, known)| {
        let mut error = ExpressionError::new(format!("there is no {what} `{}`", shorten(name)), tree.range(name));
        match suggest::did_you_mean(name, known.iter().copied()) {
            Some(sentence) => error.help.push(sentence),
            None => error.help.push(format!("the {what}s are {}", suggest::join(known.iter().copied(), "and"))),
        }
        error
    })
}
