// SPDX-License-Identifier: MIT OR Apache-2.0
use super::prelude::*;

impl Act for Repeat {
    fn act(&self, step: &mut Running) -> Result<(), End> {
        let Repeat { times, r#as, steps: _ } = self;
        let (times, steps) = (step.size("times", times)?, &step.planned.steps);
        if times == 0 {
            return Err(step.out_of_range("times", "0 rounds do nothing and check nothing", "expected at least 1"));
        }
        for round in 0..times {
            if let Some(name) = r#as {
                step.case.scope.set(&name.0, Value::from(round));
            }
            step.run(steps).map_err(|end| end.help(format!("in round {} of {times}", round + 1)))?;
        }
        Ok(())
    }
}
