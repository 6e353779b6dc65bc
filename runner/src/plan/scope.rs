// SPDX-License-Identifier: MIT OR Apache-2.0
//! The combinations of a matrix, and the variables of each.

use crate::language::{Case, ExpressionError, Ordered, Scalar, Scenario, Scope, known_scope, variable};
use crate::model::BackendName;

/// Every combination of a matrix, the last value changing fastest; one empty combination without a matrix.
pub(crate) fn combinations(matrix: &Ordered<Vec<Scalar>>) -> Vec<Vec<(String, Scalar)>> {
    let mut all = vec![Vec::new()];
    for (name, values) in matrix.iter() {
        all = all
            .into_iter()
            .flat_map(|combination| {
                values.iter().map(move |value| {
                    let mut next = combination.clone();
                    next.push((name.to_owned(), value.clone()));
                    next
                })
            })
            .collect();
    }
    all
}

/// What the expressions of a case know before the run. An error names the variable whose expression failed.
pub(crate) fn static_scope(
    scenario: &Scenario,
    case: &Case,
    command_line: &[(String, Scalar)],
    backend: BackendName,
    combination: &[(String, Scalar)],
) -> Result<Scope, (String, ExpressionError)> {
    let combination = combination.iter().map(|(name, value)| (name.as_str(), value));
    let (scope, mut wrong) = known_scope(scenario, case, command_line, backend, combination);
    if wrong.is_empty() { Ok(scope) } else { Err(wrong.swap_remove(0)) }
}

/// Sets the variables that had to wait for the device. One that fails stays unknown, and whatever uses it says so.
pub(crate) fn late_variables(scope: &mut Scope, scenario: &Scenario, case: &Case) {
    for (name, value) in scenario.vars.iter().chain(case.vars.iter()) {
        if scope.get(name).is_none() {
            let _ = variable(scope, name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_matrix_changes_fastest() {
        let matrix = Ordered(vec![
            ("a".to_owned(), vec![Scalar::Integer(1), Scalar::Integer(2)]),
            ("b".to_owned(), vec![Scalar::Text("x".into()), Scalar::Text("y".into())]),
        ]);
        let names: Vec<String> = combinations(&matrix)
            .iter()
            .map(|c| c.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
            .collect();
        assert_eq!(names, ["a=1,b=x", "a=1,b=y", "a=2,b=x", "a=2,b=y"]);
        assert_eq!(combinations(&Ordered::default()), [vec![]]);
    }
}
