// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an expression depends on before the run, so that it is evaluated once for each value that makes a difference, and not once for
//! every case of its matrix on every backend.

use std::collections::BTreeMap;

use crate::language::expression::eval::Name;
use crate::language::{Case, Ordered, Scalar, Scenario, undeclared};

/// The names that are known before the run, each with what it depends on.
pub(super) struct Inputs<'a>(BTreeMap<&'a str, Columns>);

/// The backend, and columns of the matrix by their position.
#[derive(Clone, Default)]
pub(super) struct Columns {
    backend: bool,
    matrix: Vec<usize>,
}

impl<'a> Inputs<'a> {
    pub fn of(scenario: &'a Scenario, case: &'a Case, command_line: &'a [(String, Scalar)]) -> Inputs<'a> {
        let mut inputs = Inputs(BTreeMap::from([("backend", Columns { backend: true, matrix: Vec::new() })]));
        for (name, value) in scenario.vars.iter() {
            let value = command_line.iter().find(|(given, _)| given == name).map_or(value, |(_, value)| value);
            inputs.variable(name, value);
        }
        for (column, name) in case.matrix.keys().enumerate() {
            inputs.0.insert(name, Columns { backend: false, matrix: vec![column] });
        }
        for (name, value) in case.vars.iter() {
            inputs.variable(name, value);
        }
        inputs
    }

    fn variable(&mut self, name: &'a str, value: &Scalar) {
        let columns = match value {
            Scalar::Text(source) if source.contains("{{") => self.of_names(&undeclared(source).unwrap_or_default()),
            _ => Columns::default(),
        };
        self.0.insert(name, columns);
    }

    /// Whether a name may be known before the run.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What the names depend on together.
    pub fn of_names(&self, names: &[Name]) -> Columns {
        let mut all = Columns::default();
        names.iter().filter_map(|name| self.0.get(name.name.as_str())).for_each(|columns| all.add(columns));
        all
    }

    /// What any variable depends on.
    pub fn of_variables(&self, scenario: &Scenario, case: &Case) -> Columns {
        let mut all = Columns::default();
        let names = scenario.vars.keys().chain(case.vars.keys());
        names.filter_map(|name| self.0.get(name)).for_each(|columns| all.add(columns));
        all
    }
}

impl Columns {
    fn add(&mut self, other: &Columns) {
        self.backend |= other.backend;
        self.matrix.extend(other.matrix.iter().filter(|column| !self.matrix.contains(column)).collect::<Vec<_>>());
    }

    /// Whether what depends on these has not had the same values in an earlier row, or on an earlier backend.
    pub fn are_new(&self, row: &Row, backend: usize) -> bool {
        let is_first = |(column, value): (usize, &usize)| *value == 0 || self.matrix.contains(&column);
        (self.backend || backend == 0) && row.0.iter().enumerate().all(is_first)
    }
}

/// One combination of a matrix: for each of its columns the position of the value.
#[derive(Clone)]
pub(super) struct Row(Vec<usize>);

impl Row {
    /// All of them, the last column changing fastest.
    pub fn all(matrix: &Ordered<Vec<Scalar>>) -> impl Iterator<Item = Row> {
        let lengths: Vec<usize> = matrix.iter().map(|(_, values)| values.len()).collect();
        let first = (!lengths.contains(&0)).then(|| Row(vec![0; lengths.len()]));
        std::iter::successors(first, move |row| {
            let mut next = row.clone();
            for (value, length) in next.0.iter_mut().zip(&lengths).rev() {
                *value += 1;
                if *value < *length {
                    return Some(next);
                }
                *value = 0;
            }
            None
        })
    }

    /// The names of the matrix with their values in this combination.
    pub fn values<'m>(&'m self, matrix: &'m Ordered<Vec<Scalar>>) -> impl Iterator<Item = (&'m str, &'m Scalar)> {
        self.0.iter().zip(matrix.iter()).map(|(index, (name, values))| (name, &values[*index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_that_makes_a_difference_is_new_once() {
        let values = |count: i128| (0..count).map(Scalar::Integer).collect::<Vec<_>>();
        let matrix = Ordered(vec![("a".to_owned(), values(2)), ("b".to_owned(), values(3))]);
        let rows: Vec<Row> = Row::all(&matrix).collect();
        assert_eq!(rows.len(), 6);
        let new = |columns: Columns| {
            rows.iter()
                .flat_map(|row| (0..5).map(move |at| (row, at)))
                .filter(|(row, at)| columns.are_new(row, *at))
                .count()
        };
        assert_eq!(new(Columns::default()), 1);
        assert_eq!(new(Columns { backend: true, matrix: vec![] }), 5);
        assert_eq!(new(Columns { backend: false, matrix: vec![1] }), 3);
        assert_eq!(new(Columns { backend: true, matrix: vec![0, 1] }), 30);
        assert_eq!(Row::all(&Ordered::default()).count(), 1);
        assert_eq!(Row::all(&Ordered(vec![("a".to_owned(), vec![])])).count(), 0);
    }
}
