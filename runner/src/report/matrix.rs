// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table that the terminal and the page show: a row for each case, a column for each backend.

use std::{collections::HashMap, sync::Arc};

use crate::model::Verdict;
use crate::report::run::{Case, Run, Suite, backend_rank};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// Each device has columns of its own.
    InColumns,
    /// Each device has groups of its own, and the table stays narrow.
    InGroups,
}

/// The cases of a run by scenario and backend.
pub struct Matrix {
    /// Environments stay together, and devices within them. Backends have a fixed order.
    pub columns: Vec<Column>,
    /// In the order of the plan.
    pub groups: Vec<Group>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Column {
    /// The index in [`Run::environments`].
    pub environment: usize,
    pub device: Option<Arc<str>>,
    pub backend: Arc<str>,
}

pub struct Group {
    /// The pack and the scenario; the device too, if devices stand in groups.
    pub title: String,
    /// In the order of the plan.
    pub rows: Vec<Row>,
}

pub struct Row {
    pub name: Arc<str>,
    /// For each column the index in [`Run::cases`]; `None` if the case is not planned there.
    pub cases: Vec<Option<u32>>,
}

impl Matrix {
    pub fn of(run: &Run, devices: Devices, environment: Option<usize>) -> Matrix {
        let column_of = |suite: &Suite| Column {
            environment: suite.environment,
            device: (devices == Devices::InColumns).then(|| suite.device.clone()),
            backend: suite.backend.clone(),
        };
        let drawn = drawn(run);
        let is_here = |at: usize| drawn[at] && environment.is_none_or(|only| only == run.suites[at].environment);
        let mut columns: Vec<Column> = Vec::new();
        for suite in run.suites.iter().enumerate().filter_map(|(at, suite)| is_here(at).then_some(suite)) {
            let column = column_of(suite);
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let seen: Vec<_> = columns.iter().map(|column| column.device.clone()).collect();
        columns.sort_by_key(|Column { environment, device, backend }| {
            (*environment, seen.iter().position(|known| known == device), backend_rank(backend))
        });
        let place = |suite| columns.iter().position(|column| *column == column_of(suite));
        let places = run.suites.iter().enumerate().map(|(at, suite)| is_here(at).then(|| place(suite)).flatten());
        let places: Vec<Option<usize>> = places.collect();

        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = HashMap::new();
        let mut row_of = HashMap::new();
        for (number, case) in (0..).zip(&run.cases) {
            let Some(column) = places[case.suite] else { continue };
            let Suite { pack, scenario, device, .. } = run.suite(case);
            let device = (devices == Devices::InGroups).then_some(device);
            let group = *group_of.entry((pack, scenario, device)).or_insert_with(|| {
                let on = device.map(|device| format!(" on {device}")).unwrap_or_default();
                groups.push(Group { title: format!("{pack}.{scenario}{on}"), rows: Vec::new() });
                groups.len() - 1
            });
            let rows = &mut groups[group].rows;
            let row = *row_of.entry((group, &case.name)).or_insert_with(|| {
                rows.push(Row { name: case.name.clone(), cases: vec![None; columns.len()] });
                rows.len() - 1
            });
            rows[row].cases[column] = Some(number);
        }
        Matrix { columns, groups }
    }

    /// Whether the column at this index is the first one of its device and environment.
    pub fn begins_device(&self, at: usize) -> bool {
        let of = |column: &Column| (column.environment, column.device.clone());
        at.checked_sub(1).is_none_or(|before| of(&self.columns[before]) != of(&self.columns[at]))
    }

    pub fn rows(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len()).sum()
    }
}

/// Which suites are drawn: not those for a device that was not there, of which nothing ran. The lists of skips have their cases. Where
/// nothing else is left, they are drawn.
fn drawn(run: &Run) -> Vec<bool> {
    let mut drawn: Vec<bool> = run.suites.iter().map(|suite| !is_absent(run, suite)).collect();
    run.cases.iter().filter(|case| case.verdict != Verdict::Skipped).for_each(|case| drawn[case.suite] = true);
    if drawn.contains(&true) { drawn } else { vec![true; drawn.len()] }
}

/// Whether no run in the environment of a suite had its device.
fn is_absent(run: &Run, suite: &Suite) -> bool {
    let devices = || run.environments[suite.environment].parts.iter().flat_map(|part| &part.started.devices);
    devices().next().is_some() && devices().all(|device| *device.name != *suite.device)
}

impl Row {
    pub fn cells<'a>(&'a self, run: &'a Run) -> impl Iterator<Item = Option<&'a Case>> {
        self.cases.iter().map(|case| case.map(|number| &run.cases[number as usize]))
    }
}
