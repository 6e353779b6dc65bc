// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the steps of a case come to that is only asked (`--ask`). Such a case goes on after a step that gave something else than it
//! expects. What harms the machine still decides its verdict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::failure::{End, Problem};
use crate::{
    event::{Answer, Answered},
    language::Source,
    model::Errno,
};

/// The number of different answers of one step that are kept: a `repeat` has many rounds.
const MOST_DIFFERENT: usize = 8;

/// What the steps of a case came to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answers {
    list: Vec<Answer>,
    /// The names under which nothing was saved, each with the reason.
    missing: BTreeMap<String, String>,
    /// What the step that is carried out has read.
    read: Option<String>,
    /// What decides the verdict although the case went on.
    grave: Option<End>,
}

impl Answers {
    /// The answers in the order of their steps.
    pub fn into_list(self) -> Vec<Answer> {
        self.list
    }

    /// The end of a case whose steps have all had their turn.
    pub fn end(&mut self) -> Result<(), End> {
        self.grave.take().map_or(Ok(()), Err)
    }

    /// Lets `end` decide the verdict, unless something as strong did before.
    pub fn decide(&mut self, end: End) {
        let is_stronger = matches!(self.grave, None | Some(End::Error(_))) && matches!(end, End::Failed(_));
        if self.grave.is_none() || is_stronger {
            self.grave = Some(end);
        }
    }

    /// Keeps what a step read for its answer.
    pub fn reads(&mut self, value: String) {
        self.read = Some(value);
    }

    /// What the step has read, if it read something.
    pub fn take_read(&mut self) -> Option<String> {
        self.read.take()
    }

    /// Notes whether the step in this line, which saves its result under a name, has one.
    pub fn saved(&mut self, name: &str, line: usize, answer: &Answered) {
        let why = match answer {
            Answered::Ok | Answered::Bytes(_) => return drop(self.missing.remove(name)),
            Answered::Fails(errno) => format!("the step in line {line} failed with {errno}"),
            Answered::Differs(_) | Answered::Unchecked(_) | Answered::NotRun(_) => {
                format!("the step in line {line} did not make it")
            }
        };
        self.missing.insert(name.to_owned(), why);
    }

    /// Why the first name that a message mentions has no value.
    pub fn why_missing(&self, message: &str) -> Option<&str> {
        let mentioned = |name: &str| message.contains(&format!("`{name}`"));
        self.missing.iter().find(|(name, _)| mentioned(name)).map(|(_, why)| why.as_str())
    }

    /// Adds what a thread was answered.
    pub fn take_over(&mut self, thread: Answers) {
        self.missing.extend(thread.missing);
        thread.list.into_iter().for_each(|answer| self.note(answer));
        if let Some(end) = thread.grave {
            self.decide(end);
        }
    }

    /// Adds that the IOMMU reported no fault where the case expects one.
    pub fn missing(&mut self, missing: &Problem, source: &Source) {
        self.note(Answer {
            at: missing.place(source),
            step: "kernel_log: { expect: iommu_fault }".to_owned(),
            answer: Answered::Differs(missing.what.title.clone()),
            read: None,
            times: 1,
            expected: false,
            key: None,
            line: None,
        });
    }

    /// Adds an answer, or counts it if the step had the same one in another round.
    pub fn note(&mut self, new: Answer) {
        let is_of_step = |answer: &&mut Answer| answer.at == new.at && answer.step == new.step;
        let of_step = self.list.iter_mut().filter(is_of_step).count();
        let same = self
            .list
            .iter_mut()
            .filter(is_of_step)
            .find(|answer| (&answer.answer, &answer.read) == (&new.answer, &new.read));
        match same {
            Some(same) => {
                same.times = same.times.saturating_add(new.times);
                same.expected &= new.expected;
            }
            None if of_step < MOST_DIFFERENT => {
                let behind = self.list.iter().rposition(|answer| answer.at == new.at && answer.step == new.step);
                self.list.insert(behind.map_or(self.list.len(), |last| last + 1), new);
            }
            None => {}
        }
    }

    /// How many answers there are, with those of every round.
    pub fn times(&self) -> u32 {
        self.list.iter().fold(0, |sum, answer| sum.saturating_add(answer.times))
    }

    /// Whether every step so far did what it was to do, so that nothing is missing because of one that did not.
    pub fn all_succeeded(&self) -> bool {
        self.list.iter().all(|answer| matches!(answer.answer, Answered::Ok | Answered::Bytes(_)))
    }
}

impl From<Result<Option<u64>, Errno>> for Answered {
    fn from(got: Result<Option<u64>, Errno>) -> Answered {
        match got {
            Ok(None) => Answered::Ok,
            Ok(Some(bytes)) => Answered::Bytes(bytes),
            Err(errno) => Answered::Fails(errno.name().map_or_else(|| format!("errno {}", errno.0), str::to_owned)),
        }
    }
}
