//! The steps that hold other steps.

use minijinja::Value;

use super::{
    case::{Execution, Frame},
    failure::{End, Problem},
};
use crate::model::code::Code;
use crate::{
    language::{MOST_STEPS, Path, Repeat},
    plan::PlannedStep,
};

impl<'a> Execution<'a> {
    /// Counts a step: a case comes to an end, whatever its expressions say.
    pub fn count_step(&mut self, at: &Path) -> Result<(), End> {
        self.steps_run += 1;
        match self.steps_run > MOST_STEPS {
            true => {
                let title = format!("the case has run {MOST_STEPS} steps, which is the most that one may");
                Err(End::Error(Problem::new(Code::TooManySteps, at.clone(), title)))
            }
            false => Ok(()),
        }
    }

    /// Runs the steps that a `repeat` holds.
    pub fn repeat(
        &mut self,
        repeat: &Repeat,
        planned: &PlannedStep,
        frame: &mut Frame<'_, 'a>,
        say: &mut dyn FnMut(String),
    ) -> Result<(), End> {
        let at = planned.at.join("repeat").join("times");
        let times = self.size(&repeat.times, &at)?;
        if times == 0 {
            let problem = Problem::new(Code::OutOfRange, at, "0 rounds do nothing and check nothing");
            return Err(End::Error(problem.label("expected at least 1")));
        }
        for round in 0..times {
            if let Some(name) = &repeat.r#as {
                self.scope.set(&name.0, Value::from(round));
            }
            self.sequence(&planned.steps, frame, say).map_err(|end| {
                let within = |problem: Box<Problem>| problem.help(format!("in round {} of {times}", round + 1));
                match end {
                    End::Failed(problem) => End::Failed(within(problem)),
                    End::Error(problem) => End::Error(within(problem)),
                    End::Skipped(reason) => End::Skipped(reason),
                }
            })?;
        }
        Ok(())
    }
}
