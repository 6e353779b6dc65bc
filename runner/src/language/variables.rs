// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values of variables, as far as they are known before the run.

use super::{
    Case, ExpressionError, Scalar, Scenario, Scope, Template, eval, expression::scan, is_computed, undeclared,
};
use crate::model::BackendName;

/// What the expressions of a case know before the run: the backend, the matrix and the variables that need no more than these. Beside it
/// are the variables whose expressions failed.
pub(crate) fn known_scope<'a>(
    scenario: &Scenario,
    case: &Case,
    command_line: &[(String, Scalar)],
    backend: BackendName,
    combination: impl Iterator<Item = (&'a str, &'a Scalar)>,
) -> (Scope, Vec<(String, ExpressionError)>) {
    let mut scope = Scope::new();
    let mut wrong = Vec::new();
    scope.set("backend", backend.as_str());
    for (name, value) in scenario.vars.iter() {
        // One of another kind is refused when the selection is loaded.
        let given = command_line.iter().find(|(given, _)| given == name).map(|(_, given)| given);
        let given = given.map(|given| Scalar::in_place_of(value, &given.to_string()).unwrap_or_else(|| value.clone()));
        wrong.extend(variable(&mut scope, name, given.as_ref().unwrap_or(value)).err());
    }
    // A mistake of its own, and no value.
    for (name, value) in combination.filter(|(_, value)| is_computed(value).is_none()) {
        scope.set(name, value.value());
    }
    for (name, value) in case.vars.iter() {
        wrong.extend(variable(&mut scope, name, value).err());
    }
    (scope, wrong)
}

/// Sets a variable, unless its expression needs a name that has no value yet.
pub(crate) fn variable(scope: &mut Scope, name: &str, value: &Scalar) -> Result<(), (String, ExpressionError)> {
    let value = match value {
        Scalar::Text(source) if source.contains("{{") => {
            let blame = |error| (name.to_owned(), error);
            if !undeclared(source).map_err(blame)?.iter().all(|needed| scope.get(&needed.name).is_some()) {
                return Ok(());
            }
            computed(scope, source).map_err(blame)?
        }
        value => value.value(),
    };
    scope.set(name, value);
    Ok(())
}

/// The value of a text with expressions: that of the expression if it is one as a whole, and a text otherwise.
pub(crate) fn computed(scope: &Scope, source: &str) -> Result<minijinja::Value, ExpressionError> {
    match scan::whole(source) {
        Some(_) => eval(scope, source),
        None => Template::new(source)?.render(scope).map(minijinja::Value::from),
    }
}
