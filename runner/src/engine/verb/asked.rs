// SPDX-License-Identifier: MIT OR Apache-2.0
//! Steps that are asked (`--ask`): what each came to is noted, and the case goes on.

use serde_yaml::Value;

use crate::{
    engine::{
        answers::Answers,
        context::{Context, Findings, Frame},
        failure::End,
    },
    event::{Answer, Answered},
    language::{Path, Segment, Source, Target, verb::Expects},
    model::code::Code,
    plan::PlannedStep,
    uapi::signal,
};

/// How much a case had found before a step.
#[derive(Clone, Copy)]
pub struct Mark {
    answers: u32,
    unchecked: usize,
}

impl Findings {
    /// What is found by now.
    pub fn mark(&self) -> Mark {
        Mark { answers: self.answers.as_ref().map_or(0, Answers::times), unchecked: self.unchecked.len() }
    }
}

impl Context<'_> {
    /// Whether a step is asked and not judged. The steps of a procedure are judged: the call is what is asked.
    pub fn asks(&self, frame: &Frame) -> bool {
        self.found.answers.is_some() && frame.pack.is_none()
    }

    /// Notes what a step came to.
    pub fn answered(&mut self, planned: &PlannedStep, frame: &Frame, answer: Answered, expected: bool) {
        let Some(answers) = &mut self.found.answers else { return };
        let place = frame.source.locate(&planned.at, Target::Value);
        let at = format!("{}:{}:{}", frame.source.name, place.line, place.column);
        let (key, written) = expectation(planned);
        let line = written.map(|path| frame.source.locate(&path, Target::Key).line);
        let line = line.and_then(|line| u32::try_from(line).ok());
        if let Some(name) = &planned.step.save {
            answers.saved(&name.0, place.line, &answer);
        }
        let read = answers.take_read();
        answers.note(Answer {
            at,
            step: in_one_line(planned, frame.source),
            answer,
            read,
            times: 1,
            expected,
            key,
            line,
        });
    }

    /// Notes the end of a step that is asked. The case goes on unless it was interrupted.
    pub fn settle(
        &mut self,
        planned: &PlannedStep,
        frame: &Frame,
        done: Result<(), End>,
        before: Mark,
    ) -> Result<(), End> {
        if signal::interrupted().is_some() {
            return done;
        }
        let about = planned.step.verb.about();
        let is_call = matches!(about.expects, Expects::Outcome | Expects::Bytes);
        let holds_steps = !planned.steps.is_empty() || !planned.branches.is_empty();
        let now = self.found.mark();
        let (answer, expected) = match done {
            Ok(()) if is_call || holds_steps || !about.asserts || now.answers > before.answers => return Ok(()),
            Ok(()) => match self.found.unchecked.get(before.unchecked) {
                Some(unchecked) => (Answered::Unchecked(unchecked.reason.clone()), true),
                None => (Answered::Ok, true),
            },
            Err(End::Failed(problem)) if matches!(problem.what.code, Code::Leaves | Code::Reported) => {
                return self.goes_on(Err(End::Failed(problem)));
            }
            Err(End::Failed(problem)) if problem.what.code == Code::Check => {
                // The values are the answer.
                let values = problem.what.help.join(", ");
                let title = problem.what.title;
                (Answered::Differs(if values.is_empty() { title } else { format!("{title}: {values}") }), false)
            }
            Err(End::Failed(problem)) => {
                let title = match &problem.source {
                    // A step of a procedure, which is in another file.
                    Some(source) => format!("{}, at {}", problem.what.title, problem.place(source)),
                    None => problem.what.title,
                };
                (Answered::Differs(title), false)
            }
            Err(End::Error(problem)) if !matches!(problem.what.code, Code::Interrupted | Code::TooManySteps) => {
                let title = problem.what.title.clone();
                let because = self.found.answers.as_ref().and_then(|answers| answers.why_missing(&title));
                let reason = because.map_or_else(|| title.clone(), |why| format!("{title}: {why}"));
                if self.found.answers.as_ref().is_some_and(Answers::all_succeeded) {
                    self.goes_on(Err(End::Error(problem)))?;
                }
                (Answered::NotRun(reason), false)
            }
            Err(end) => return Err(end),
        };
        if !expected && !planned.step.verb.procedures().is_empty() {
            self.ledger.lose("a procedure failed, and what it has mapped is not known");
        }
        self.answered(planned, frame, answer, expected);
        Ok(())
    }

    /// Lets a case that is asked go on after `found`, which decides its verdict at its end.
    pub fn goes_on(&mut self, found: Result<(), End>) -> Result<(), End> {
        match (found, &mut self.found.answers) {
            (Err(end @ (End::Failed(_) | End::Error(_))), Some(answers)) => {
                if matches!(end, End::Failed(_)) {
                    // What is wrong stays wrong, and would be found after each step.
                    self.ledger.lose("the page table and the mappings differed before");
                }
                answers.decide(end);
                Ok(())
            }
            (found, _) => found,
        }
    }
}

/// The key that says what is expected of a step, and its path if it is written.
fn expectation(planned: &PlannedStep) -> (Option<String>, Option<Path>) {
    let PlannedStep { step, at, outcome_at, .. } = planned;
    if matches!(step.verb.about().expects, Expects::Nothing(_)) {
        return (None, None);
    }
    if matches!(at.last(), Some(Segment::Index(_))) {
        return (Some("expect".to_owned()), step.expect.is_some().then(|| at.join("expect")));
    }
    // The short form.
    let name = step.verb.name();
    let written = at.parent().map(|case| case.join("expect").join(name)).filter(|path| outcome_at.starts_with(path));
    (Some(name.to_owned()), written)
}

/// A step in one line, without what is expected of it: as it is written, if that is one line.
fn in_one_line(planned: &PlannedStep, source: &Source) -> String {
    let name = planned.step.verb.name();
    let path = planned.at.join(name);
    let node = source.tree().ok().and_then(|root| root.at(&path));
    if let Some(text) = node.and_then(|node| source.text.get(node.extent.range())).map(str::trim) {
        let is_beside = source.locate(&path, Target::Key).line == source.locate(&path, Target::Value).line;
        if text.is_empty() {
            return name.to_owned();
        }
        if is_beside && !text.contains('\n') && !text.starts_with(['&', '*']) {
            return format!("{name}: {text}");
        }
    }
    let keys = match serde_yaml::to_value(&planned.step) {
        Ok(Value::Mapping(mut keys)) => keys.remove(name).unwrap_or_default(),
        _ => Value::Null,
    };
    match flow(&keys) {
        keys if keys.is_empty() => name.to_owned(),
        keys => format!("{name}: {keys}"),
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Sequence(elements) => format!("[{}]", elements.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) if entries.is_empty() => String::new(),
        Value::Mapping(entries) => {
            let entry = |(key, value): (&Value, &Value)| format!("{}: {}", flow(key), flow(value));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Tagged(tagged) => flow(&tagged.value),
    }
}
