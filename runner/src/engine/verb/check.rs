// SPDX-License-Identifier: MIT OR Apache-2.0
use std::collections::BTreeSet;

use super::prelude::*;
use crate::{
    engine::words::readable,
    language::{Dynamic, undeclared},
};

impl Act for Check {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Check(expression) = self;
        step.case.found.checks += 1;
        let (scope, at) = (&step.case.scope, step.at(""));
        let truth = expression.resolve(scope);
        if truth.map_err(|error| End::Error(Problem::expression(at.clone(), &error)))? {
            return Ok(());
        }
        let mut problem = Problem::new(Code::Check, at, "the check is not true").label("expected true");
        if let Dynamic::Expression(source) = expression {
            let names = undeclared(source).unwrap_or_default();
            for name in names.iter().map(|name| name.name.as_str()).collect::<BTreeSet<_>>() {
                if let Some(value) = scope.get(name) {
                    problem = problem.help(format!("{name} is {}", readable(value)));
                }
            }
        }
        Err(End::Failed(problem))
    }
}
