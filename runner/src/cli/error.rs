// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a verb ends without doing what it was asked for: printed in one place, for people or for programs.

use std::{collections::HashSet, io};

use clap::ValueEnum;

use crate::language::{Diagnostic, Message, json_lines, render};
use crate::model::{Exit, code::Code, count};
use crate::session::{Failure, print};
use crate::suite::{self, Problem};
use crate::{lab::LabError, plan::Collision, report::terminal::Terminal, sanitize};

/// Whom messages are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// People: the line, the caret, what was expected, what to do
    #[default]
    Human,
    /// Editors and bots: an object a line on the standard output, described in scenarios/README.md
    Json,
}

/// Why a verb ends early.
#[derive(Debug)]
pub enum Error {
    /// The scenarios are wrong.
    Scenarios(suite::Error),
    /// Something else is.
    Failed(Failure),
    /// Two things are.
    Both(Failure, suite::Error),
}

/// The outcome of the second; if both fail, the error has both.
pub fn both<T>(first: Result<(), Failure>, second: Result<T, suite::Error>) -> Result<T, Error> {
    match (first, second) {
        (Ok(()), second) => second.map_err(Error::Scenarios),
        (Err(failure), Ok(_)) => Err(Error::Failed(failure)),
        (Err(failure), Err(wrong)) => Err(Error::Both(failure, wrong)),
    }
}

impl Error {
    pub fn exit(&self) -> Exit {
        match self {
            Error::Scenarios(_) => Exit::Usage,
            Error::Failed(failure) | Error::Both(failure, _) => failure.exit,
        }
    }

    pub fn print(&self, format: MessageFormat) {
        let (failure, wrong) = match self {
            Error::Scenarios(wrong) => (None, Some(wrong)),
            Error::Failed(failure) => (Some(failure), None),
            Error::Both(failure, wrong) => (Some(failure), Some(wrong)),
        };
        match (wrong, format) {
            (Some(wrong), MessageFormat::Human) => for_people(wrong),
            (Some(wrong), MessageFormat::Json) => drop(print(&for_programs(wrong))),
            (None, _) => {}
        }
        failure.into_iter().for_each(|failure| eprintln!("vfiospec: {failure}"));
    }
}

fn for_people(wrong: &suite::Error) {
    for Problem { message, help, .. } in &wrong.problems {
        eprintln!("vfiospec: {message}");
        help.iter().for_each(|help| eprintln!("  help: {help}"));
    }
    let color = Terminal::detect(&io::stderr()).color;
    let mut said = HashSet::new();
    let mut left_out = 0;
    for invalid in &wrong.invalid {
        // Each title once: a pack that was not named is missing at each call.
        let is_new = |found: &&Diagnostic| found.code != Code::UnknownProcedure || said.insert(found.title.clone());
        let shown: Vec<Diagnostic> = invalid.diagnostics.iter().filter(is_new).cloned().collect();
        left_out += invalid.diagnostics.len() - shown.len();
        if !shown.is_empty() {
            eprintln!("{}", render(&invalid.source, &shown, color));
        }
    }
    if left_out > 0 {
        eprintln!("{} more for procedures that were named above", count(left_out, "error"));
    }
    let errors: usize = wrong.invalid.iter().map(|invalid| invalid.diagnostics.len()).sum();
    if errors > 0 {
        eprintln!("{} in {} of {}", count(errors, "error"), wrong.invalid.len(), count(wrong.files, "file"));
    }
}

fn for_programs(wrong: &suite::Error) -> String {
    let problems = wrong.problems.iter().map(|Problem { code, file, message, help }| {
        let message = &message.replace("\n  ", " ");
        let help = help.iter().map(String::as_str).collect();
        let (severity, span, label, notes) = ("error", None, "", vec![]);
        let message = Message { code: *code, severity, message, file, span, label, help, notes };
        serde_json::to_string(&message).expect("a message has a JSON form") + "\n"
    });
    let diagnostics = wrong.invalid.iter().map(|invalid| json_lines(&invalid.source, &invalid.diagnostics));
    problems.chain(diagnostics).collect()
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Failed(failure)
    }
}

impl From<LabError> for Error {
    fn from(error: LabError) -> Error {
        Error::Failed(error.into())
    }
}

impl From<suite::Error> for Error {
    fn from(wrong: suite::Error) -> Error {
        Error::Scenarios(wrong)
    }
}

/// Cases with the same id; on several backends two collide several times, and are the same two.
impl From<Vec<Collision>> for Error {
    fn from(mut collisions: Vec<Collision>) -> Error {
        collisions.sort_by(|a, b| (&a.first, &a.second).cmp(&(&b.first, &b.second)));
        collisions.dedup_by(|a, b| (&a.first, &a.second) == (&b.first, &b.second));
        let problem = |Collision { id, first, second }: Collision| {
            let [id, first, second] = [id, first, second].map(|text| sanitize::line(&text));
            let file = second.rsplit_once(':').map_or(second.as_str(), |(file, _)| file).to_owned();
            let message = format!("two cases are called {id}\n  at {first} and at {second}");
            let help = Some("reports know a case by this name; rename the case, the scenario or its folder".to_owned());
            Problem { code: Code::SameCase, file, message, help }
        };
        let problems = collisions.into_iter().map(problem).collect();
        Error::Scenarios(suite::Error { problems, ..suite::Error::default() })
    }
}
