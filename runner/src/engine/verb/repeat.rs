// SPDX-License-Identifier: MIT OR Apache-2.0
use minijinja::Value;

use super::{Act, Running, sequence};
use crate::{
    engine::failure::{End, Problem},
    language::verb::Repeat,
    model::code::Code,
};

impl Act for Repeat {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Repeat { times, r#as, steps: _ } = self;
        let times = step.size("times", times)?;
        if times == 0 {
            let problem = Problem::new(Code::OutOfRange, step.at("times"), "0 rounds do nothing and check nothing");
            return Err(End::Error(problem.label("expected at least 1")));
        }
        for round in 0..times {
            if let Some(name) = r#as {
                step.case.scope.set(&name.0, Value::from(round));
            }
            sequence(step.case, &step.planned.steps, step.frame, step.say)
                .map_err(|end| end.help(format!("in round {} of {times}", round + 1)))?;
        }
        Ok(())
    }
}
