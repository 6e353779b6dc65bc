// SPDX-License-Identifier: MIT OR Apache-2.0
//! Diagnostics for editors and bots: one JSON object each.

use serde::Serialize;

use super::diagnostic::{Diagnostic, Note};
use super::render::in_order;
use super::source::{Location, Source};
use crate::model::code::Code;

/// One diagnostic as `--message-format json` writes it.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// Kebab-case, such as `unknown-key`: what `vfiospec explain` explains.
    pub code: Code,
    /// `error`: there are no warnings.
    pub severity: &'static str,
    /// What is wrong, in one line.
    pub message: &'a str,
    /// The file, as the user named it.
    pub file: &'a str,
    /// Where in the file; `null` where the file as a whole is meant.
    pub span: Option<Span>,
    /// What was expected there; may be empty.
    pub label: &'a str,
    /// What to do, one sentence each.
    pub help: Vec<&'a str>,
    /// Other places that belong to it.
    pub notes: Vec<NoteMessage<'a>>,
}

/// A second place.
#[derive(Debug, Serialize)]
pub struct NoteMessage<'a> {
    /// What is said of it.
    pub message: &'a str,
    /// Where it is.
    pub span: Span,
}

/// A part of one line.
#[derive(Debug, Serialize)]
pub struct Span {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The column behind the last character.
    pub end_column: usize,
    /// The first byte in the file, from 0.
    pub start: usize,
    /// The byte behind the last one.
    pub end: usize,
}

impl Span {
    fn of(source: &Source, location: &Location) -> Span {
        let Location { line, column, span } = location.clone();
        let length = source.text.get(span.clone()).map_or(0, |text| text.chars().count());
        Span { line, column, end_column: column + length, start: span.start, end: span.end }
    }
}

/// All diagnostics of one file as lines of JSON, by their place in it.
pub fn json_lines(source: &Source, diagnostics: &[Diagnostic]) -> String {
    let mut lines = String::new();
    for (location, diagnostic) in in_order(source, diagnostics) {
        let note = |note: &Note| Span::of(source, &source.locate(&note.path, note.target));
        let message = Message {
            code: diagnostic.code,
            severity: "error",
            message: &diagnostic.title,
            file: &source.name,
            span: Some(Span::of(source, &location)),
            label: &diagnostic.label,
            help: diagnostic.help.iter().map(String::as_str).collect(),
            notes: diagnostic.notes.iter().map(|n| NoteMessage { message: &n.label, span: note(n) }).collect(),
        };
        lines += &serde_json::to_string(&message).expect("a message has a JSON form");
        lines.push('\n');
    }
    lines
}
