//! How what is wrong with scenarios is told: to people on the standard error stream, or to programs on standard output.

use std::io;

use clap::ValueEnum;

use super::output::print;
use crate::{
    language::{Diagnostic, Message, Severity, Source, json_lines, render},
    model::code::Code,
    report::terminal::Terminal,
};

/// Whom messages are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// People: the line, the caret, what was expected, what to do
    #[default]
    Human,
    /// Editors and bots: an object a line on the standard output, described in scenarios/README.md
    Json,
}

impl MessageFormat {
    /// Tells what is wrong with a file.
    pub fn diagnostics(self, source: &Source, diagnostics: &[Diagnostic]) {
        match self {
            MessageFormat::Human => {
                eprintln!("{}", render(source, diagnostics, Terminal::detect(&io::stderr()).color));
            }
            MessageFormat::Json => drop(print(&json_lines(source, diagnostics))),
        }
    }

    /// Tells of a mistake that has no place in a file. Further lines of the message are indented.
    pub fn say(self, code: Code, file: &str, message: &str, help: &[&str]) {
        match self {
            MessageFormat::Human => {
                eprintln!("vfiospec: {message}");
                help.iter().for_each(|sentence| eprintln!("  help: {sentence}"));
            }
            MessageFormat::Json => {
                let message = message.replace("\n  ", " ");
                let severity = Severity::Error;
                let help = help.to_vec();
                let message =
                    Message { code, severity, message: &message, file, span: None, label: "", help, notes: vec![] };
                print(&format!("{}\n", serde_json::to_string(&message).expect("a message has a JSON form")));
            }
        }
    }

    /// Tells people how much is wrong in all.
    pub fn total(self, text: &str) {
        if self == MessageFormat::Human {
            eprintln!("{text}");
        }
    }
}
